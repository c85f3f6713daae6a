"""W-TinyLFU: a newcomer stays only if it is asked for more often than what it would displace.

New entries pass through a small LRU window (1 %). What leaves the window competes with the oldest
of the main part's probation by an aged frequency sketch. The main part is a segmented LRU: a hit in
probation promotes to the protected segment (80 %), which demotes its oldest when it is full. A loser
of some frequency is let in now and then at random, so that nobody can freeze the cache by colliding
with a popular key on purpose.

Einziger, Friedman, Manes, "TinyLFU: a highly efficient cache admission policy", 2017; the random
admission follows Caffeine.
"""

from __future__ import annotations

from collections import OrderedDict
from random import Random
from typing import Final, final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import Capacity
from nodecore.storage.eviction.lru import ORDERED_BYTES_PER_ENTRY
from nodecore.storage.eviction.sketch import FrequencySketch
from nodecore.table.interface import Entry, Table

QUEUE_WINDOW: Final = 1
QUEUE_PROBATION: Final = 2
QUEUE_PROTECTED: Final = 3
_WINDOW_SHARE: Final = 0.01
_PROTECTED_SHARE: Final = 0.8
_FLOOD_FREQUENCY: Final = 6
_FLOOD_ODDS: Final = 1 / 128
_TYPICAL_ENTRY_BYTES: Final = 512
_SKETCH_KEYS_MAX: Final = 1 << 22


@final
class TinyLfu(Policy):
    """Frequency decides about admission."""

    name = "tinylfu"
    wants_hits = True
    bytes_per_entry = ORDERED_BYTES_PER_ENTRY

    def __init__(self, capacity: Capacity) -> None:
        super().__init__(capacity)
        limit = capacity.limit
        self._window_max = max(1, int(limit * _WINDOW_SHARE))
        self._protected_max = int((limit - self._window_max) * _PROTECTED_SHARE)
        keys = limit if capacity.in_objects else limit // _TYPICAL_ENTRY_BYTES
        self._sketch = FrequencySketch(min(keys, _SKETCH_KEYS_MAX))

    def bind(self, table: Table, rng: Random) -> None:
        super().bind(table, rng)
        self._rng = rng
        self._lists: dict[int, OrderedDict[bytes, Entry]] = {
            QUEUE_WINDOW: OrderedDict(),
            QUEUE_PROBATION: OrderedDict(),
            QUEUE_PROTECTED: OrderedDict(),
        }

    @property
    def overhead_bytes(self) -> int:
        entries = sum(map(len, self._lists.values()))
        return entries * ORDERED_BYTES_PER_ENTRY + self._sketch.overhead_bytes

    def _move(self, entry: Entry, queue: int) -> None:
        if entry.queue in self._lists:
            self._lists[entry.queue].pop(entry.key, None)
        self.table.assign(entry, queue)
        self._lists[queue][entry.key] = entry

    def _oldest(self, queue: int) -> Entry | None:
        return next(iter(self._lists[queue].values()), None)

    def on_insert(self, entry: Entry) -> None:
        self._sketch.add(entry.key)
        self._move(entry, QUEUE_WINDOW)
        while self.capacity.used(self.table, QUEUE_WINDOW) > self._window_max:
            oldest = self._oldest(QUEUE_WINDOW)
            if oldest is None or oldest is entry:
                break
            self._move(oldest, QUEUE_PROBATION)

    def on_hit(self, entry: Entry) -> None:
        self._sketch.add(entry.key)
        queue = entry.queue
        if queue not in self._lists or entry.key not in self._lists[queue]:
            return
        if queue != QUEUE_PROBATION:
            self._lists[queue].move_to_end(entry.key)
            return
        self._move(entry, QUEUE_PROTECTED)
        while self.capacity.used(self.table, QUEUE_PROTECTED) > self._protected_max:
            oldest = self._oldest(QUEUE_PROTECTED)
            if oldest is None or oldest is entry:
                break
            self._move(oldest, QUEUE_PROBATION)

    def on_remove(self, entry: Entry) -> None:
        if entry.queue in self._lists:
            self._lists[entry.queue].pop(entry.key, None)

    def victim(self) -> Entry | None:
        settled = self._oldest(QUEUE_PROBATION) or self._oldest(QUEUE_PROTECTED)
        candidate = self._oldest(QUEUE_WINDOW)
        if candidate is None or settled is None:
            return settled or candidate
        if self.capacity.used(self.table, QUEUE_WINDOW) < self._window_max:
            return settled
        if not self._admits(candidate, settled):
            return candidate
        self._move(candidate, QUEUE_PROBATION)
        return settled

    def _admits(self, candidate: Entry, settled: Entry) -> bool:
        asked = self._sketch.estimate(candidate.key)
        if asked > self._sketch.estimate(settled.key):
            return True
        return asked >= _FLOOD_FREQUENCY and self._rng.random() < _FLOOD_ODDS

    def on_evicted(self, entry: Entry) -> None:
        self.on_remove(entry)

    def on_spared(self, entry: Entry) -> None:
        self._lists[entry.queue].move_to_end(entry.key)
