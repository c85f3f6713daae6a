"""Fills memory from the disk after a start, hottest records first, in small steps.

The first walk over the records counts them by slot and by rank, takes up tombstones, and removes what
is out of date or belongs to other nodes. Then walks from the hottest to the coldest ranks lift records
until memory is nearly full: one for the hottest, one for all others that surely find room, and one for
each class of ranks after that. What stays below is found there all the same.

What comes up counts by its version alone: whether this node may answer for a slot is decided by those
who know what it has missed. It reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, final

from nodecore.ids import Now
from nodecore.storage.cold import slot_at
from nodecore.storage.disk import DiskError
from nodecore.storage.records import RANK_MAX, BadRecord, Record, decode, peek_rank
from nodecore.storage.tiered import TieredStore
from nodecore.table.interface import Kind

RANK_CLASSES: Final = ((8, RANK_MAX), (4, 7), (2, 3), (1, 1), (0, 0))
"""Lowest and highest rank of each class, hottest first."""
FULL_SHARE: Final = 0.9
"""Memory is filled up to here: the rest is for what comes meanwhile."""
HOTTEST_SHARE: Final = 0.1
"""Of the records that find room, those of the hottest classes with so many are lifted first."""


@final
class Warming:
    """One start.

    Args:
        store: to be filled.
        holds: whether copies of a slot belong on this node.
        now: when it began.
    """

    def __init__(self, store: TieredStore, holds: Callable[[int], bool], now: Now) -> None:
        self._store = store
        self._holds = holds
        self._started_s = now.mono_s
        self._cursor: bytes | None = None
        self._by_rank = [0] * (RANK_MAX + 1)
        self._bytes_by_rank = [0] * (RANK_MAX + 1)
        self._spans: list[tuple[int, int]] = []
        """Lowest and highest rank of each walk that is to come, the present one first."""
        self.found = 0
        """Live records on disk."""
        self.lifted = 0
        self.took_s = 0.0
        self.done = store.tier.indexed_to is None
        if not self.done:
            store.tier.begin_filter()

    def step(self, records_max: int, now: Now) -> None:
        """Look at up to so many records."""
        if self.done:
            return
        self._store.catch_up()
        try:
            rows = self._store.tier.walk(self._cursor, records_max)
        except DiskError:
            self._store.tier.counters["read_errors"] += 1
            return
        indexing = self._store.tier.indexed_to is not None
        for place, data in rows:
            self._cursor = place
            if not indexing and not self._spans[0][0] <= peek_rank(data) <= self._spans[0][1]:
                continue
            try:
                record = decode(data)
            except BadRecord:
                self._store.tier.damaged(place)
                continue
            if indexing:
                self._index(place, record, now)
            elif not self._lift(record, now):
                self._end(now)
                return
        if not rows:
            self._next_walk(now)

    def _index(self, place: bytes, record: Record, now: Now) -> None:
        store, tier = self._store, self._store.tier
        tier.indexed_to = place
        slot = slot_at(place)
        expired = 0 < record.expires_ms <= now.wall_ms
        if record.version.hlc <= store.flushed_hlc or expired or not self._holds(slot):
            tier.forget_place(place)
            return
        tier.met(record.key)
        if record.key in store.table:
            return
        if record.kind == Kind.TOMBSTONE:
            store.lift(record, now)
            return
        tier.cold.add(slot, 1)
        self.found += 1
        self._by_rank[record.rank] += 1
        self._bytes_by_rank[record.rank] += store.cost_of(record)

    def _lift(self, record: Record, now: Now) -> bool:
        """Lift a record of the ranks that are due; False when memory is full."""
        store = self._store
        table = store.table
        if record.key in table:
            return True
        if table.bytes_used >= FULL_SHARE * table.inline_bytes_max:
            return False
        if record.version.hlc > store.flushed_hlc and record.kind != Kind.TOMBSTONE:
            store.lift(record, now)
            self.lifted += record.key in table
        return True

    def _next_walk(self, now: Now) -> None:
        tier = self._store.tier
        if tier.indexed_to is not None:
            tier.indexed_to = None
            tier.end_filter()
            table = self._store.table
            room_bytes = FULL_SHARE * table.inline_bytes_max - table.bytes_used
            self._spans = spans_of(self._by_rank, self._bytes_by_rank, room_bytes)
        else:
            self._spans.pop(0)
        self._cursor = None
        if not self._spans:
            self._end(now)

    def _end(self, now: Now) -> None:
        self.took_s = now.mono_s - self._started_s
        self.done = True


def spans_of(
    counts: Sequence[int], sizes: Sequence[int], room_bytes: float
) -> list[tuple[int, int]]:
    """Ranks (lowest, highest) of the walks that lift records, in order.

    Args:
        counts: records by rank.
        sizes: what they cost in memory, in bytes, by rank.
        room_bytes: room in memory.
    """
    present = [(low, high) for low, high in RANK_CLASSES if any(counts[low : high + 1])]
    fitting: list[tuple[int, int]] = []
    for low, high in present:
        room_bytes -= sum(sizes[low : high + 1])
        if room_bytes < 0:
            break
        fitting.append((low, high))
    spans: list[tuple[int, int]] = []
    wanted = HOTTEST_SHARE * sum(sum(counts[low : high + 1]) for low, high in fitting)
    hottest = 0
    for low, high in fitting:
        if hottest < wanted:
            hottest += sum(counts[low : high + 1])
            first = spans.pop()[1] if spans else high
            spans.append((low, first))
        elif len(spans) == 1:
            spans.append((low, high))
        else:
            spans[1] = (low, spans[1][1])
    return spans + present[len(fitting) :]
