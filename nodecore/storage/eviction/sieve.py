"""SIEVE: a FIFO whose hand spares what was read, without moving it.

Entries stand in order of insertion; a hand walks from old to new, clears the mark of what was read
and takes the first that was not. What was spared keeps its place, so one-time entries that arrive
later go before it. Not resistant to scans and loops: an alternative, not the default.

Zhang, Yang, Yue, Vigfusson, Rashmi, "SIEVE is simpler than LRU", NSDI 2024; kept as a log with a
hand, which evicts exactly what the linked list of the paper evicts.
"""

from __future__ import annotations

from random import Random
from typing import final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import PolicyTable
from nodecore.table.interface import Entry


@final
class Sieve(Policy):
    """Lazy promotion, quick demotion."""

    name = "sieve"

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._ring = table.entry_ring(self.queue_main)

    def on_insert(self, entry: Entry) -> None:
        entry.counter = 0
        self._ring.push(entry)

    def on_remove(self, entry: Entry) -> None:
        self._ring.leave(entry)

    def victim(self) -> Entry | None:
        return self._ring.unread()

    def on_evicted(self, entry: Entry) -> None:
        self._ring.advance()

    def on_spared(self, entry: Entry) -> None:
        self._ring.advance()
