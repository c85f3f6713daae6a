"""ARC: balances recency against frequency by what it regrets having evicted.

Entries used once are in one LRU list, entries used again in another; each has a memory of keys that
left it. A return from a memory moves the target size of the first list towards the list that was too
short. In byte capacities the lists are weighed in bytes and the memories in the bytes that their
keys once held; the table decides then (see ``balanced.BalancedOrder``), without a call for each step.

Megiddo and Modha, "ARC: a self-tuning, low overhead replacement cache", FAST 2003.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import PolicyTable
from nodecore.table.balanced import BalancedOrder
from nodecore.table.interface import Entry
from nodecore.table.plain_balance import PlainBalance
from nodecore.table.plain_ghosts import PlainMemory


@final
class Arc(Policy):
    """Adaptive replacement cache."""

    name = "arc"
    wants_hits = True

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        queues, limit = (self.queue_small, self.queue_main), self.capacity.limit
        self._order: BalancedOrder
        if self.capacity.in_objects:
            memories = PlainMemory(bytes), PlainMemory(bytes)
            self._order = PlainBalance(table, queues, limit, memories, in_objects=True)
        else:
            self._order = table.balanced_order(queues, limit)

    @property
    def bytes_per_entry(self) -> int:
        return self._order.bytes_per_entry

    @property
    def overhead_bytes(self) -> int:
        return self._order.overhead_bytes

    def before_insert(self, key: bytes) -> None:
        self._order.expect(key)

    def on_insert(self, entry: Entry) -> None:
        self._order.push(entry)

    @property
    def on_hit(self) -> Callable[[Entry], None]:
        return self._order.touch

    def victim(self) -> Entry | None:
        return self._order.victim()

    def on_evicted(self, entry: Entry) -> None:
        self._order.evicted(entry)

    def on_spared(self, entry: Entry) -> None:
        self._order.spared(entry)
