"""GDSF: weighs frequency against size, so that one large entry does not displace many small ones.

Priority = L + uses / size, where L is the priority of the last victim: age enters by itself. It
minimises misses of objects and pays in missed bytes. A lazy heap: a hit only raises the recorded
priority, and an entry found at an outdated place moves on.

Cherkasova, "Improving WWW proxies performance with greedy-dual-size-frequency caching", 1998.
"""

from __future__ import annotations

import heapq
from random import Random
from typing import Final, final

from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import PolicyTable
from nodecore.table.interface import Entry

_BYTES_PER_ENTRY: Final = 280
_SLACK: Final = 64


@final
class Gdsf(Policy):
    """Greedy dual size frequency."""

    name = "gdsf"
    wants_hits = True
    bytes_per_entry = _BYTES_PER_ENTRY

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._heap: list[tuple[float, int, Entry]] = []
        self._standing: dict[bytes, tuple[int, float]] = {}
        self._number = 0
        self._floor = 0.0

    @property
    def overhead_bytes(self) -> int:
        return len(self._standing) * _BYTES_PER_ENTRY

    def _push(self, entry: Entry, priority: float) -> None:
        self._number += 1
        heapq.heappush(self._heap, (priority, self._number, entry))
        if len(self._heap) > 2 * self.table.queue_count(self.queue_main) + _SLACK:
            self._heap = [item for item in self._heap if item[2].queue == self.queue_main]
            heapq.heapify(self._heap)

    def on_insert(self, entry: Entry) -> None:
        self.table.assign(entry, self.queue_main)
        priority = self._floor + 1 / entry.size
        self._standing[entry.key] = (1, priority)
        self._push(entry, priority)

    def on_hit(self, entry: Entry) -> None:
        standing = self._standing.get(entry.key)
        if standing is not None:
            uses = standing[0] + 1
            self._standing[entry.key] = (uses, self._floor + uses / entry.size)

    def on_remove(self, entry: Entry) -> None:
        self._standing.pop(entry.key, None)

    def victim(self) -> Entry | None:
        while self._heap:
            priority, _, entry = self._heap[0]
            standing = self._standing.get(entry.key)
            if entry.queue != self.queue_main or standing is None:
                heapq.heappop(self._heap)
            elif standing[1] > priority:
                heapq.heappop(self._heap)
                self._push(entry, standing[1])
            else:
                return entry
        return None

    def on_evicted(self, entry: Entry) -> None:
        self._floor = heapq.heappop(self._heap)[0]
        self._standing.pop(entry.key, None)

    def on_spared(self, entry: Entry) -> None:
        """Treated as used once more, and at least as worthy as the mean."""
        priority = heapq.heappop(self._heap)[0]
        uses, _ = self._standing[entry.key]
        highest = max(priority, self._heap[-1][0] if self._heap else priority)
        self._standing[entry.key] = (uses, highest)
        self._push(entry, highest)
