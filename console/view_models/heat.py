"""Heat of the slots over time: a bounded history of columns, and what it means in one sentence.

Each tick gives a column of HEAT_BANDS rates (operations a second per band of slots), summed over
the nodes. The nodes report counts of their last window; they are scaled so that a column's sum is
the measured rate of the cluster, hence colours stand for absolute rates. Per node, further metrics
(reads, writes, misses, p99) are kept as rows of their own.

Time runs to the right in steps: when the map is full it moves left by STEP_COLUMNS, so that most
ticks change one column.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from console.formatting import escape_text, number, percent
from console.source import ClusterSnapshot
from console.view_models.rates import NodeRates
from nodecore.ids import SLOTS_COUNT
from nodecore.statistics import HEAT_BANDS, KeyHeat

COLUMNS_MAX: Final = 320
"""Ticks kept: more than the widest screen shows."""
STEP_COLUMNS: Final = 8
METRICS: Final = ("ops", "reads", "writes", "misses", "p99")
TOP_DECAY: Final = 0.97
"""The automatic top of the scale falls by this factor a tick, so colours do not jump."""
TOP_MIN: Final = 20.0
"""The scale never tops below this many operations a second: an almost idle map stays dark."""
LITTLE_LOAD_OPS: Final = 50.0
SINGLE_KEY_OF_ALL: Final = 0.10
SINGLE_KEY_OF_BAND: Final = 0.50
OWNER_EXCESS: Final = 1.6
RANGE_SHARE: Final = 0.35


@dataclass(frozen=True, slots=True)
class HeatColumn:
    """One tick."""

    at_wall_ms: int
    bands: tuple[float, ...]
    """Operations a second per band; empty when no node told."""
    by_node: Mapping[str, NodeRates]


class HeatHistory:
    """The columns and the scale."""

    def __init__(self) -> None:
        self.columns: deque[HeatColumn] = deque(maxlen=COLUMNS_MAX)
        self.ticks = 0
        """Columns ever taken: fixes where the steps of scrolling fall."""

    def apply(self, snapshot: ClusterSnapshot, rates: Mapping[str, NodeRates | None]) -> None:
        """Append the column of a snapshot."""
        sums = [0.0] * HEAT_BANDS
        told = False
        for member in snapshot.members:
            statistics = member.statistics
            rate = rates.get(member.node_id)
            if statistics is None or rate is None or len(statistics.slot_heat) != HEAT_BANDS:
                continue
            told = True
            total = sum(statistics.slot_heat)
            if not total or rate.ops <= 0:
                continue
            scale = rate.ops / total
            for band, count in enumerate(statistics.slot_heat):
                if count:
                    sums[band] += count * scale
        known = {node_id: rate for node_id, rate in rates.items() if rate is not None}
        self.columns.append(HeatColumn(snapshot.at_wall_ms, tuple(sums) if told else (), known))
        self.ticks += 1

    def visible(self, width: int) -> list[HeatColumn]:
        """The columns that a map of ``width`` columns shows, oldest first, moved in steps."""
        width = max(width, 1)
        count = min(self.ticks, width)
        if self.ticks > width:
            step = min(STEP_COLUMNS, width)
            hidden = -(-(self.ticks - width) // step) * step
            count = self.ticks - hidden
        count = min(count, len(self.columns))
        return list(self.columns)[len(self.columns) - count :] if count else []

    def clone(self) -> HeatHistory:
        """A copy that later snapshots do not reach."""
        copy = HeatHistory()
        copy.columns.extend(self.columns)
        copy.ticks = self.ticks
        return copy


def group_bands(bands: Sequence[float], groups: int) -> list[float]:
    """Bands summed into ``groups`` rows of near equal height; at most one row a band."""
    groups = max(1, min(groups, HEAT_BANDS))
    if not bands:
        return [0.0] * groups
    return [
        sum(bands[group * HEAT_BANDS // groups : (group + 1) * HEAT_BANDS // groups])
        for group in range(groups)
    ]


def metric_value(rate: NodeRates, metric: str) -> float:
    """A node's figure for a per-node metric; p99 in milliseconds."""
    if metric == "p99":
        return rate.p99_ms or 0.0
    return float(getattr(rate, metric))


