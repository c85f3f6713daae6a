"""The clock never goes back, not even over a restart with the wall clock set back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodecore.ids import Now
from nodecore.replication.versions import (
    CLOCK_OFFSET_MS_MAX,
    MARK_BLOCK_MS,
    MARK_RECORD,
    HybridClock,
)
from nodecore.table import make_table

START_MS = 1_700_000_000_000


def make(disk: dict[str, object]) -> HybridClock:
    mark = disk.get(MARK_RECORD, 0)
    assert isinstance(mark, int)
    return HybridClock(make_table("reference"), 7, disk.__setitem__, mark)


@given(st.lists(st.tuples(st.integers(-20_000, 20_000), st.booleans()), min_size=1, max_size=30))
def test_versions_rise_over_restarts_and_clock_jumps(steps: list[tuple[int, bool]]) -> None:
    disk: dict[str, object] = {}
    clock = make(disk)
    wall_ms, last = START_MS, 0
    for jump_ms, restart in steps:
        wall_ms += jump_ms
        if restart:
            clock = make(disk)
        for _ in range(3):
            version = clock.next(Now(0.0, wall_ms))
            assert version.hlc > last
            last = version.hlc
        clock.tick(Now(0.0, wall_ms))


def test_the_mark_is_written_once_per_block_not_per_version() -> None:
    writes: list[object] = []
    clock = HybridClock(make_table("reference"), 7, lambda _name, mark: writes.append(mark))
    for step in range(1000):
        clock.next(Now(0.0, START_MS + step))
        clock.tick(Now(0.0, START_MS + step))
    assert len(writes) <= 2


def test_a_version_from_the_future_is_not_believed() -> None:
    clock = make({})
    now = Now(0.0, START_MS)
    assert clock.believes((START_MS + CLOCK_OFFSET_MS_MAX) << 16, now)
    assert not clock.believes((START_MS + CLOCK_OFFSET_MS_MAX + 1) << 16, now)
    assert clock.refused == 1
    assert clock.next(now).hlc > (START_MS + CLOCK_OFFSET_MS_MAX) << 16


def test_after_a_restart_it_waits_until_peers_would_believe_it() -> None:
    disk: dict[str, object] = {}
    make(disk).next(Now(0.0, START_MS))
    clock = make(disk)
    assert not clock.may_coordinate(Now(0.9, START_MS + 900))
    assert clock.may_coordinate(Now(1.1, START_MS + 1_100))


def test_a_clock_out_of_use_leaves_its_mark_behind() -> None:
    """A node that was killed while nobody wrote through it is back at once."""
    disk: dict[str, object] = {}
    clock = make(disk)
    clock.next(Now(0.0, START_MS))
    for step in range(1, 9):
        clock.tick(Now(step / 4, START_MS + step * 250))
        clock.end_of_turn()
    assert make(disk).may_coordinate(Now(2.0, START_MS + 2_000))
    untouched: dict[str, object] = {}
    make(untouched).tick(Now(0.0, START_MS))
    assert untouched == {}


def test_a_clock_in_use_never_draws_above_its_mark() -> None:
    disk: dict[str, object] = {}
    clock = make(disk)
    for step in range(0, 20_000, 50):
        now = Now(step / 1000, START_MS + step)
        hlc = clock.next(now).hlc
        mark = disk[MARK_RECORD]
        assert isinstance(mark, int)
        assert hlc <= mark <= (now.wall_ms + MARK_BLOCK_MS) << 16
        if step % 250 == 0:
            clock.tick(now)


def test_inline_writes_are_covered_before_the_wake_up_ends() -> None:
    disk: dict[str, object] = {}
    table = make_table("reference")
    clock = HybridClock(table, 7, disk.__setitem__)
    table.hlc_high = START_MS << 16
    clock.end_of_turn()
    assert disk == {}
    table.gate_writes += 1
    clock.end_of_turn()
    assert disk[MARK_RECORD] == (START_MS + MARK_BLOCK_MS) << 16
    table.gate_writes += 1
    table.hlc_high += 5
    clock.end_of_turn()
    assert disk[MARK_RECORD] == (START_MS + MARK_BLOCK_MS) << 16
    clock.tick(Now(1.0, START_MS + 1_000))
    assert disk[MARK_RECORD] == (START_MS + 1_000 + MARK_BLOCK_MS) << 16


def test_a_clean_end_needs_no_wait() -> None:
    disk: dict[str, object] = {}
    clock = make(disk)
    clock.next(Now(0.0, START_MS))
    clock.close()
    assert make(disk).may_coordinate(Now(0.1, START_MS + 100))


def test_a_clock_far_from_its_peers_does_not_coordinate() -> None:
    clock = make({})
    now = Now(0.0, START_MS)
    clock.next(now)
    assert clock.may_coordinate(now)
    clock.offset_ms = -450.0
    assert not clock.may_coordinate(now)
