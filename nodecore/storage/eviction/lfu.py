"""LFU: the entry with the fewest uses goes; among equals, the one that has been there longest.

Uses are halved now and then (``lfu``), so that what was popular long ago can leave; ``lfu-unaged``
never forgets, which some traces punish badly: a yardstick. Constant time: one ordered dict per
count, and the least count remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from random import Random
from typing import Final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import Capacity, PolicyTable
from nodecore.table.interface import Entry

_HALVE_EVERY: Final = 10
"""Counts are halved after this many uses per resident entry."""
LFU_BYTES_PER_ENTRY: Final = 260


class Lfu(Policy):
    """Least frequently used."""

    name = "lfu"
    wants_hits = True
    bytes_per_entry = LFU_BYTES_PER_ENTRY
    ages = True

    def __init__(self, capacity: Capacity) -> None:
        super().__init__(capacity)
        self._uses_of: dict[bytes, int] = {}
        self._by_uses: dict[int, OrderedDict[bytes, Entry]] = {}
        self._least = 1
        self._seen = 0

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._uses_of.clear()
        self._by_uses.clear()
        self._least, self._seen = 1, 0

    @property
    def overhead_bytes(self) -> int:
        return len(self._uses_of) * LFU_BYTES_PER_ENTRY

    def _place(self, entry: Entry, uses: int) -> None:
        self._uses_of[entry.key] = uses
        group = self._by_uses.get(uses)
        if group is None:
            group = self._by_uses[uses] = OrderedDict()
        group[entry.key] = entry

    def _leave(self, key: bytes) -> int:
        """Take a key out of its group; returns its uses, 0 when it is not here."""
        uses = self._uses_of.pop(key, 0)
        if uses:
            group = self._by_uses[uses]
            del group[key]
            if not group:
                del self._by_uses[uses]
        return uses

    def on_insert(self, entry: Entry) -> None:
        self.table.assign(entry, self.queue_main)
        self._leave(entry.key)
        self._place(entry, 1)
        self._least = 1

    def on_hit(self, entry: Entry) -> None:
        uses = self._leave(entry.key)
        if not uses:
            return
        self._place(entry, uses + 1)
        if uses == self._least and uses not in self._by_uses:
            self._least = uses + 1
        self._seen += 1
        if self.ages and self._seen >= _HALVE_EVERY * max(64, len(self._uses_of)):
            self._halve()

    def _halve(self) -> None:
        self._seen = 0
        groups = sorted(self._by_uses.items())
        self._by_uses = {}
        for uses, group in groups:
            for entry in group.values():
                self._place(entry, max(1, uses // 2))
        self._least = min(self._by_uses, default=1)

    def on_remove(self, entry: Entry) -> None:
        self._leave(entry.key)

    def victim(self) -> Entry | None:
        if not self._by_uses:
            return None
        if self._least not in self._by_uses:
            self._least = min(self._by_uses)
        return next(iter(self._by_uses[self._least].values()))

    def on_evicted(self, entry: Entry) -> None:
        self._leave(entry.key)

    def on_spared(self, entry: Entry) -> None:
        """Counts as the latest among the most used, so that it is proposed last."""
        self._leave(entry.key)
        self._place(entry, max(self._by_uses, default=1))


class UnagedLfu(Lfu):
    """Least frequently used, counts never forgotten."""

    name = "lfu-unaged"
    ages = False
