from __future__ import annotations

from nodecore.errors import Code
from nodecore.ids import Epoch, NodeId
from nodecore.replication.calls import CallFailed
from nodecore.replication.change_ports import (
    PAGE_BYTES_MAX,
    PAGE_ENTRIES_MAX,
    PAGE_TRIES_MAX,
    PAGES_IN_FLIGHT_MAX,
    STREAM_BYTES_PER_S,
)
from nodecore.replication.streaming import Order, Sent, SlotStreams
from nodecore.timers import Timers
from tests.nodecore.replication.change_fakes import FakeStore, Outbox, moment
from transport.messages import PeerApply, PeerWritten

PEER = NodeId("n2")


class Bench:
    def __init__(self) -> None:
        self.store = FakeStore()
        self.outbox = Outbox("n1")
        self.timers = Timers()
        self.streams = SlotStreams(self.outbox.ports(), self.store, self.timers)
        self.streams.epoch = Epoch(3)
        self.reports: list[Sent] = []

    def begin(self, slots: list[int], hlc_min: int = 0) -> None:
        order = Order(PEER, "stream", slots, lambda sent, _now: self.reports.append(sent), hlc_min)
        self.streams.begin(order, moment())

    def drain(self) -> list[PeerApply]:
        """Answer everything, with time passing as timers want it."""
        pages: list[PeerApply] = []
        for _round in range(10_000):
            if self.outbox.requests:
                pages.append(self.outbox.answer(moment()))
                continue
            at_s = self.timers.next_at()
            if at_s is None:
                return pages
            self.timers.fire(moment(at_s))
        raise AssertionError("the stream does not end")

    def keys(self, pages: list[PeerApply]) -> list[bytes]:
        found: list[bytes] = []
        for page in pages:
            assert isinstance(page.entries, list)
            found += [entry[0] for entry in page.entries]
        return found


def test_a_stream_carries_every_entry_once_within_the_bounds_of_a_page() -> None:
    bench = Bench()
    expected = []
    for slot in range(10):
        for number in range(90):
            key = b"%d:%04d" % (slot, number)
            bench.store.put(slot, key, b"x" * (number * 30))
            expected.append(key)
    bench.begin(list(range(10)))
    pages = bench.drain()
    assert sorted(bench.keys(pages)) == sorted(expected)
    for page in pages:
        assert isinstance(page.entries, list)
        assert len(page.entries) <= PAGE_ENTRIES_MAX
        assert sum(len(entry[2]) for entry in page.entries) <= PAGE_BYTES_MAX
        assert (page.epoch, page.cause) == (3, "stream")
    assert bench.reports[-1].ended
    assert sorted(slot for report in bench.reports for slot in report.slots) == list(range(10))
    assert sum(report.entries for report in bench.reports) == 900
    assert bench.streams.entries_sent == 900


def test_an_entry_larger_than_a_page_travels_alone() -> None:
    bench = Bench()
    bench.store.put(1, b"a", b"x" * (PAGE_BYTES_MAX * 3))
    bench.store.put(1, b"b")
    bench.begin([1])
    assert [len(bench.keys([page])) for page in bench.drain()] == [1, 1]


def test_empty_slots_are_reported_without_a_page() -> None:
    bench = Bench()
    bench.begin(list(range(16_384)))
    assert not bench.drain()
    assert sorted(slot for report in bench.reports for slot in report.slots) == list(range(16_384))


def test_cold_slots_leave_first() -> None:
    bench = Bench()
    bench.outbox.heat = {1: 5.0, 2: 1.0}
    for slot in (1, 2, 3):
        bench.store.put(slot, b"%d" % slot)
    bench.begin([1, 2, 3])
    assert bench.keys(bench.drain()) == [b"3", b"2", b"1"]


def test_no_more_pages_are_in_flight_than_allowed() -> None:
    bench = Bench()
    for number in range(PAGE_ENTRIES_MAX * 10):
        bench.store.put(1, b"%06d" % number)
    bench.begin([1])
    assert len(bench.outbox.requests) == PAGES_IN_FLIGHT_MAX
    bench.outbox.answer(moment())
    assert len(bench.outbox.requests) == PAGES_IN_FLIGHT_MAX


def test_a_slot_counts_only_when_every_page_before_is_acknowledged() -> None:
    bench = Bench()
    for slot in (1, 2):
        for number in range(PAGE_ENTRIES_MAX):
            bench.store.put(slot, b"%d:%06d" % (slot, number))
    bench.begin([1, 2])
    first, second = bench.outbox.requests[0], bench.outbox.requests[1]
    second[2](PeerWritten(3, 1, []), moment(1.0))
    assert not any(report.slots for report in bench.reports)
    first[2](PeerWritten(3, 1, []), moment(1.0))
    bench.outbox.requests = bench.outbox.requests[2:]
    bench.drain()
    assert [slot for report in bench.reports for slot in report.slots] == [1, 2]


