"""Separations: when they begin and end, and what they cover."""

from __future__ import annotations

from nodecore.ids import NodeId
from nodecore.placement.hashing import node_tag
from nodecore.replication.separations import NOTICE_MS, PEERS_KEPT, SPANS_KEPT, Separations
from tests.nodecore.replication.change_fakes import moment

B, C = NodeId("b"), NodeId("c")
T0_MS = moment().wall_ms


class Peers:
    """Who is live, by the test's word."""

    def __init__(self) -> None:
        self.dead: list[str] = []
        self.rooms = Separations(lambda peer: peer not in self.dead)

    def tick(self, at_s: float, *dead: str) -> tuple[list[str], list[str]]:
        self.dead = list(dead)
        begun, ended = self.rooms.tick([B, C], moment(at_s))
        return [span.peer for span in begun], [span.peer for span in ended]


def test_a_peer_that_was_never_live_is_starting_and_not_apart() -> None:
    peers = Peers()
    assert peers.tick(0, "b") == ([], [])
    assert peers.tick(1) == ([], [])
    assert peers.rooms.open_spans == []


def test_a_span_begins_before_it_is_noticed_and_ends_with_the_return() -> None:
    peers = Peers()
    peers.tick(10)
    assert peers.tick(11, "b") == (["b"], [])
    assert peers.tick(12, "b") == ([], [])
    assert [span.peer for span in peers.rooms.open_spans] == ["b"]
    assert peers.tick(20) == ([], ["b"])
    began_ms, back_ms = T0_MS + 10_000 - NOTICE_MS, T0_MS + 20_000
    tag = node_tag(B)
    assert peers.rooms.span_at(tag, began_ms - 1) is None
    span = peers.rooms.span_at(tag, began_ms)
    assert span is not None
    assert span.covers(back_ms)
    assert not span.covers(back_ms + 1)
    assert peers.rooms.span_at(node_tag(C), back_ms) is None


def test_spans_are_bounded_for_each_peer_and_in_peers() -> None:
    peers = Peers()
    for number in range(2 * SPANS_KEPT):
        peers.tick(100 * number)
        peers.tick(100 * number + 1, "b")
    assert peers.rooms.span_at(node_tag(B), T0_MS) is None, "the oldest are forgotten"
    names = [NodeId(f"n{number}") for number in range(PEERS_KEPT + 50)]
    away: list[str] = []
    rooms = Separations(lambda peer: peer not in away)
    rooms.tick(names, moment(0))
    away += names
    rooms.tick(names, moment(1))
    assert len(rooms.open_spans) == PEERS_KEPT
