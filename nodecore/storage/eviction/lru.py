"""LRU: the entry that was not used for longest goes.

Uses are reported per tick, so the order within a tick is that of the touches.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import PolicyTable
from nodecore.table.interface import Entry


@final
class Lru(Policy):
    """Least recently used."""

    name = "lru"
    wants_hits = True

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._order = table.entry_order(self.queue_main)

    @property
    def bytes_per_entry(self) -> int:
        return self._order.bytes_per_entry

    @property
    def overhead_bytes(self) -> int:
        return self._order.overhead_bytes

    def on_insert(self, entry: Entry) -> None:
        self._order.push(entry)

    @property
    def on_hit(self) -> Callable[[Entry], None]:
        """Straight into the order: a call in between would cost as much again."""
        return self._order.touch

    def victim(self) -> Entry | None:
        return self._order.oldest()

    def on_spared(self, entry: Entry) -> None:
        self._order.touch(entry)
