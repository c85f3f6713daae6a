"""TTL: what expires soonest goes first; what never expires goes last, oldest first."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import PolicyTable
from nodecore.table.interface import Entry


@final
class Ttl(Policy):
    """Soonest expiry first."""

    name = "ttl"
    wants_hits = True

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._order = table.expiry_order(self.queue_main)

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
        """An overwritten entry is told as a hit: it may expire at another time."""
        return self._order.review

    def on_remove(self, entry: Entry) -> None:
        self._order.leave(entry)

    def victim(self) -> Entry | None:
        return self._order.worst()

    def on_evicted(self, entry: Entry) -> None:
        self._order.leave(entry)

    def on_spared(self, entry: Entry) -> None:
        """Goes behind everything until its expiry changes."""
        self._order.defer(entry)
