"""Walks the whole table a little at a time, after a new gate generation or a flush.

Every entry is let back into the gate, or removed when it belongs to a flushed generation. Slots
below ``slot`` are done; a change while the walk is under way starts it again. The store decides
what removing means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from nodecore.ids import SLOTS_COUNT
from nodecore.table.interface import Table


@final
class Sweep:
    """One walk at a time.

    Args:
        table: whose entries are visited.
        remove: called with keys whose clock value is at or below the flushed one.
    """

    def __init__(self, table: Table, remove: Callable[[bytes], None]) -> None:
        self._table = table
        self._remove = remove
        self._generation = table.generation
        self._flushed = 0
        self._keys: list[bytes] = []
        self.slot = SLOTS_COUNT

    @property
    def running(self) -> bool:
        """Whether entries are left to visit."""
        return self.slot < SLOTS_COUNT

    def may_hold_flushed(self, slot: int) -> bool:
        """Whether entries of a flushed generation may still stand in this slot."""
        return self._flushed > 0 and slot >= self.slot

    def start(self, flushed_hlc: int) -> None:
        """Begin at the first slot."""
        self._flushed = flushed_hlc
        self._generation = self._table.generation
        self._keys = []
        self.slot = 0

    def step(self, flushed_hlc: int, entries_max: int) -> int:
        """Visit up to ``entries_max`` entries; returns how many."""
        table = self._table
        if table.generation != self._generation:
            self.start(flushed_hlc)
        visited = 0
        while self.slot < SLOTS_COUNT and visited < entries_max:
            if not self._keys:
                filled = filter(table.slot_count, range(self.slot, SLOTS_COUNT))
                self.slot = next(filled, SLOTS_COUNT)
                if self.slot == SLOTS_COUNT:
                    break
                self._keys = table.slot_keys(self.slot)
            batch = self._keys[-(entries_max - visited) :]
            del self._keys[-len(batch) :]
            for key in batch:
                entry = table.get(key)
                if entry is None:
                    continue
                if entry.hlc <= self._flushed:
                    self._remove(key)
                elif entry.generation != table.generation:
                    table.readmit(key, entry)
            visited += len(batch)
            if not self._keys:
                self.slot += 1
        return visited
