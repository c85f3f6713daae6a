"""Heat of one node: which keys and which parts of the ring are busy.

Counting is exact: the keys touched in a tick arrive as a list and go through one ``Counter``, which
is faster in Python than any sketch and has no error. Past the cap of the touch buffer the rest is
known only as a number; the counts are then scaled, and the reported error bound says so.

Rates are those of the last *complete* window (one second); an exponentially weighted average with
hysteresis rides along for deciding what is hot. This module reports; it mitigates nothing.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from nodecore.ids import SLOTS_COUNT, Now
from nodecore.limits import HOT_KEYS_REPORTED, TOUCHES_MAX
from nodecore.statistics import HEAT_BANDS, KeyHeat

WINDOW_S: Final = 1.0
EWMA_WEIGHT: Final = 0.5
"""Of the newest window."""
AVERAGED_KEYS_MAX: Final = 1000
"""Keys whose average is kept between windows: the heaviest of each window."""
SHARE_HOT: Final = 0.01
"""Share of the node's operations from which a key may be called hot; half of it cools it again."""
RATE_HOT_MIN: Final = 100.0
"""Operations per second below which nothing is hot, whatever its share."""
_Z: Final = 3.0

_SLOTS_PER_BAND: Final = SLOTS_COUNT // HEAT_BANDS


