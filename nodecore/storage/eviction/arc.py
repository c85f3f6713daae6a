"""ARC: balances recency against frequency by what it regrets having evicted.

Entries used once are in one LRU list, entries used again in another; each has a memory of keys that
left it. A return from a memory moves the target size of the first list towards the list that was too
short. In byte capacities the lists are weighed in bytes and the memories in the bytes that their
keys once held.

Megiddo and Modha, "ARC: a self-tuning, low overhead replacement cache", FAST 2003.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.ghosts import ExactMemory
from nodecore.storage.eviction.interface import Capacity, PolicyTable
from nodecore.table.interface import Entry
from nodecore.table.memories import KeyMemory


@final
class Arc(Policy):
    """Adaptive replacement cache."""

    name = "arc"
    wants_hits = True

    def __init__(self, capacity: Capacity) -> None:
        super().__init__(capacity)
        self._target = 0.0
        self._arriving: bytes | None = None
        self._returns = self._returns_to_frequent = False
        self._forget_victim = False

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._target = 0.0
        self._recent = table.entry_queue(self.queue_small)
        self._frequent = table.entry_order(self.queue_main, feeder=self.queue_small)
        in_objects = self.capacity.in_objects
        self._used = table.queue_count if in_objects else table.queue_bytes
        self._left_recent: KeyMemory = ExactMemory() if in_objects else table.key_memory()
        self._left_frequent: KeyMemory = ExactMemory() if in_objects else table.key_memory()
        self._arriving = None

    @property
    def bytes_per_entry(self) -> int:
        return self._frequent.bytes_per_entry

    @property
    def overhead_bytes(self) -> int:
        orders = self._frequent.bytes_per_entry * (len(self._recent) + len(self._frequent))
        ghosts = self._left_recent.overhead_bytes + self._left_frequent.overhead_bytes
        return orders + ghosts

    def before_insert(self, key: bytes) -> None:
        self._arriving = key
        recent, frequent = self._left_recent, self._left_frequent
        self._forget_victim = False
        to_recent = key in recent
        self._returns_to_frequent = not to_recent and key in frequent
        self._returns = to_recent or self._returns_to_frequent
        if self._returns:
            self._regret(recent.total, frequent.total)
            return
        limit, used = self.capacity.limit, self._used(self.queue_small)
        if used + recent.total >= limit:
            # The first list fills its share alone: what leaves it now is not worth remembering.
            self._forget_victim = used >= limit
            recent.shrink(limit - used - 1)
        else:
            held = used + self._used(self.queue_main) + recent.total
            frequent.shrink(2 * limit - held - 1)

    def _regret(self, recent: int, frequent: int) -> None:
        """Move the target towards the list that was too short, by the sizes of both memories."""
        limit = float(self.capacity.limit)
        unit = 1.0 if self.capacity.in_objects else float(self._mean_bytes())
        if self._returns_to_frequent:
            self._target = max(0.0, self._target - max(1.0, recent / max(1, frequent)) * unit)
        else:
            self._target = min(limit, self._target + max(1.0, frequent / max(1, recent)) * unit)

    def _mean_bytes(self) -> int:
        return max(1, self.table.bytes_used // max(1, len(self.table)))

    def on_insert(self, entry: Entry) -> None:
        key = entry.key
        if self._arriving != key:
            self.before_insert(key)
        self._arriving = None
        self._forget_victim = False
        if self._returns:
            self._left_recent.discard(key)
            self._left_frequent.discard(key)
            self._frequent.push(entry)
        else:
            self._recent.push(entry)

    @property
    def on_hit(self) -> Callable[[Entry], None]:
        return self._frequent.touch

    def victim(self) -> Entry | None:
        used = self._used(self.queue_small)
        returns = self._arriving is not None and self._returns_to_frequent
        wanted = self._forget_victim or used > self._target or (returns and used == self._target)
        if len(self._recent) and (wanted or not len(self._frequent)):
            return self._recent.pop()
        return self._frequent.oldest()

    def on_evicted(self, entry: Entry) -> None:
        if entry.queue != self.queue_small:
            memory = self._left_frequent
        elif self._forget_victim:
            return
        else:
            memory = self._left_recent
        # Never another capacity's worth, nor in bytes more keys than half as many as there are entries.
        limit = self.capacity.limit
        if self.capacity.in_objects:
            memory.add(entry.key, 1, limit, limit)
        else:
            memory.add(entry.key, entry.size, limit, len(self.table) // 2 + 16)

    def on_spared(self, entry: Entry) -> None:
        if entry.queue == self.queue_small:
            self._recent.rotate(entry)
        else:
            self._frequent.touch(entry)
