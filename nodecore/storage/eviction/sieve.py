"""SIEVE: a FIFO whose hand spares what was read, without moving it.

Entries stand in order of insertion; a hand walks from old to new, clears the mark of what was read
and takes the first that was not. What was spared keeps its place, so one-time entries that arrive
later go before it. Not resistant to scans and loops: an alternative, not the default.

Zhang, Yang, Yue, Vigfusson, Rashmi, "SIEVE is simpler than LRU", NSDI 2024; kept as an array with a
hand, which evicts exactly what the linked list of the paper evicts.
"""

from __future__ import annotations

from random import Random
from typing import Final, final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import PolicyTable
from nodecore.table.interface import Entry

_SLACK: Final = 64


@final
class Sieve(Policy):
    """Lazy promotion, quick demotion."""

    name = "sieve"

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._entries: list[Entry] = []
        self._hand = 0

    def on_insert(self, entry: Entry) -> None:
        entry.counter = 0
        self.table.assign(entry, self.queue_main)
        self._entries.append(entry)
        if len(self._entries) > 2 * self.table.queue_count(self.queue_main) + _SLACK:
            self._pack()

    def _pack(self) -> None:
        """Drop stale references; the hand stays before the same entry, or returns to the oldest."""
        passed = sum(entry.queue == self.queue_main for entry in self._entries[: self._hand])
        self._entries = [entry for entry in self._entries if entry.queue == self.queue_main]
        self._hand = passed if passed < len(self._entries) else 0

    def victim(self) -> Entry | None:
        entries = self._entries
        # Twice round suffices: the first round clears every mark.
        for _ in range(2 * len(entries)):
            if self._hand >= len(entries):
                self._hand = 0
            entry = entries[self._hand]
            if entry.queue == self.queue_main:
                if entry.counter == 0:
                    return entry
                entry.counter = 0
            self._hand += 1
        return None

    def _advance(self) -> None:
        # Wrapping at once matters: past the end the hand would meet the next insertion first.
        self._hand += 1
        if self._hand >= len(self._entries):
            self._hand = 0

    def on_evicted(self, entry: Entry) -> None:
        self._advance()

    def on_spared(self, entry: Entry) -> None:
        self._advance()