def test_a_failed_page_is_repeated_and_then_given_up() -> None:
    bench = Bench()
    bench.store.put(1, b"a")
    bench.begin([1])
    failed = CallFailed(Code.TIMED_OUT, "no answer", True)
    for attempt in range(PAGE_TRIES_MAX):
        assert len(bench.outbox.requests) == 1, attempt
        bench.outbox.answer(moment(attempt), failed)
        bench.timers.fire(moment(attempt + 1.5))
    assert not bench.outbox.requests
    assert [(r.ended, r.failed, r.slots) for r in bench.reports] == [(True, "no answer", [])]
    assert len(bench.streams) == 0


def test_an_unreachable_peer_ends_the_stream_at_once() -> None:
    bench = Bench()
    bench.store.put(1, b"a")
    bench.begin([1])
    bench.outbox.answer(moment(), CallFailed(Code.UNREACHABLE, "no link", False))
    assert bench.reports[-1].failed == "no link"


def test_a_new_stream_replaces_the_old_one() -> None:
    bench = Bench()
    bench.store.put(1, b"a")
    bench.begin([1])
    bench.begin([1])
    assert len(bench.streams) == 1
    bench.outbox.answer(moment())
    assert not bench.reports
    bench.outbox.answer(moment())
    assert bench.reports[-1].ended


def test_old_versions_can_be_left_out() -> None:
    bench = Bench()
    bench.store.put(1, b"old", hlc=10)
    bench.store.put(1, b"young", hlc=20)
    bench.begin([1], hlc_min=15)
    assert bench.keys(bench.drain()) == [b"young"]


def test_the_rate_is_bounded() -> None:
    bench = Bench()
    size = 8 * 1024 * 1024
    for slot in range(8):
        bench.store.put(slot, b"%d" % slot, b"x" * size)
    bench.begin(list(range(8)))
    bench.outbox.answer(moment())
    last_s = 0.0
    while (at_s := bench.timers.next_at()) is not None:
        bench.timers.fire(moment(at_s))
        last_s = at_s
        while bench.outbox.requests:
            bench.outbox.answer(moment(at_s))
    assert bench.reports[-1].ended
    assert last_s >= (8 * size) / STREAM_BYTES_PER_S * 0.7


def filled(bench: Bench, entries: int) -> None:
    for number in range(entries):
        bench.store.put(1, b"%06d" % number, b"x" * 1000)


def test_a_change_is_held_to_its_limit_and_says_that_it_lives() -> None:
    bench = Bench()
    bench.streams.limit_changes(10_000)
    filled(bench, 100)
    bench.begin([1])
    sent, at_s = 0, 0.0
    while not (bench.reports and bench.reports[-1].ended):
        while bench.outbox.requests:
            page = bench.outbox.answer(moment(at_s))
            assert isinstance(page.entries, list)
            sent += sum(len(entry[2]) for entry in page.entries)
        assert sent <= 10_000 * at_s + 5 * 10_000, "more than the limit and what is in flight"
        following = bench.timers.next_at()
        if following is not None:
            assert following <= at_s + 1.0 + 1e-9, "nobody hears of this stream for too long"
            at_s = following
            bench.timers.fire(moment(at_s))
    assert sent == 100_000
    assert at_s > 5.0
    assert len(bench.reports) > 5


def test_a_limit_on_changes_does_not_slow_repairs() -> None:
    bench = Bench()
    bench.streams.limit_changes(1024)
    filled(bench, 100)
    order = Order(PEER, "repair", [1], lambda sent, _now: bench.reports.append(sent))
    bench.streams.begin(order, moment())
    while bench.outbox.requests:
        bench.outbox.answer(moment(0.01))
    assert bench.reports[-1].ended
    bench.streams.limit_changes(0)
    assert bench.streams.bytes_per_s == STREAM_BYTES_PER_S


def test_the_pace_of_the_last_copying_is_remembered() -> None:
    bench = Bench()
    filled(bench, 2000)
    assert bench.streams.pace_bytes_per_s == STREAM_BYTES_PER_S
    bench.begin([1])
    at_s = 0.0
    while not (bench.reports and bench.reports[-1].ended):
        at_s += 0.1
        bench.timers.fire(moment(at_s))
        if bench.outbox.requests:
            bench.outbox.answer(moment(at_s))
    expected = bench.streams.bytes_sent / at_s
    assert abs(bench.streams.pace_bytes_per_s - expected) < 0.01 * expected
