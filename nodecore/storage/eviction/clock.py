"""CLOCK: FIFO with a second chance for entries that were read since the hand last passed.

Corbato, "A paging experiment with the Multics system", 1968; one bit, as in libCacheSim.
"""

from __future__ import annotations

from random import Random
from typing import final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import PolicyTable
from nodecore.table.interface import Entry


@final
class Clock(Policy):
    """Second chance."""

    name = "clock"

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._queue = table.entry_queue(self.queue_main)

    def on_insert(self, entry: Entry) -> None:
        entry.counter = 0
        self._queue.push(entry)

    def victim(self) -> Entry | None:
        return self._queue.pop_unread(True)

    def on_spared(self, entry: Entry) -> None:
        self._queue.rotate(entry)
