"""W-TinyLFU: a newcomer stays only if it is asked for more often than what it would displace.

New entries pass through an LRU window. What leaves the window competes with the oldest of the main
part's probation by an aged frequency sketch; the request that brought it in does not count, or on a
loop every newcomer would win by one. The main part is a segmented LRU: a hit in probation promotes
to the protected segment (80 %), which demotes its oldest when it is full. The window begins at 1 %
and climbs towards more hits (``window_climber``). A loser of some frequency is let in now and then at
random, so that nobody can freeze the cache by colliding with a popular key on purpose.

Einziger, Friedman, Manes, "TinyLFU: a highly efficient cache admission policy", 2017; Einziger,
Eytan, Friedman, Manes, "Adaptive software cache management", 2018; the random admission follows
Caffeine.
"""

from __future__ import annotations

from collections import OrderedDict
from random import Random
from typing import Final, final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import Capacity, PolicyTable
from nodecore.storage.eviction.sketch import FrequencySketch
from nodecore.storage.eviction.window_climber import WINDOW_SHARE_MIN, WindowClimber
from nodecore.table.interface import Entry

_QUEUE_PROTECTED: Final = 3
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

    def __init__(self, capacity: Capacity) -> None:
        super().__init__(capacity)
        limit = capacity.limit
        self._resize_window(WINDOW_SHARE_MIN)
        self._climber = WindowClimber()
        keys = limit if capacity.in_objects else limit // _TYPICAL_ENTRY_BYTES
        self._sketch = FrequencySketch(min(keys, _SKETCH_KEYS_MAX))

    def use_queues(self, base: int) -> None:
        super().use_queues(base)
        self._window, self._probation = self.queue_small, self.queue_main
        self._protected = base + _QUEUE_PROTECTED

    def _resize_window(self, share: float) -> None:
        """Entries move over as they come and go."""
        limit = self.capacity.limit
        self._window_max = max(1, int(limit * share))
        self._protected_max = int((limit - self._window_max) * _PROTECTED_SHARE)

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._rng = rng
        self._lists: dict[int, OrderedDict[bytes, Entry]] = {
            self._window: OrderedDict(),
            self._probation: OrderedDict(),
            self._protected: OrderedDict(),
        }

    @property
    def bytes_per_entry(self) -> int:
        return 130

    @property
    def overhead_bytes(self) -> int:
        entries = sum(map(len, self._lists.values()))
        return entries * 130 + self._sketch.overhead_bytes

    def _move(self, entry: Entry, queue: int) -> None:
        if entry.queue in self._lists:
            self._lists[entry.queue].pop(entry.key, None)
        self.table.assign(entry, queue)
        self._lists[queue][entry.key] = entry

    def _oldest(self, queue: int) -> Entry | None:
        return next(iter(self._lists[queue].values()), None)

    def _observe(self, key: bytes, hit: bool) -> None:
        self._sketch.add(key)
        if self._climber.observe(hit, len(self.table)):
            self._resize_window(self._climber.share)

    def on_insert(self, entry: Entry) -> None:
        self._observe(entry.key, hit=False)
        self._move(entry, self._window)
        while self.capacity.used(self.table, self._window) > self._window_max:
            oldest = self._oldest(self._window)
            if oldest is None or oldest is entry:
                break
            self._move(oldest, self._probation)

    def on_hit(self, entry: Entry) -> None:
        self._observe(entry.key, hit=True)
        queue = entry.queue
        if queue not in self._lists or entry.key not in self._lists[queue]:
            return
        if queue != self._probation:
            self._lists[queue].move_to_end(entry.key)
            return
        self._move(entry, self._protected)
        while self.capacity.used(self.table, self._protected) > self._protected_max:
            oldest = self._oldest(self._protected)
            if oldest is None or oldest is entry:
                break
            self._move(oldest, self._probation)

    def on_remove(self, entry: Entry) -> None:
        if entry.queue in self._lists:
            self._lists[entry.queue].pop(entry.key, None)

    def victim(self) -> Entry | None:
        settled = self._oldest(self._probation) or self._oldest(self._protected)
        candidate = self._oldest(self._window)
        if candidate is None or settled is None:
            return settled or candidate
        if self.capacity.used(self.table, self._window) < self._window_max:
            return settled
        if not self._admits(candidate, settled):
            return candidate
        self._move(candidate, self._probation)
        return settled

    def _admits(self, candidate: Entry, settled: Entry) -> bool:
        asked = self._sketch.estimate(candidate.key)
        if asked - 1 > self._sketch.estimate(settled.key):
            return True
        return asked >= _FLOOD_FREQUENCY and self._rng.random() < _FLOOD_ODDS

    def on_evicted(self, entry: Entry) -> None:
        self.on_remove(entry)

    def on_spared(self, entry: Entry) -> None:
        self._lists[entry.queue].move_to_end(entry.key)
