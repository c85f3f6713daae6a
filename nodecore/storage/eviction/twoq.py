"""2Q: newcomers pass through a FIFO; only a key that returns after leaving it enters the LRU.

The FIFO may hold a quarter of the capacity, the memory of what left it half as many keys as fit.
A hit in the FIFO changes nothing, so a burst on one key does not count as popularity.
Johnson and Shasha, "2Q: a low overhead high performance buffer management replacement algorithm",
VLDB 1994 (the full version).
"""

from __future__ import annotations

from collections import OrderedDict
from random import Random
from typing import Final, final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.entry_queue import EntryQueue
from nodecore.storage.eviction.ghosts import CompactGhosts, ExactGhosts, Ghosts
from nodecore.storage.eviction.interface import Capacity, PolicyTable
from nodecore.storage.eviction.lru import ORDERED_BYTES_PER_ENTRY
from nodecore.table.interface import Entry

_IN_SHARE: Final = 0.25
_OUT_SHARE: Final = 0.5


@final
class TwoQ(Policy):
    """Two queues."""

    name = "twoq"
    wants_hits = True
    bytes_per_entry = ORDERED_BYTES_PER_ENTRY

    def __init__(self, capacity: Capacity) -> None:
        super().__init__(capacity)
        self._in_max = int(capacity.limit * _IN_SHARE)
        self._expected: tuple[bytes, bool] | None = None

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._in = EntryQueue(table, self.queue_small)
        self._main: OrderedDict[bytes, Entry] = OrderedDict()
        self._out: Ghosts
        if self.capacity.in_objects:
            self._out = ExactGhosts(int(self.capacity.limit * _OUT_SHARE))
        else:
            self._out = CompactGhosts(lambda: len(table) // 2 + 64)

    @property
    def overhead_bytes(self) -> int:
        return len(self._main) * ORDERED_BYTES_PER_ENTRY + self._out.overhead_bytes

    def before_insert(self, key: bytes) -> None:
        self._expected = (key, self._out.take(key))

    def on_insert(self, entry: Entry) -> None:
        expected, self._expected = self._expected, None
        if expected is not None and expected[0] == entry.key:
            returns = expected[1]
        else:
            returns = self._out.take(entry.key)
        if returns:
            self.table.assign(entry, self.queue_main)
            self._main[entry.key] = entry
        else:
            self._in.push(entry)

    def on_hit(self, entry: Entry) -> None:
        if entry.queue == self.queue_main and entry.key in self._main:
            self._main.move_to_end(entry.key)

    def on_remove(self, entry: Entry) -> None:
        if entry.queue == self.queue_main:
            self._main.pop(entry.key, None)

    def victim(self) -> Entry | None:
        oldest_main = next(iter(self._main.values()), None)
        if oldest_main is None or self.capacity.used(self.table, self.queue_small) > self._in_max:
            return self._in.pop() or oldest_main
        return oldest_main

    def on_evicted(self, entry: Entry) -> None:
        if entry.queue == self.queue_small:
            self._out.add(entry.key)
        else:
            del self._main[entry.key]

    def on_spared(self, entry: Entry) -> None:
        if entry.queue == self.queue_small:
            self._in.rotate(entry)
        else:
            self._main.move_to_end(entry.key)
