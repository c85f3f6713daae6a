"""Rates from two statistics records of one node.

Counters are totals since the process started, so a rate is a difference over the time between the
two records. A counter that went down, or a new pid, is a restart: the interval is unknown, never
negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nodecore.statistics import LATENCY_BOUNDS_US, LatencyHistogram, NodeStatistics


@dataclass(frozen=True, slots=True)
class NodeRates:
    """What one node did between two records; per second unless named otherwise."""

    ops: float
    reads: float
    writes: float
    hits: float
    misses: float
    errors: float
    p50_ms: float | None
    p99_ms: float | None
    latency_counts: tuple[int, ...]
    """Calls per latency bucket in the interval, reads and writes together."""


def node_rates(previous: NodeStatistics | None, current: NodeStatistics) -> NodeRates | None:
    """Rates over the interval, or None when there is no usable interval."""
    if previous is None or previous.pid != current.pid:
        return None
    interval_s = (current.at_wall_ms - previous.at_wall_ms) / 1000
    pairs = (
        (previous.reads, current.reads),
        (previous.writes, current.writes),
        (previous.hits, current.hits),
        (previous.misses, current.misses),
        (previous.errors + previous.unknowns, current.errors + current.unknowns),
    )
    if interval_s <= 0 or any(after < before for before, after in pairs):
        return None
    reads, writes, hits, misses, errors = ((after - before) / interval_s for before, after in pairs)
    counts = add_counts(
        histogram_difference(previous.read_latency, current.read_latency),
        histogram_difference(previous.write_latency, current.write_latency),
    )
    return NodeRates(
        ops=reads + writes,
        reads=reads,
        writes=writes,
        hits=hits,
        misses=misses,
        errors=errors,
        p50_ms=quantile_ms(counts, 0.5),
        p99_ms=quantile_ms(counts, 0.99),
        latency_counts=counts,
    )


def histogram_difference(
    previous: LatencyHistogram | None, current: LatencyHistogram | None
) -> tuple[int, ...]:
    """Calls per bucket between two histograms; empty when one is unknown or they do not match."""
    if previous is None or current is None or len(previous.counts) != len(current.counts):
        return ()
    difference = tuple(
        after - before for before, after in zip(previous.counts, current.counts, strict=True)
    )
    return () if any(count < 0 for count in difference) else difference


def add_counts(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    """Sum bucket by bucket; an empty side counts as zeros."""
    if not left or not right:
        return tuple(left or right)
    return tuple(a + b for a, b in zip(left, right, strict=False))


def quantile_ms(counts: Sequence[int], quantile: float) -> float | None:
    """The quantile of a histogram, linear inside the bucket; None when nothing was counted.

    The last bucket has no upper bound; its lower bound is reported.
    """
    total = sum(counts)
    if total == 0:
        return None
    rank = quantile * total
    seen = 0
    for index, count in enumerate(counts):
        if count and seen + count >= rank:
            low = LATENCY_BOUNDS_US[index - 1] if index else 0
            if index >= len(LATENCY_BOUNDS_US):
                return low / 1000
            high = LATENCY_BOUNDS_US[index]
            return (low + (high - low) * (rank - seen) / count) / 1000
        seen += count
    return LATENCY_BOUNDS_US[-1] / 1000
