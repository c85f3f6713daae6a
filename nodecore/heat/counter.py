"""Heat of one node: which keys and which parts of the ring are busy.

Counting is exact: the keys that were touched arrive as lists and are counted one by one. Two bounds are kept by sampling, after which the
counts are scaled and the reported error bound says so: that of the touch buffer, and that of the
different keys in a window, for it is those that cost memory and time. The bands of slots are tallied
by the table and always exact.

Rates are those of the last *complete* window (one second); an exponentially weighted average with
hysteresis rides along for deciding what is hot. This module reports; it mitigates nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Protocol

from nodecore.ids import Now
from nodecore.limits import HOT_KEYS_REPORTED, TOUCHES_MAX
from nodecore.statistics import HEAT_BANDS, KeyHeat
from nodecore.table.key_counts import KeyCount, KeyCounts, PlainKeyCounts

WINDOW_S: Final = 1.0
EWMA_WEIGHT: Final = 0.5
"""Of the newest window."""
AVERAGED_KEYS_MAX: Final = 256
"""Keys whose average is kept between windows: the heaviest of each window. At most 200 can have the
share that keeps a key hot."""
KEYS_EXACT_MAX: Final = 16_384
"""Different keys of a window that are counted before it begins to sample: some 5 ms at its close."""
THINNING: Final = 4
"""By so much the sample is thinned each time, and by half of it made denser again."""
SHARE_HOT: Final = 0.01
"""Share of the node's operations from which a key may be called hot; half of it cools it again."""
RATE_HOT_MIN: Final = 100.0
"""Operations per second below which nothing is hot, whatever its share."""
_Z: Final = 3.0


class BandTally(Protocol):
    """What heat needs of the table."""

    def slot_of(self, key: bytes) -> int: ...
    def note(self, keys: Sequence[bytes]) -> None: ...
    def take_bands(self) -> list[int]: ...


