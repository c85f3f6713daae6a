"""How long the entries of memory have still to live: counts by class, from a sample that walks along.

The slots are walked for ever, a few entries at a time; keys are spread over slots by hash, so any run
of slots is a fair sample. What is told are the shares in the last few thousand entries seen, scaled to
the number of entries: exact for a small store, within a few percent for a large one. It changes
nothing and removes nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, final

from nodecore.ids import SLOTS_COUNT
from nodecore.statistics import TTL_BOUNDS_S
from nodecore.table.interface import Kind, Table

ENTRIES_PER_STEP_MAX: Final = 256
SLOTS_PER_STEP_MAX: Final = 2048
SAMPLE_ENTRIES: Final = 4096
"""Counts are told of the last one to two samples of so many entries."""
_BOUNDS_MS: Final = tuple(bound_s * 1000 for bound_s in TTL_BOUNDS_S)
_NEVER: Final = len(TTL_BOUNDS_S) + 1


@final
class TtlCensus:
    """The walk over one table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._slot = 0
        self._seen = 0
        self._counts = [0] * (_NEVER + 1)
        self._before = [0] * (_NEVER + 1)

    def step(self, now_ms: int) -> None:
        """Look at some more entries, or at the next few empty slots."""
        seen, ahead = 0, range(self._slot, min(self._slot + SLOTS_PER_STEP_MAX, SLOTS_COUNT))
        self._slot = ahead.stop
        for slot in filter(self._table.slot_count, ahead):
            seen += self._look(slot, now_ms)
            if self._seen >= SAMPLE_ENTRIES or seen >= ENTRIES_PER_STEP_MAX:
                self._slot = slot + 1
                break
        if self._slot == SLOTS_COUNT or self._seen >= SAMPLE_ENTRIES:
            self._slot %= SLOTS_COUNT
            self._before, self._counts, self._seen = self._counts, [0] * (_NEVER + 1), 0

    def _look(self, slot: int, now_ms: int) -> int:
        """Count the entries of one slot; returns how many there were."""
        table, counts = self._table, self._counts
        keys = table.slot_keys(slot)[:SAMPLE_ENTRIES]
        for key in keys:
            entry = table.get(key)
            if entry is None or entry.kind == Kind.TOMBSTONE:
                continue
            left_ms = entry.expires_ms - now_ms
            counts[bisect_right(_BOUNDS_MS, left_ms) if entry.expires_ms else _NEVER] += 1
        self._seen += len(keys)
        return len(keys)

    def counts(self, entries: int) -> tuple[int, ...]:
        """Entries by the time they have left: below each of TTL_BOUNDS_S, above them, for ever.

        Args:
            entries: how many there are; the sample is scaled to them. Nothing seen yet: no counts.
        """
        sample = [before + now for before, now in zip(self._before, self._counts, strict=True)]
        seen = sum(sample)
        if not seen:
            return ()
        return tuple(round(count * entries / seen) for count in sample)
