"""TTL: what expires soonest goes first; what never expires goes last, oldest first.

A heap of (expiry, number, entry). An entry whose expiry was put off is found at its old place and
moves on; one that was brought forward is entered again at once.
"""

from __future__ import annotations

import heapq
from random import Random
from typing import Final, final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import PolicyTable
from nodecore.table.interface import Entry

NEVER_MS: Final = 1 << 63
_BYTES_PER_ENTRY: Final = 200
_SLACK: Final = 64


@final
class Ttl(Policy):
    """Soonest expiry first."""

    name = "ttl"
    wants_hits = True
    bytes_per_entry = _BYTES_PER_ENTRY

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._heap: list[tuple[int, int, Entry]] = []
        self._entered: dict[bytes, int] = {}
        self._number = 0

    @property
    def overhead_bytes(self) -> int:
        return len(self._entered) * _BYTES_PER_ENTRY

    def _enter(self, entry: Entry) -> None:
        expires_ms = entry.expires_ms or NEVER_MS
        self._number += 1
        self._entered[entry.key] = expires_ms
        heapq.heappush(self._heap, (expires_ms, self._number, entry))
        if len(self._heap) > 2 * self.table.queue_count(self.queue_main) + _SLACK:
            self._heap = [item for item in self._heap if self._is_current(item)]
            heapq.heapify(self._heap)

    def _is_current(self, item: tuple[int, int, Entry]) -> bool:
        return item[2].queue == self.queue_main and self._entered.get(item[2].key) == item[0]

    def on_insert(self, entry: Entry) -> None:
        self.table.assign(entry, self.queue_main)
        self._enter(entry)

    def on_hit(self, entry: Entry) -> None:
        entered_ms = self._entered.get(entry.key)
        if entered_ms is not None and (entry.expires_ms or NEVER_MS) < entered_ms:
            self._enter(entry)

    def on_remove(self, entry: Entry) -> None:
        self._entered.pop(entry.key, None)

    def victim(self) -> Entry | None:
        while self._heap:
            item = self._heap[0]
            entry = item[2]
            if not self._is_current(item):
                heapq.heappop(self._heap)
            elif (entry.expires_ms or NEVER_MS) > item[0]:
                heapq.heappop(self._heap)
                self._enter(entry)
            else:
                return entry
        return None

    def on_evicted(self, entry: Entry) -> None:
        heapq.heappop(self._heap)
        self._entered.pop(entry.key, None)

    def on_spared(self, entry: Entry) -> None:
        """Goes behind everything until it is entered anew by a change of its expiry."""
        heapq.heappop(self._heap)
        self._number += 1
        self._entered[entry.key] = NEVER_MS
        heapq.heappush(self._heap, (NEVER_MS, self._number, entry))
