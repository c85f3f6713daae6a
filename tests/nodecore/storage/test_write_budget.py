"""The budget of writing back follows the time that a node has left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecore.storage.write_budget import (
    BYTES_PER_TICK_MAX,
    BYTES_PER_TICK_MIN,
    HOT_WRITES_PER_TICK_MAX,
    IDLE_SHARE_FULL,
    RECORDS_PER_TICK_MAX,
    RECORDS_PER_TICK_MIN,
    WriteBudget,
    scaled,
)

SHARES = st.floats(0.0, 1.0)


def records(idle_share: float, entry_bytes: int = 1) -> int:
    """How many records of a size fit into one tick."""
    budget = WriteBudget()
    budget.renew(idle_share)
    count = 0
    while budget.left:
        budget.spend(entry_bytes)
        count += 1
    return count


@given(SHARES, SHARES)
def test_more_time_left_never_means_a_smaller_budget(one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert RECORDS_PER_TICK_MIN <= records(less) <= records(more) <= RECORDS_PER_TICK_MAX


@pytest.mark.parametrize(
    ("idle_share", "expected"),
    [
        (0.0, RECORDS_PER_TICK_MIN),
        (IDLE_SHARE_FULL / 2, (RECORDS_PER_TICK_MIN + RECORDS_PER_TICK_MAX) // 2),
        (IDLE_SHARE_FULL, RECORDS_PER_TICK_MAX),
        (1.0, RECORDS_PER_TICK_MAX),
    ],
)
def test_it_lies_between_the_bounds(idle_share: float, expected: int) -> None:
    assert records(idle_share) == expected


@given(SHARES)
def test_large_records_are_bounded_by_their_bytes(idle_share: float) -> None:
    bytes_max = scaled(BYTES_PER_TICK_MIN, BYTES_PER_TICK_MAX, idle_share)
    entry_bytes = 100_000
    assert 0 <= records(idle_share, entry_bytes) * entry_bytes - bytes_max < entry_bytes


def test_hot_keys_have_a_budget_of_their_own() -> None:
    budget = WriteBudget()
    assert [budget.spend_hot() for _ in range(HOT_WRITES_PER_TICK_MAX + 2)] == [
        *[True] * HOT_WRITES_PER_TICK_MAX, False, False,
    ]  # fmt: skip
    assert budget.left
    budget.renew(0.0)
    assert budget.spend_hot()