class HeatCounter:
    """Counts as touches come, reports per window.

    Args:
        table: tallies the bands.
        window_s: length of a reported window.
        counts: empty; None: plain ones.
    """

    def __init__(
        self, table: BandTally, window_s: float = WINDOW_S, counts: KeyCounts | None = None
    ) -> None:
        self._table = table
        self._window_s = window_s
        self._counts = PlainKeyCounts() if counts is None else counts
        self._reads_pending: list[bytes] = []
        self._writes_pending: list[bytes] = []
        self._reads_lost = 0
        self._writes_lost = 0
        self._one_of = 1
        """The sample: all touches, or each so manieth."""
        self._offset = 0
        self._keys_max = KEYS_EXACT_MAX
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
        self._table.note(keys)
        self._writes_lost += _extend(self._writes_pending, keys)

    def note_reads(self, keys: Sequence[bytes]) -> None:
        """Count reads that touch no entry of this node: misses that it coordinates, strong reads."""
        self._table.note(keys)
        self._reads_lost += _extend(self._reads_pending, keys)

    @property
    def waiting(self) -> int:
        """Keys that were noted and are not counted yet."""
        return len(self._reads_pending) + len(self._writes_pending)

    def count(
        self,
        touched: Sequence[bytes],
        touches_lost: int = 0,
        written: Sequence[bytes] = (),
        writes_lost: int = 0,
    ) -> None:
        """Take what was touched, and what was noted here meanwhile.

        Args:
            touched: keys, in any order, repeated; the table has tallied their bands.
            touches_lost: how many more there were.
            written: those of ``touched`` that were writes; all others were reads.
            writes_lost: those of ``touches_lost`` that were writes.
        """
        self._reads_lost += touches_lost - writes_lost
        self._writes_lost += writes_lost
        self._add(touched, written)
        if self._reads_pending:
            pending, self._reads_pending = self._reads_pending, []
            self._add(pending, ())
        if self._writes_pending:
            pending, self._writes_pending = self._writes_pending, []
            self._add(pending, pending)

    def _add(self, touched: Sequence[bytes], written: Sequence[bytes]) -> None:
        if self._one_of > 1:
            touched, written = self._sampled(touched, written)
        self._counts.add(touched, written)
        if len(self._counts) >= self._keys_max:
            self._one_of *= THINNING
            self._keys_max += KEYS_EXACT_MAX // THINNING

    def _sampled(
        self, touched: Sequence[bytes], written: Sequence[bytes]
    ) -> tuple[Sequence[bytes], Sequence[bytes]]:
        one_of = self._one_of
        # Another place each time: clients send their keys in patterns.
        self._offset = (self._offset + 1) % one_of
        some, some_written = touched[self._offset :: one_of], written[self._offset :: one_of]
        writes_lost = len(written) - len(some_written)
        self._writes_lost += writes_lost
        self._reads_lost += len(touched) - len(some) - writes_lost
        return some, some_written

    def tick(self, now: Now) -> None:
        """Close the window when it is over."""
        if self._started_s is None:
            self._started_s = now.mono_s
        elapsed_s = now.mono_s - self._started_s
        if elapsed_s >= self._window_s:
            self._close_window(elapsed_s)
            self._started_s = now.mono_s

    def _close_window(self, elapsed_s: float) -> None:
        counts = self._counts
        writes_count = counts.writes
        reads_count = counts.total - writes_count
        reads_scale, reads_error = _scale(reads_count, self._reads_lost)
        writes_scale, writes_error = _scale(writes_count, self._writes_lost)
        self._reads_lost = self._writes_lost = 0
        self._fit_sample(len(counts))
        heaviest = counts.heaviest(AVERAGED_KEYS_MAX)
        rates: list[KeyHeat] = []
        for key, count, written in heaviest[:HOT_KEYS_REPORTED]:
            read = max(0, count - written)
            error = math.sqrt(read) * reads_error + math.sqrt(written) * writes_error
            rates.append(
                KeyHeat(
                    key=key,
                    reads_per_s=read * reads_scale / elapsed_s,
                    writes_per_s=written * writes_scale / elapsed_s,
                    slot=self._table.slot_of(key),
                    error=_Z * error / elapsed_s,
                )
            )
        self.hot_keys = tuple(rates)
        self.bands = tuple(self._table.take_bands())
        self.operations += sum(self.bands)
        total = max(0, reads_count) * reads_scale + writes_count * writes_scale
        self.operations_per_s = total / elapsed_s
        self._average(heaviest, total, total / max(1, counts.total), elapsed_s)
        counts.clear()

    def _fit_sample(self, keys: int) -> None:
        """Make the next window's sample denser when this one left room."""
        self._keys_max = KEYS_EXACT_MAX
        if self._one_of > 1 and keys < KEYS_EXACT_MAX // 2:
            self._one_of //= 2

    def _average(
        self, heaviest: list[KeyCount], total: float, scale: float, elapsed_s: float
    ) -> None:
        """Who is hot; ``scale`` makes counts of the sample into numbers of operations."""
        averages: dict[bytes, float] = {}
        counts = {key: count * scale for key, count, _written in heaviest}
        for key, count in counts.items():
            averages[key] = EWMA_WEIGHT * count + (1 - EWMA_WEIGHT) * self._averages.get(key, 0.0)
        for key, average in self._averages.items():
            if key not in counts and average >= 2.0 and len(averages) < 2 * AVERAGED_KEYS_MAX:
                averages[key] = (1 - EWMA_WEIGHT) * average
        self._averages = averages
        hot: dict[bytes, bool] = {}
        floor = RATE_HOT_MIN * elapsed_s
        spread = EWMA_WEIGHT / (2 - EWMA_WEIGHT)
        for key, average in averages.items():
            count = counts.get(key, 0.0)
            sure = max(
                average - _Z * math.sqrt(average * scale * spread),
                count - _Z * math.sqrt(count * scale),
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


def _scale(counted: int, lost: int) -> tuple[float, float]:
    """(factor on the counts, factor on the standard error: 0 when nothing was lost)."""
    if lost <= 0 or counted <= 0:
        return 1.0, 0.0
    scale = (counted + lost) / counted
    return scale, math.sqrt(scale * (scale - 1.0))
