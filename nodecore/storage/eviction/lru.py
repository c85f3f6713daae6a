"""LRU: the entry that was not used for longest goes.

Order is an ``OrderedDict``: taking the front of a plain dict again and again walks over the holes
that removal leaves. Uses are reported per tick, so the order within a tick is that of the touches.
"""

from __future__ import annotations

from collections import OrderedDict
from random import Random
from typing import Final, final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import PolicyTable
from nodecore.table.interface import Entry

ORDERED_BYTES_PER_ENTRY: Final = 130
"""Cell and link of one entry in an OrderedDict, measured."""


@final
class Lru(Policy):
    """Least recently used."""

    name = "lru"
    wants_hits = True
    bytes_per_entry = ORDERED_BYTES_PER_ENTRY

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._order: OrderedDict[bytes, Entry] = OrderedDict()

    @property
    def overhead_bytes(self) -> int:
        return len(self._order) * ORDERED_BYTES_PER_ENTRY

    def on_insert(self, entry: Entry) -> None:
        self.table.assign(entry, self.queue_main)
        self._order[entry.key] = entry
        self._order.move_to_end(entry.key)

    def on_hit(self, entry: Entry) -> None:
        # Looked up once: what is not here is rare, and costs more only then.
        try:
            self._order.move_to_end(entry.key)
        except KeyError:
            return

    def on_remove(self, entry: Entry) -> None:
        self._order.pop(entry.key, None)

    def victim(self) -> Entry | None:
        return next(iter(self._order.values()), None)

    def on_evicted(self, entry: Entry) -> None:
        del self._order[entry.key]

    def on_spared(self, entry: Entry) -> None:
        self._order.move_to_end(entry.key)
