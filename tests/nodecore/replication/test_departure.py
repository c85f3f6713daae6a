from __future__ import annotations

from dataclasses import replace

from nodecore.ids import NodeId, Now
from nodecore.placement.proposals import bootstrap, propose_leave, propose_stable
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Keyspace, RingSettings, Topology
from nodecore.replication.departure import (
    GOODBYE_TIMEOUT_S,
    HANDOVER_TIMEOUT_S,
    OPERATOR_CANCEL,
    Departure,
    Manner,
)
from nodecore.replication.streaming import SlotStreams
from nodecore.timers import Timers
from tests.nodecore.replication.change_fakes import FakeStore, Outbox, member, moment
from transport.messages import PeerApply


def without_n4() -> Topology:
    members = [member(number) for number in range(1, 5)]
    first = bootstrap("c", members, RingSettings(vnodes=8), (Keyspace(),))
    return propose_stable(propose_leave(first, NodeId("n4"), NodeId("n1")))


class Bench:
    def __init__(self) -> None:
        self.topology = without_n4()
        self.outbox = Outbox("n4")
        self.timers = Timers()
        self.store = FakeStore()
        self.calls: list[str] = []
        ports = self.outbox.ports()
        self.departure = Departure(
            ports,
            self.timers,
            SlotStreams(ports, self.store, self.timers),
            self._forget,
            self._rejoin,
        )

    def _forget(self, _now: Now) -> None:
        self.calls.append("forget")

    def _rejoin(self, _now: Now) -> None:
        self.calls.append("rejoin")

    def settle(self, now: Now) -> list[PeerApply]:
        """Answer every page; the streams look through their slots a step at a time."""
        pages: list[PeerApply] = []
        while self.outbox.requests or self.timers.fire(now):
            if self.outbox.requests:
                pages.append(self.outbox.answer(now))
        return pages

    def begin(self, manner: Manner, now: Now | None = None) -> None:
        slot_map = SlotMap.compile(self.topology)
        self.departure.begin(manner, self.topology, slot_map, now or moment())


def test_a_leaving_node_goes_once_a_majority_has_adopted_the_document() -> None:
    bench = Bench()
    epoch = bench.topology.epoch
    bench.departure.on_adopted(NodeId("n1"), epoch, moment())
    bench.begin(Manner.LEFT)
    bench.departure.on_adopted(NodeId("n1"), epoch, moment())
    bench.departure.on_adopted(NodeId("n2"), epoch - 1, moment())
    bench.departure.on_adopted(NodeId("n9"), epoch, moment())
    assert not bench.outbox.stops
    bench.departure.on_adopted(NodeId("n2"), epoch, moment())
    assert bench.outbox.stops == [("left the cluster", 0)]
    bench.timers.fire(moment(GOODBYE_TIMEOUT_S))
    assert len(bench.outbox.stops) == 1


def test_a_leaving_node_goes_in_the_end_even_if_nobody_tells_it() -> None:
    bench = Bench()
    bench.begin(Manner.LEFT)
    bench.timers.fire(moment(GOODBYE_TIMEOUT_S))
    assert bench.outbox.stops == [("left the cluster", 0)]


def test_a_removed_node_hands_over_young_writes_then_forgets_and_joins_anew() -> None:
    bench = Bench()
    now = moment(10_000.0)
    bench.store.put(5, b"young", hlc=(now.wall_ms - 1000) << 16)
    bench.store.put(5, b"old", hlc=(now.wall_ms - 3_600_000) << 16)
    bench.begin(Manner.REMOVED, now)
    assert bench.calls == []
    pages = bench.settle(now)
    assert len(pages) == 3, "every owner gets it"
    for page in pages:
        assert isinstance(page.entries, list)
        assert (page.cause, [entry[0] for entry in page.entries]) == ("handover", [b"young"])
    assert bench.calls == ["forget", "rejoin"]
    assert bench.departure.handed_over == 3


def test_a_handover_does_not_wait_for_ever() -> None:
    bench = Bench()
    bench.store.put(5, b"young", hlc=moment().wall_ms << 16)
    bench.begin(Manner.REMOVED)
    bench.timers.fire(moment(HANDOVER_TIMEOUT_S))
    assert bench.calls == ["forget", "rejoin"]


def test_without_memory_there_is_nothing_to_hand_over() -> None:
    bench = Bench()
    bench.begin(Manner.REMOVED)
    assert not bench.settle(moment())
    assert bench.calls == ["forget", "rejoin"]


def test_a_cancelled_join_is_tried_again_unless_an_operator_took_it_back() -> None:
    bench = Bench()
    bench.begin(Manner.CANCELLED)
    assert bench.calls == ["forget", "rejoin"]
    bench = Bench()
    bench.topology = replace(bench.topology, reason=f"join of n4 cancelled: {OPERATOR_CANCEL}")
    bench.begin(Manner.CANCELLED)
    assert bench.calls == []
    assert bench.outbox.stops == [(bench.topology.reason, 0)]


def test_a_member_again_stays() -> None:
    bench = Bench()
    bench.begin(Manner.LEFT)
    bench.departure.end()
    bench.timers.fire(moment(GOODBYE_TIMEOUT_S))
    assert not bench.outbox.stops
    assert bench.departure.manner is None
