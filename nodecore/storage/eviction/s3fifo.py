"""S3-FIFO: a small queue that most entries do not outlive, a main queue, and a memory of the evicted.

New entries enter the small queue (a tenth of the capacity). Whoever was read twice when its turn
comes moves to the main queue; the others go and are remembered. A remembered key that returns enters
the main queue at once. The main queue is a clock with a counter up to 3. A hit writes no order, so
the gate's counter is all that it costs. The default policy.

Objects larger than a tenth of a byte capacity would flush the small queue: they are the first to go
unless they return. Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are all you need for cache eviction",
SOSP 2023; while nothing was ever evicted, entries beyond the small queue's share go to the main
queue, as in libCacheSim.
"""

from __future__ import annotations

from random import Random
from typing import Final, final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.ghosts import ExactGhosts
from nodecore.storage.eviction.interface import Capacity, PolicyTable
from nodecore.table.interface import Entry
from nodecore.table.memories import Ghosts

SMALL_SHARE: Final = 0.1
READS_TO_STAY: Final = 2


@final
class S3Fifo(Policy):
    """Three static FIFO queues."""

    name = "s3fifo"

    def __init__(self, capacity: Capacity) -> None:
        super().__init__(capacity)
        self._small_max = int(capacity.limit * SMALL_SHARE)
        self._main_max = capacity.limit - self._small_max
        self._expected: tuple[bytes, bool] | None = None
        self._has_evicted = False

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._small = table.entry_queue(self.queue_small)
        self._main = table.entry_queue(self.queue_main)
        self._used = table.queue_count if self.capacity.in_objects else table.queue_bytes
        self._ghosts: Ghosts
        if self.capacity.in_objects:
            self._ghosts = ExactGhosts(self._main_max)
        else:
            self._ghosts = table.ghosts(lambda: table.queue_count(self.queue_main) + 64)

    @property
    def overhead_bytes(self) -> int:
        return self._ghosts.overhead_bytes

    def before_insert(self, key: bytes) -> None:
        self._expected = (key, self._ghosts.take(key))

    def on_insert(self, entry: Entry) -> None:
        expected, self._expected = self._expected, None
        if expected is not None and expected[0] == entry.key:
            returns = expected[1]
        else:
            returns = self._ghosts.take(entry.key)
        entry.counter = 0
        filling = not self._has_evicted and (self._used(self.queue_small) >= self._small_max)
        (self._main if returns or filling else self._small).push(entry)

    def victim(self) -> Entry | None:
        self._has_evicted = True
        small, main = self._small, self._main
        while True:
            main_full = self._used(self.queue_main) > self._main_max
            # Whoever was read often enough in the small queue moves on.
            entry = None if main_full else small.pop_below(READS_TO_STAY, main)
            if entry is None:
                entry = main.pop_unread(False)
            if entry is None and main_full:
                entry = small.pop_below(READS_TO_STAY, main)
            if entry is not None or not len(main):
                return entry

    def on_evicted(self, entry: Entry) -> None:
        if entry.queue == self.queue_small:
            self._ghosts.add(entry.key)

    def on_spared(self, entry: Entry) -> None:
        (self._small if entry.queue == self.queue_small else self._main).rotate(entry)
