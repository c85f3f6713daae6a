"""LFU: the entry with the fewest uses goes; among equals, the one that has been there longest.

Uses are halved now and then (``lfu``), so that what was popular long ago can leave; ``lfu-unaged``
never forgets, which some traces punish badly: a yardstick. Constant time: one order per count, and
the least count remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import PolicyTable
from nodecore.table.interface import Entry

_HALVE_EVERY: Final = 10
"""Counts are halved after this many uses per resident entry."""


class Lfu(Policy):
    """Least frequently used."""

    name = "lfu"
    wants_hits = True
    halve_every = _HALVE_EVERY

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._order = table.use_order(self.queue_main, self.halve_every)

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
        self._order.leave(entry)

    def on_spared(self, entry: Entry) -> None:
        """Counts as the latest among the most used, so that it is proposed last."""
        self._order.defer(entry)


class UnagedLfu(Lfu):
    """Least frequently used, counts never forgotten."""

    name = "lfu-unaged"
    halve_every = 0
