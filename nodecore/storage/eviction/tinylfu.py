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

from collections.abc import Callable
from random import Random
from typing import Final, final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import Capacity, PolicyTable
from nodecore.storage.eviction.window_climber import WindowClimber
from nodecore.table.interface import Entry

_QUEUE_PROTECTED: Final = 3
_PROTECTED_SHARE: Final = 0.8
_FLOOD_FREQUENCY: Final = 6
_FLOOD_ODDS: Final = 1 / 128
_INSERTED_TOGETHER: Final = 16
"""Insertions after which the climber hears of them."""
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
        keys = limit if capacity.in_objects else limit // _TYPICAL_ENTRY_BYTES
        self._keys = min(keys, _SKETCH_KEYS_MAX)
        self._climber = WindowClimber()
        self._inserted = 0

    def use_queues(self, base: int) -> None:
        super().use_queues(base)
        self._protected = base + _QUEUE_PROTECTED

    def _resize_window(self, share: float) -> None:
        """Entries move over as they come and go."""
        limit, segments = self.capacity.limit, self._segments
        segments.window_max = max(1, int(limit * share))
        segments.protected_max = int((limit - segments.window_max) * _PROTECTED_SHARE)

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._rng = rng
        queues = self.queue_small, self.queue_main, self._protected
        self._segments = table.segmented_order(queues, self._keys, self.capacity.in_objects)
        self._resize_window(self._climber.share)

    @property
    def bytes_per_entry(self) -> int:
        return self._segments.bytes_per_entry

    @property
    def overhead_bytes(self) -> int:
        return self._segments.overhead_bytes

    def on_insert(self, entry: Entry) -> None:
        self._segments.push(entry)
        self._inserted += 1
        if self._inserted == _INSERTED_TOGETHER:
            self._inserted = 0
            uses = self._segments.take_uses()
            if self._climber.observe(uses, _INSERTED_TOGETHER, len(self.table)):
                self._resize_window(self._climber.share)

    @property
    def on_hit(self) -> Callable[[Entry], None]:
        return self._segments.touch

    def _lets_in(self) -> bool:
        return self._rng.random() < _FLOOD_ODDS

    def victim(self) -> Entry | None:
        return self._segments.victim(_FLOOD_FREQUENCY, self._lets_in)

    def on_spared(self, entry: Entry) -> None:
        self._segments.spared(entry)
