"""One policy hands its entries over to another, little by little, in its order of eviction.

The worst entries go first, so the newcomer proposes victims as soon as it holds any, and nothing is
dropped. Both policies share the table: each has its own range of queues, which is how an entry's
keeper is told. Counts of reads go along: an entry that was read lately is told to the newcomer as hit.
"""

from __future__ import annotations

from random import Random
from typing import final

from nodecore.storage.eviction.interface import EvictionPolicy, PolicyTable
from nodecore.table.interface import Entry


@final
class Handover:
    """Acts as the policy until ``done``.

    Args:
        old: holds the entries now; its queues lie outside of the newcomer's range.
        new: bound to the same table, empty.
        table: of both.
        queues: the newcomer's range of queues.
    """

    wants_hits = True

    def __init__(
        self, old: EvictionPolicy, new: EvictionPolicy, table: PolicyTable, queues: range
    ) -> None:
        self.old, self.new = old, new
        self._table = table
        self._queues = queues
        self.done = False
        """Whether the old policy holds nothing more."""
        self.moved = 0
        """Entries handed over."""

    @property
    def name(self) -> str:
        return self.new.name

    @property
    def overhead_bytes(self) -> int:
        return self.old.overhead_bytes + self.new.overhead_bytes

    @property
    def bytes_per_entry(self) -> int:
        return self.new.bytes_per_entry

    def step(self, count: int) -> bool:
        """Hand over up to ``count`` entries; returns ``done``."""
        old, new = self.old, self.new
        for _ in range(count):
            entry = old.victim()
            if entry is None:
                self.done = True
                break
            # Not evicted: it must not enter the memories of evicted keys.
            old.on_remove(entry)
            reads = entry.counter
            self._table.assign(entry, 0)
            new.on_insert(entry)
            entry.counter = reads
            if reads and new.wants_hits:
                new.on_hit(entry)
            self.moved += 1
        return self.done

    def _keeper(self, entry: Entry) -> EvictionPolicy:
        return self.new if entry.queue in self._queues or not entry.queue else self.old

    def use_queues(self, base: int) -> None:
        raise AssertionError("both policies have their queues already")

    def bind(self, table: PolicyTable, rng: Random) -> None:
        raise AssertionError("both policies are bound already")

    def before_insert(self, key: bytes) -> None:
        self.new.before_insert(key)

    def on_insert(self, entry: Entry) -> None:
        self.new.on_insert(entry)

    def on_hit(self, entry: Entry) -> None:
        self._keeper(entry).on_hit(entry)

    def on_remove(self, entry: Entry) -> None:
        self._keeper(entry).on_remove(entry)

    def victim(self) -> Entry | None:
        entry = self.new.victim()
        return self.old.victim() if entry is None else entry

    def on_evicted(self, entry: Entry) -> None:
        self._keeper(entry).on_evicted(entry)

    def on_spared(self, entry: Entry) -> None:
        self._keeper(entry).on_spared(entry)
