"""GDSF: weighs frequency against size, so that one large entry does not displace many small ones.

Worth = L + uses / size, where L is the worth of the last victim: age enters by itself. It minimises
misses of objects and pays in missed bytes.

Cherkasova, "Improving WWW proxies performance with greedy-dual-size-frequency caching", 1998.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import PolicyTable
from nodecore.table.interface import Entry


@final
class Gdsf(Policy):
    """Greedy dual size frequency."""

    name = "gdsf"
    wants_hits = True

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._order = table.worth_order(self.queue_main)

    @property
    def bytes_per_entry(self) -> int:
        return self._order.bytes_per_entry

    @property
    def overhead_bytes(self) -> int:
        return self._order.overhead_bytes

    def on_insert(self, entry: Entry) -> None:
        self._order.push(entry)

    @property
    def on_hit(self) -> Callable[[Entry], None]:
        return self._order.use

    def on_remove(self, entry: Entry) -> None:
        self._order.leave(entry)

    def victim(self) -> Entry | None:
        return self._order.worst()

    def on_evicted(self, entry: Entry) -> None:
        self._order.evicted(entry)

    def on_spared(self, entry: Entry) -> None:
        self._order.defer(entry)
