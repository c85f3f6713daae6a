"""FIFO: the oldest entry goes, whatever was read meanwhile. The cheapest policy, and a yardstick."""

from __future__ import annotations

from random import Random
from typing import final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import PolicyTable
from nodecore.table.interface import Entry


@final
class Fifo(Policy):
    """First in, first out."""

    name = "fifo"

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._queue = table.entry_queue(self.queue_main)

    def on_insert(self, entry: Entry) -> None:
        self._queue.push(entry)

    def victim(self) -> Entry | None:
        return self._queue.pop()

    def on_spared(self, entry: Entry) -> None:
        self._queue.rotate(entry)
