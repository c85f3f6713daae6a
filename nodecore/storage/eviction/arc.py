"""ARC: balances recency against frequency by what it regrets having evicted.

Entries used once are in one LRU list, entries used again in another; each has a memory of keys that
left it. A return from a memory moves the target size of the first list towards the list that was too
short. In byte capacities the lists are weighed in bytes and the memories in the bytes that their
keys once held.

Megiddo and Modha, "ARC: a self-tuning, low overhead replacement cache", FAST 2003.
"""

from __future__ import annotations

from collections import OrderedDict
from random import Random
from typing import Final, final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import Capacity, PolicyTable
from nodecore.storage.eviction.lru import ORDERED_BYTES_PER_ENTRY
from nodecore.table.interface import Entry

_GHOST_BYTES: Final = 230


@final
class _Memory:
    """Keys that left a list, oldest first, with the size that each had."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[bytes, int] = OrderedDict()
        self.total = 0

    def __contains__(self, key: bytes) -> bool:
        return key in self._sizes

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, key: bytes, size: int) -> None:
        self.total += size - self._sizes.pop(key, 0)
        self._sizes[key] = size

    def discard(self, key: bytes) -> None:
        self.total -= self._sizes.pop(key, 0)

    def drop_oldest(self) -> None:
        self.total -= self._sizes.popitem(last=False)[1]


@final
class Arc(Policy):
    """Adaptive replacement cache."""

    name = "arc"
    wants_hits = True
    bytes_per_entry = ORDERED_BYTES_PER_ENTRY

    def __init__(self, capacity: Capacity) -> None:
        super().__init__(capacity)
        self._target = 0.0
        self._recent: OrderedDict[bytes, Entry] = OrderedDict()
        self._frequent: OrderedDict[bytes, Entry] = OrderedDict()
        self._left_recent, self._left_frequent = _Memory(), _Memory()
        self._arriving: bytes | None = None
        self._returns_to_frequent = False
        self._forget_victim = False

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._target = 0.0
        self._recent.clear()
        self._frequent.clear()
        self._left_recent, self._left_frequent = _Memory(), _Memory()
        self._arriving = None

    @property
    def overhead_bytes(self) -> int:
        entries = len(self._recent) + len(self._frequent)
        ghosts = len(self._left_recent) + len(self._left_frequent)
        return entries * ORDERED_BYTES_PER_ENTRY + ghosts * _GHOST_BYTES

    def _used(self, queue: int) -> int:
        return self.capacity.used(self.table, queue)

    def _size(self, entry: Entry) -> int:
        return 1 if self.capacity.in_objects else entry.size

    def before_insert(self, key: bytes) -> None:
        self._arriving = key
        limit = self.capacity.limit
        recent, frequent = self._left_recent, self._left_frequent
        self._forget_victim = False
        self._returns_to_frequent = key in frequent
        step_unit = 1.0 if self.capacity.in_objects else float(self._mean_bytes())
        if key in recent:
            step = max(1.0, frequent.total / max(1, recent.total)) * step_unit
            self._target = min(float(limit), self._target + step)
            return
        if self._returns_to_frequent:
            step = max(1.0, recent.total / max(1, frequent.total)) * step_unit
            self._target = max(0.0, self._target - step)
            return
        used = self._used(self.queue_small)
        if used + recent.total >= limit:
            # The first list fills its share alone: what leaves it now is not worth remembering.
            self._forget_victim = used >= limit
            while len(recent) and used + recent.total >= limit:
                recent.drop_oldest()
        else:
            total = used + self._used(self.queue_main) + recent.total + frequent.total
            while len(frequent) and total >= 2 * limit:
                before = frequent.total
                frequent.drop_oldest()
                total -= before - frequent.total

    def _mean_bytes(self) -> int:
        return max(1, self.table.bytes_used // max(1, len(self.table)))

    def on_insert(self, entry: Entry) -> None:
        if self._arriving != entry.key and (self._left_recent or self._left_frequent):
            self.before_insert(entry.key)
        self._arriving = None
        self._forget_victim = False
        if entry.key in self._left_recent or entry.key in self._left_frequent:
            self._left_recent.discard(entry.key)
            self._left_frequent.discard(entry.key)
            self.table.assign(entry, self.queue_main)
            self._frequent[entry.key] = entry
        else:
            self.table.assign(entry, self.queue_small)
            self._recent[entry.key] = entry

    def on_hit(self, entry: Entry) -> None:
        if entry.key in self._recent:
            del self._recent[entry.key]
            self.table.assign(entry, self.queue_main)
            self._frequent[entry.key] = entry
        elif entry.key in self._frequent:
            self._frequent.move_to_end(entry.key)

    def on_remove(self, entry: Entry) -> None:
        self._recent.pop(entry.key, None)
        self._frequent.pop(entry.key, None)

    def victim(self) -> Entry | None:
        used = self._used(self.queue_small)
        returns = self._arriving is not None and self._returns_to_frequent
        from_recent = bool(self._recent) and (
            self._forget_victim
            or used > self._target
            or (returns and used == self._target)
            or not self._frequent
        )
        order = self._recent if from_recent else self._frequent
        return next(iter(order.values()), None)

    def on_evicted(self, entry: Entry) -> None:
        if entry.key in self._recent:
            del self._recent[entry.key]
            if not self._forget_victim:
                self._left_recent.add(entry.key, self._size(entry))
        else:
            self._frequent.pop(entry.key, None)
            self._left_frequent.add(entry.key, self._size(entry))
        self._bound_memories()

    def _bound_memories(self) -> None:
        """Never remember more than another capacity's worth, nor more keys than entries."""
        for memory in (self._left_recent, self._left_frequent):
            while len(memory) and memory.total > self.capacity.limit:
                memory.drop_oldest()
            if not self.capacity.in_objects:
                while len(memory) > len(self.table) // 2 + 16:
                    memory.drop_oldest()

    def on_spared(self, entry: Entry) -> None:
        order = self._recent if entry.key in self._recent else self._frequent
        order.move_to_end(entry.key)
