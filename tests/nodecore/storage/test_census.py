"""A walk that goes on for ever tells how long entries have still to live."""

from __future__ import annotations

from random import Random

import pytest

from nodecore.ids import SLOTS_COUNT
from nodecore.statistics import TTL_BOUNDS_S
from nodecore.storage.census import (
    ENTRIES_PER_STEP_MAX,
    SAMPLE_ENTRIES,
    SLOTS_PER_STEP_MAX,
    TtlCensus,
)
from nodecore.table import make_table
from nodecore.table.interface import Kind, Table

NOW_MS = 1_700_000_000_000


def table_of(left_s: list[float]) -> Table:
    """One entry for each time that is left; 0: it never expires."""
    table = make_table()
    for number, seconds in enumerate(left_s):
        expires_ms = NOW_MS + int(seconds * 1000) if seconds else 0
        table.put(b"k%d" % number, Kind.STRING, b"v", 1, 1, expires_ms)
    return table


def go_round_twice(census: TtlCensus) -> None:
    for _ in range(2 * SLOTS_COUNT // SLOTS_PER_STEP_MAX):
        census.step(NOW_MS)


def after_a_walk(table: Table) -> TtlCensus:
    census = TtlCensus(table)
    go_round_twice(census)
    return census


def test_every_class_of_a_small_store_is_counted_exactly() -> None:
    bounds = [bound for bound in TTL_BOUNDS_S for _ in range(3)]
    table = table_of([*(bound - 0.5 for bound in bounds), TTL_BOUNDS_S[-1] + 1, 0, 0])
    table.put(b"gone", Kind.TOMBSTONE, b"", 1, 1, 0)
    counts = after_a_walk(table).counts(len(table) - 1)
    assert counts == (*[3] * len(TTL_BOUNDS_S), 1, 2)


def test_a_large_store_is_told_from_a_sample_within_a_budget() -> None:
    rng = Random(1)
    table = table_of([rng.choice((5, 5, 5, 300)) for _ in range(30_000)])
    census = TtlCensus(table)
    for _ in range(2 * SAMPLE_ENTRIES // ENTRIES_PER_STEP_MAX):
        census.step(NOW_MS)
    counts = census.counts(30_000)
    assert counts[1] == pytest.approx(22_500, rel=0.04)
    assert counts[1] + counts[3] == pytest.approx(30_000, abs=1)


def test_nothing_is_told_of_nothing() -> None:
    census = after_a_walk(table_of([]))
    assert census.counts(0) == ()


def test_what_has_changed_is_seen_within_two_rounds() -> None:
    table = table_of([0] * 50)
    census = after_a_walk(table)
    for number in range(50):
        table.put(b"k%d" % number, Kind.STRING, b"v", 2, 1, NOW_MS + 30_000)
    go_round_twice(census)
    assert census.counts(50)[2] == 50
    assert sum(census.counts(50)) == 50
