from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodecore.ids import SLOTS_COUNT, Epoch, NodeId
from nodecore.replication.change_ports import COOLDOWN_S, PROGRESS_TIMEOUT_S
from nodecore.replication.filling import Filling, from_bitmap, to_bitmap
from nodecore.replication.slot_needs import Need
from tests.nodecore.replication.change_fakes import Outbox, moment
from transport.messages import ChangeStep

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")


class Bench:
    def __init__(self, life: int = 1) -> None:
        self.outbox = Outbox("me", life=life)
        self.done = 0
        self.filling = Filling(self.outbox.ports(), self._on_done)

    def _on_done(self, _now: object) -> None:
        self.done += 1

    def want(self, slots: list[int], streams: int = 2, *sources: NodeId) -> None:
        need = Need(sources or (A, B, C), streams)
        needs = dict.fromkeys(slots, need)
        self.filling.begin(needs, Epoch(4), True, False, moment())

    def asked(self) -> dict[str, tuple[int, list[int]]]:
        """Who was asked since the last call: (id, slots)."""
        found: dict[str, tuple[int, list[int]]] = {}
        for peer, message in self.outbox.sent:
            assert isinstance(message, ChangeStep)
            assert message.step == "fetch"
            assert isinstance(message.fields, dict)
            slots = from_bitmap(message.fields["slots"])
            assert slots is not None
            found[peer] = (message.fields["id"], slots)
        self.outbox.sent.clear()
        return found

    def streamed(
        self, peer: NodeId, fetch_id: int, slots: list[int], at_s: float = 0.1, **more: object
    ) -> None:
        fields: dict[str, object] = {
            "id": fetch_id,
            "slots": slots,
            "incomplete": [],
            "entries": 3,
            "bytes": 30,
            "ended": True,
        }
        self.filling.on_streamed(peer, {**fields, **more}, moment(at_s))


def test_a_slot_is_complete_once_enough_sources_have_streamed_it() -> None:
    bench = Bench()
    bench.want([5, 9])
    asked = bench.asked()
    assert {peer: slots for peer, (_id, slots) in asked.items()} == {A: [5, 9], B: [5, 9]}
    bench.streamed(A, asked[A][0], [5, 9])
    assert (bench.filling.left, bench.filling.complete[5]) == (2, 0)
    bench.streamed(B, asked[B][0], [5, 9])
    assert (bench.filling.left, bench.filling.complete[5], bench.done) == (0, 1, 1)
    assert not bench.asked()
    assert (bench.filling.entries, bench.filling.bytes) == (6, 60)


def test_what_was_streamed_to_an_earlier_life_is_not_here() -> None:
    before, bench = Bench(life=1), Bench(life=2)
    before.want([5, 9])
    bench.want([5, 9])
    asked_before, asked = before.asked(), bench.asked()
    for source in (A, B):
        bench.streamed(source, asked_before[source][0], [5, 9])
    assert bench.filling.left == 2
    for source in (A, B):
        bench.streamed(source, asked[source][0], [5, 9])
    assert bench.filling.left == 0


def test_nothing_to_wait_for_is_complete_at_once() -> None:
    bench = Bench()
    need = Need((), 0)
    bench.filling.begin({7: need}, Epoch(1), False, False, moment())
    assert bench.filling.complete[7] == 1


def test_another_source_replaces_one_that_fails() -> None:
    bench = Bench()
    bench.want([5])
    asked = bench.asked()
    bench.streamed(A, asked[A][0], [5])
    bench.outbox.failed = [B]
    bench.filling.tick(moment(0.5))
    third = bench.asked()
    assert list(third) == [C]
    bench.streamed(C, third[C][0], [5], 0.6)
    assert bench.filling.complete[5] == 1


def test_a_source_that_stands_still_is_replaced_and_asked_again_later() -> None:
    bench = Bench()
    bench.want([5], 1, A, B)
    assert list(bench.asked()) == [A]
    bench.filling.tick(moment(PROGRESS_TIMEOUT_S - 0.1))
    assert not bench.asked()
    bench.filling.tick(moment(PROGRESS_TIMEOUT_S + 0.1))
    assert list(bench.asked()) == [B]
    bench.filling.on_unreachable(B, moment(PROGRESS_TIMEOUT_S + 0.2))
    bench.filling.tick(moment(PROGRESS_TIMEOUT_S + 0.1 + COOLDOWN_S))
    assert list(bench.asked()) == [A]