class HeatCounter:
    """Counts per tick, reports per window.

    Args:
        slot_of: key -> slot.
        window_s: length of a reported window.
    """

    def __init__(self, slot_of: Callable[[bytes], int], window_s: float = WINDOW_S) -> None:
        self._slot_of = slot_of
        self._window_s = window_s
        self._reads: Counter[bytes] = Counter()
        self._writes: Counter[bytes] = Counter()
        self._reads_pending: list[bytes] = []
        self._writes_pending: list[bytes] = []
        self._writes_lost = 0
        self._reads_lost = 0
        self._started_s: float | None = None
        self._averages: dict[bytes, float] = {}
        self._hot: dict[bytes, bool] = {}
        self.hot_keys: tuple[KeyHeat, ...] = ()
        """The heaviest keys of the last complete window, heaviest first."""
        self.bands: tuple[int, ...] = (0,) * HEAT_BANDS
        """Operations of the last complete window in each band of slots."""
        self.operations_per_s = 0.0
        self.operations = 0
        """Of all complete windows: the sum of what ``bands`` has shown."""

    @property
    def hot(self) -> tuple[bytes, ...]:
        """Keys that are hot by share, with hysteresis."""
        return tuple(sorted(self._hot))

    def note_writes(self, keys: Sequence[bytes]) -> None:
        """Count writes that this node coordinates; beyond the cap they are only numbered."""
        self._writes_lost += _extend(self._writes_pending, keys)

    def note_reads(self, keys: Sequence[bytes]) -> None:
        """Count reads that touch no entry of this node: misses that it coordinates, strong reads."""
        self._reads_lost += _extend(self._reads_pending, keys)

    def tick(
        self,
        touched: Sequence[bytes],
        touches_lost: int,
        now: Now,
        written: Sequence[bytes] = (),
        writes_lost: int = 0,
    ) -> None:
        """Take what a tick touched.

        Args:
            touched: the keys, in any order, repeated.
            touches_lost: how many more there were.
            now: the end of the tick.
            written: those of ``touched`` that were writes; all others were reads.
            writes_lost: those of ``touches_lost`` that were writes.
        """
        if self._started_s is None:
            self._started_s = now.mono_s
        self._reads.update(touched)
        self._reads_lost += touches_lost - writes_lost
        self._writes_lost += writes_lost
        if written:
            self._move_writes(Counter(written))
        if self._reads_pending:
            self._reads.update(self._reads_pending)
            self._reads_pending = []
        if self._writes_pending:
            self._writes.update(self._writes_pending)
            self._writes_pending = []
        elapsed_s = now.mono_s - self._started_s
        if elapsed_s >= self._window_s:
            self._close_window(elapsed_s)
            self._started_s = now.mono_s

    def _move_writes(self, written: Counter[bytes]) -> None:
        """Count as writes what was counted as reads with all touches."""
        reads = self._reads
        for key, count in written.items():
            left = reads[key] - count
            if left > 0:
                reads[key] = left
            else:
                del reads[key]
        self._writes.update(written)

    def _close_window(self, elapsed_s: float) -> None:
        reads, writes = self._reads, self._writes
        self._reads, self._writes = Counter(), Counter()
        reads_scale, reads_error = _scale(reads.total(), self._reads_lost)
        writes_scale, writes_error = _scale(writes.total(), self._writes_lost)
        self._reads_lost = self._writes_lost = 0
        totals = _sum(reads, writes)
        heaviest = _heaviest(totals, AVERAGED_KEYS_MAX)
        self.hot_keys = tuple(
            KeyHeat(
                key=key,
                reads_per_s=reads[key] * reads_scale / elapsed_s,
                writes_per_s=writes[key] * writes_scale / elapsed_s,
                slot=self._slot_of(key),
                error=(
                    _Z
                    * (math.sqrt(reads[key]) * reads_error + math.sqrt(writes[key]) * writes_error)
                )
                / elapsed_s,
            )
            for key, _count in heaviest[:HOT_KEYS_REPORTED]
        )
        bands = [0.0] * HEAT_BANDS
        for counted, scale in ((reads, reads_scale), (writes, writes_scale)):
            slots = map(self._slot_of, counted)
            for slot, count in zip(slots, counted.values(), strict=True):
                bands[slot // _SLOTS_PER_BAND] += count * scale
        self.bands = tuple(round(band) for band in bands)
        self.operations += sum(self.bands)
        total = reads.total() * reads_scale + writes.total() * writes_scale
        self.operations_per_s = total / elapsed_s
        self._average(heaviest, sum(totals.values()), elapsed_s)

    def _average(self, heaviest: list[tuple[bytes, int]], total: int, elapsed_s: float) -> None:
        averages: dict[bytes, float] = {}
        counts = dict(heaviest)
        for key, count in heaviest:
            averages[key] = EWMA_WEIGHT * count + (1 - EWMA_WEIGHT) * self._averages.get(key, 0.0)
        for key, average in self._averages.items():
            if key not in counts and average >= 2.0 and len(averages) < 2 * AVERAGED_KEYS_MAX:
                averages[key] = (1 - EWMA_WEIGHT) * average
        self._averages = averages
        hot: dict[bytes, bool] = {}
        floor = RATE_HOT_MIN * elapsed_s
        spread = EWMA_WEIGHT / (2 - EWMA_WEIGHT)
        for key, average in averages.items():
            count = counts.get(key, 0)
            sure = max(
                average - _Z * math.sqrt(average * spread),
                count - _Z * math.sqrt(count),
            )
            rises = sure > max(SHARE_HOT * total, floor)
            stays = key in self._hot and average > max(SHARE_HOT * total, floor) / 2
            if rises or stays:
                hot[key] = True
        self._hot = hot


def _extend(pending: list[bytes], keys: Sequence[bytes]) -> int:
    """Append within the cap of a tick; returns how many keys were left out."""
    room = TOUCHES_MAX - len(pending)
    pending.extend(keys if len(keys) <= room else keys[:room])
    return max(0, len(keys) - room)


def _sum(reads: Counter[bytes], writes: Counter[bytes]) -> dict[bytes, int]:
    """Reads and writes together, in order of first appearance."""
    if not writes or not reads:
        return writes or reads
    totals = dict(reads)
    for key, count in writes.items():
        totals[key] = totals.get(key, 0) + count
    return totals


def _heaviest(totals: dict[bytes, int], count_max: int) -> list[tuple[bytes, int]]:
    """The heaviest keys, heaviest first and, of equal weight, greatest key first.

    Sorting the bare counts gives the threshold at a fraction of the cost of ordering the keys, of
    which there may be a hundred thousand; only those at or above it are ordered.
    """
    if len(totals) > count_max:
        least = sorted(totals.values(), reverse=True)[count_max - 1]
        heavy = [item for item in totals.items() if item[1] > least]
        tied = [key for key, count in totals.items() if count == least]
        heavy += [(key, least) for key in heapq.nlargest(count_max - len(heavy), tied)]
    else:
        heavy = list(totals.items())
    heavy.sort(key=lambda item: (item[1], item[0]), reverse=True)
    return heavy


def _scale(counted: int, lost: int) -> tuple[float, float]:
    """(factor on the counts, factor on the standard error: 0 when nothing was lost)."""
    if lost <= 0 or counted <= 0:
        return 1.0, 0.0
    scale = (counted + lost) / counted
    return scale, math.sqrt(scale * (scale - 1.0))
