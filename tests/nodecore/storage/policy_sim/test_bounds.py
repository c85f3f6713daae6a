"""Nothing beats the bounds; Belady's is reached by no less than the best of all choices."""

from __future__ import annotations

import csv
from array import array
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodecore.storage.policy_sim.bounds import SizedBound, belady_misses, next_uses
from nodecore.storage.policy_sim.replay import REPLAYED, Replay, policy_for_replay
from nodecore.storage.policy_sim.trace import Trace
from tests.nodecore.storage.eviction.replay import trace as published
from tests.shared_data import shared_data


def trace_of(numbers: list[int] | tuple[int, ...], sizes: list[int] | None = None) -> Trace:
    place: dict[int, int] = {}
    requests = array("I", (place.setdefault(number, len(place)) for number in numbers))
    keys = [b"%d" % number for number in place]
    return Trace(requests, keys, None if sizes is None else array("Q", sizes))


def fewest_misses(trace: Trace, bytes_max: int, stores_misses: bool) -> int:
    """By trying every set of objects to keep; with or without what was just asked for."""
    sizes = trace.sizes or array("Q", [1]) * len(trace)
    size_of = {number: sizes[at] for at, number in enumerate(trace.requests)}

    @cache
    def best(position: int, held: frozenset[int]) -> int:
        if position == len(trace):
            return 0
        number = trace.requests[position]
        offered = held | {number}
        choices = set(subsets(tuple(sorted(offered))))
        if stores_misses:
            choices = {kept for kept in choices if number in kept}
        fitting = [kept for kept in choices if sum(size_of[one] for one in kept) <= bytes_max]
        return (number not in held) + min(best(position + 1, kept) for kept in fitting)

    return best(0, frozenset())


def subsets(items: tuple[int, ...]) -> list[frozenset[int]]:
    return [
        frozenset(item for place, item in enumerate(items) if mask >> place & 1)
        for mask in range(1 << len(items))
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.integers(1, 4))
def test_belady_is_the_fewest_misses_possible(numbers: list[int], objects_max: int) -> None:
    trace = trace_of(numbers)
    assert belady_misses(trace, next_uses(trace), objects_max) == fewest_misses(
        trace, objects_max, stores_misses=True
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=8),
    st.lists(st.integers(1, 9), min_size=4, max_size=4),
    st.integers(1, 20),
)
def test_the_bound_with_sizes_is_never_above_the_fewest_misses(
    numbers: list[int], size_of: list[int], bytes_max: int
) -> None:
    trace = trace_of(numbers, [size_of[number] for number in numbers])
    bound = SizedBound(trace, next_uses(trace))
    assert bound.misses(bytes_max) <= fewest_misses(trace, bytes_max, stores_misses=False)
    assert bound.missed_bytes(bytes_max) <= trace.bytes_total
    assert bound.misses(10_000) == len(set(numbers))


@pytest.mark.parametrize("name", ["zipf12", "loop1100"])
def test_belady_equals_the_published_counts(name: str) -> None:
    trace = trace_of(published(name))
    following = next_uses(trace)
    with shared_data("policies/golden.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["trace"] == name]
    assert len(rows) == 2
    for row in rows:
        assert belady_misses(trace, following, int(row["cache"])) == int(row["Belady"])


@pytest.mark.parametrize("policy", REPLAYED)
def test_no_policy_beats_the_bounds(policy: str) -> None:
    numbers = published("zipf10")[:8000]
    plain, sized = trace_of(numbers), trace_of(numbers, [10 + 37 * n % 900 for n in numbers])
    for trace, limit in ((plain, 50), (sized, 20_000)):
        replay = Replay(policy_for_replay(policy, limit, trace.sizes is None), limit, trace)
        while not replay.finished:
            replay.step(1500)
            assert replay.table.bytes_used <= limit
        following = next_uses(trace)
        if trace.sizes is None:
            assert replay.misses >= belady_misses(trace, following, limit)
            assert replay.missed_bytes == replay.misses
        else:
            bound = SizedBound(trace, following)
            assert replay.misses >= bound.misses(limit)
            assert replay.missed_bytes >= bound.missed_bytes(limit)
            assert replay.missed_bytes > replay.misses


def test_an_object_larger_than_the_cache_is_missed_and_displaces_nothing() -> None:
    trace = trace_of([1, 2, 1, 2, 1], [10, 500, 10, 500, 10])
    replay = Replay(policy_for_replay("lru", 100, False), 100, trace)
    replay.step(5)
    assert (replay.misses, replay.missed_bytes) == (3, 1010)


def test_an_object_that_grows_makes_others_go() -> None:
    trace = trace_of([1, 2, 2, 1], [50, 40, 90, 50])
    replay = Replay(policy_for_replay("lru", 100, False), 100, trace)
    replay.step(4)
    assert replay.misses == 3
    assert replay.table.bytes_used <= 100


def test_unknown_policies_and_capacities_are_refused() -> None:
    with pytest.raises(ValueError, match="lfu:aged"):
        policy_for_replay("nope", 1, True)
    with pytest.raises(ValueError, match="at least 1"):
        policy_for_replay("lru", 0, True)