def test_when_all_others_have_failed_what_came_is_all_there_is() -> None:
    bench = Bench()
    bench.want([5])
    asked = bench.asked()
    bench.streamed(A, asked[A][0], [5])
    bench.outbox.failed = [B, C]
    assert bench.outbox.events == []
    bench.filling.tick(moment(1.0))
    assert bench.filling.complete[5] == 1
    (told,) = bench.outbox.events
    assert (told.kind, "what only b, c may hold" in told.text) == ("slots.filled-short", True)


def test_a_suspect_is_waited_for_until_it_is_failed_or_back() -> None:
    bench = Bench()
    bench.outbox.suspects = [A, B]
    bench.want([5], 1, A, B)
    assert not bench.asked()
    assert bench.filling.waits_for == A
    bench.outbox.suspects = []
    bench.filling.tick(moment(1.0))
    assert list(bench.asked()) == [A]


def test_sources_that_are_incomplete_themselves_do_not_count_but_are_heard() -> None:
    bench = Bench()
    bench.want([5])
    asked = bench.asked()
    bench.streamed(A, asked[A][0], [5], incomplete=[5])
    bench.streamed(B, asked[B][0], [5])
    third = bench.asked()
    assert list(third) == [C]
    bench.streamed(C, third[C][0], [5], incomplete=[5])
    # A cold start of the whole cluster: everybody was heard, nobody knows more.
    assert bench.filling.complete[5] == 1


def test_reports_of_another_fetch_or_stranger_change_nothing() -> None:
    bench = Bench()
    bench.want([5], 1, A)
    asked = bench.asked()
    bench.streamed(A, asked[A][0] + 1, [5])
    bench.streamed(B, asked[A][0], [5])
    bench.streamed(A, asked[A][0], [6], ended=False)
    bench.filling.on_streamed(A, {"id": asked[A][0], "slots": "garbage"}, moment())
    assert bench.filling.left == 1


def test_a_stream_that_ends_early_is_asked_for_again_after_a_rest() -> None:
    bench = Bench()
    bench.want([5, 6], 1, A)
    asked = bench.asked()
    bench.streamed(A, asked[A][0], [5])
    assert not bench.asked()
    bench.filling.tick(moment(0.2 + COOLDOWN_S))
    assert bench.asked()[A][1] == [6]


def test_what_was_streamed_counts_on_within_the_same_change_only() -> None:
    bench = Bench()
    bench.want([5], 2, A, B)
    asked = bench.asked()
    bench.streamed(A, asked[A][0], [5])
    need = Need((A, B), 2)
    bench.filling.begin({5: need}, Epoch(5), True, True, moment(1))
    assert list(bench.asked()) == [B]
    bench.filling.begin({5: need}, Epoch(7), True, False, moment(2))
    assert sorted(bench.asked()) == [A, B]


@given(st.lists(st.integers(0, SLOTS_COUNT - 1), unique=True))
def test_bitmaps_round_trip(slots: list[int]) -> None:
    assert from_bitmap(to_bitmap(slots)) == sorted(slots)


def test_bitmaps_of_another_shape_are_refused() -> None:
    assert from_bitmap(b"short") is None
    assert from_bitmap([1, 2]) is None


def test_a_pause_stops_what_a_change_wants_and_not_what_an_owner_has_lost() -> None:
    bench = Bench()
    bench.filling.paused = True
    needs = {5: Need((A, B, C), 1), 9: Need((A, B, C), 1, moves=False)}
    bench.filling.begin(needs, Epoch(4), True, False, moment())
    asked = bench.asked()
    assert {peer: slots for peer, (_id, slots) in asked.items()} == {A: [9]}
    bench.streamed(A, asked[A][0], [9])
    bench.filling.tick(moment(1.0))
    assert not bench.asked()
    assert (bench.filling.left, bench.filling.waits_for) == (1, "")
    bench.filling.paused = False
    bench.filling.begin({5: needs[5]}, Epoch(5), True, True, moment(2.0))
    assert {peer: slots for peer, (_id, slots) in bench.asked().items()} == {A: [5]}
