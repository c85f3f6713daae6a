"""2Q: newcomers pass through a FIFO; only a key that returns after leaving it enters the LRU.

The FIFO may hold a quarter of the capacity, the memory of what left it half as many keys as fit.
A hit in the FIFO changes nothing, so a burst on one key does not count as popularity.
Johnson and Shasha, "2Q: a low overhead high performance buffer management replacement algorithm",
VLDB 1994 (the full version).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.ghosts import ExactGhosts
from nodecore.storage.eviction.interface import Capacity, PolicyTable
from nodecore.table.interface import Entry
from nodecore.table.memories import Ghosts

_IN_SHARE: Final = 0.25
_OUT_SHARE: Final = 0.5


@final
class TwoQ(Policy):
    """Two queues."""

    name = "twoq"
    wants_hits = True

    def __init__(self, capacity: Capacity) -> None:
        super().__init__(capacity)
        self._in_max = int(capacity.limit * _IN_SHARE)
        self._expected: tuple[bytes, bool] | None = None

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._in = table.entry_queue(self.queue_small)
        self._main = table.entry_order(self.queue_main)
        self._used = table.queue_count if self.capacity.in_objects else table.queue_bytes
        self._out: Ghosts
        if self.capacity.in_objects:
            self._out = ExactGhosts(int(self.capacity.limit * _OUT_SHARE))
        else:
            self._out = table.ghosts(lambda: len(table) // 2 + 64)

    @property
    def bytes_per_entry(self) -> int:
        return self._main.bytes_per_entry

    @property
    def overhead_bytes(self) -> int:
        orders = self._main.bytes_per_entry * (len(self._in) + len(self._main))
        return orders + self._out.overhead_bytes

    def before_insert(self, key: bytes) -> None:
        self._expected = (key, self._out.take(key))

    def on_insert(self, entry: Entry) -> None:
        expected, self._expected = self._expected, None
        if expected is not None and expected[0] == entry.key:
            returns = expected[1]
        else:
            returns = self._out.take(entry.key)
        if returns:
            self._main.push(entry)
        else:
            self._in.push(entry)

    @property
    def on_hit(self) -> Callable[[Entry], None]:
        return self._main.touch

    def victim(self) -> Entry | None:
        if len(self._main) and self._used(self.queue_small) <= self._in_max:
            return self._main.oldest()
        return self._in.pop() or self._main.oldest()

    def on_evicted(self, entry: Entry) -> None:
        if entry.queue == self.queue_small:
            self._out.add(entry.key)

    def on_spared(self, entry: Entry) -> None:
        if entry.queue == self.queue_small:
            self._in.rotate(entry)
        else:
            self._main.touch(entry)