def scale_top(rows: Sequence[Sequence[float]]) -> float:
    """The automatic top of the scale: the largest shown value, older ones decaying."""
    top = TOP_MIN
    count = len(rows)
    for index, column in enumerate(rows):
        if column:
            top = max(top, max(column) * TOP_DECAY ** (count - 1 - index))
    return nice_top(top)


def nice_top(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 5, 7 times a power of ten: scales that stay put."""
    magnitude = 1.0
    while magnitude * 10 <= value:
        magnitude *= 10
    for step in (1, 1.5, 2, 3, 5, 7):
        if value <= step * magnitude:
            return step * magnitude
    return 10 * magnitude


def level(value: float, top: float, levels: int) -> int:
    """0 for nothing, else 1..levels-1, by the square root so that middle values show."""
    if value <= 0 or top <= 0:
        return 0
    ratio = math.sqrt(min(value / top, 1.0))
    return max(1, min(levels - 1, round(ratio * (levels - 1))))


def band_of(slot: int) -> int:
    """The band that a slot belongs to."""
    return slot * HEAT_BANDS // SLOTS_COUNT


def key_rate(heat: KeyHeat) -> float:
    """Reads and writes a second."""
    return heat.reads_per_s + heat.writes_per_s


def diagnosis(
    bands: Sequence[float],
    hot_keys: Sequence[tuple[KeyHeat, str]],
    shares: Mapping[str, float],
    by_node: Mapping[str, NodeRates],
) -> tuple[str, ...]:
    """What the heat means and what would help, in one sentence or two short lines."""
    total = sum(bands)
    if total <= 0:
        return ("no load: nothing is hot",)
    if total < LITTLE_LOAD_OPS:
        return (f"little load ({number(total)} op/s):", "colours exaggerate")
    if hot_keys:
        top, _ = hot_keys[0]
        rate = key_rate(top)
        of_band = rate / max(bands[band_of(top.slot)], rate, 1.0)
        if rate > SINGLE_KEY_OF_ALL * total and of_band > SINGLE_KEY_OF_BAND:
            name = escape_text(top.key, 20)
            return (
                f"single key {name}, not a range:",
                "adding nodes will not help;",
                "replicate it or cache at client",
            )
    run, share = hottest_run(bands)
    if share > RANGE_SHARE and run[1] - run[0] >= 2:
        low, high = run[0] * SLOTS_COUNT // HEAT_BANDS, run[1] * SLOTS_COUNT // HEAT_BANDS - 1
        return (
            f"neighbouring slots {low}-{high}",
            f"take {percent(share)} of the load:",
            "a hash tag may bind them",
        )
    ops = sum(served.ops for served in by_node.values())
    if ops > 0:
        busiest = max(by_node, key=lambda node_id: by_node[node_id].ops)
        own, part = shares.get(busiest, 0.0), by_node[busiest].ops / ops
        if 0 < own < part / OWNER_EXCESS:
            return (
                f"{busiest} serves {percent(part)}",
                f"with {percent(own)} of the ring:",
                "rebalance or add a node",
            )
    return ("load is spread evenly",)


def hottest_run(bands: Sequence[float]) -> tuple[tuple[int, int], float]:
    """The run of up to eight neighbouring bands that holds most, and its share of all."""
    total = sum(bands)
    if total <= 0:
        return (0, 0), 0.0
    best, best_sum = 0, -1.0
    window = 8
    for start in range(len(bands) - window + 1):
        held = sum(bands[start : start + window])
        if held > best_sum:
            best, best_sum = start, held
    low, high = best, best + window
    while high - low > 1 and bands[low] < 0.05 * best_sum:
        low += 1
    while high - low > 1 and bands[high - 1] < 0.05 * best_sum:
        high -= 1
    return (low, high), best_sum / total
