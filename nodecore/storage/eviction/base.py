"""What most policies share: a name, a capacity, a table, and nothing to do on most occasions."""

from __future__ import annotations

from random import Random

from nodecore.storage.eviction.interface import (
    QUEUE_MAIN,
    QUEUE_SMALL,
    Capacity,
    PolicyTable,
)
from nodecore.table.interface import Entry


class Policy:
    """Base of the policies; see ``interface.EvictionPolicy`` for what each method means."""

    name = ""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self._bound: PolicyTable | None = None
        self.use_queues(0)

    def use_queues(self, base: int) -> None:
        self.queue_small, self.queue_main = base + QUEUE_SMALL, base + QUEUE_MAIN

    @property
    def table(self) -> PolicyTable:
        """The table that this policy serves."""
        assert self._bound is not None, "bind() comes first"
        return self._bound

    @property
    def wants_hits(self) -> bool:
        return False

    @property
    def overhead_bytes(self) -> int:
        return 0

    @property
    def bytes_per_entry(self) -> int:
        return 0

    def bind(self, table: PolicyTable, rng: Random) -> None:
        self._bound = table

    def before_insert(self, key: bytes) -> None:
        """Most policies decide at the insertion."""

    def on_hit(self, entry: Entry) -> None:
        """Most policies read ``entry.counter`` instead."""

    def on_remove(self, entry: Entry) -> None:
        """Queues of entries notice by themselves (see ``entry_queue``)."""

    def on_evicted(self, entry: Entry) -> None:
        """The proposal left its queue already."""
