"""A window beside a segmented order, in plain Python; see ``orders.SegmentedOrder``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from nodecore.table.interface import Entry
from nodecore.table.orders import SegmentedTable
from nodecore.table.plain_ghosts import PlainSketch
from nodecore.table.plain_orders import PlainOrder
from nodecore.table.plain_waiting import PlainWaiting


@final
class PlainSegments:
    """Three orders and the sketch that counts their uses."""

    window_max = protected_max = 0

    def __init__(
        self, table: SegmentedTable, queues: tuple[int, int, int], keys: int, in_objects: bool
    ) -> None:
        window, probation, protected = queues
        self.window = PlainOrder(table, window)
        self.probation = PlainOrder(table, probation)
        self.protected = PlainOrder(table, protected)
        self.sketch = PlainSketch(keys)
        self._size = table.queue_count if in_objects else table.queue_bytes
        self._window, self._probation, self._protected = queues
        self._uses = 0
        self._waiting = PlainWaiting(self._count)

    @property
    def bytes_per_entry(self) -> int:
        return self.window.bytes_per_entry

    @property
    def overhead_bytes(self) -> int:
        orders = (self.window, self.probation, self.protected)
        return sum(order.overhead_bytes for order in orders) + self.sketch.overhead_bytes

    def _overflow(self, order: PlainOrder, queue: int, most: int, spared: Entry) -> None:
        """Let the oldest of an order go on probation until the rest fits."""
        while self._size(queue) > most:
            oldest = order.oldest()
            if oldest is None or oldest is spared:
                break
            order.discard(oldest)
            self.probation.push(oldest)

    def push(self, entry: Entry) -> None:
        self._waiting.settle()
        self.window.push(entry)
        self.sketch.add(entry.key)
        self._overflow(self.window, self._window, self.window_max, entry)

    def touch(self, entry: Entry) -> None:
        self._uses += 1
        self._waiting.add(entry)

    def _count(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._count_one(entry)
        self._overflow(self.protected, self._protected, self.protected_max, entries[-1])

    def _count_one(self, entry: Entry) -> None:
        self.sketch.add(entry.key)
        queue = entry.queue
        if queue == self._window:
            self.window.touch(entry)
        elif queue == self._protected:
            self.protected.touch(entry)
        elif queue == self._probation:
            self.probation.discard(entry)
            self.protected.push(entry)

    def victim(self, often: int, lets_in: Callable[[], bool]) -> Entry | None:
        self._waiting.settle()
        settled = self.probation.oldest() or self.protected.oldest()
        candidate = self.window.oldest()
        if candidate is None or settled is None:
            return settled or candidate
        if self._size(self._window) >= self.window_max:
            if not self._admits(candidate, settled, often, lets_in):
                return candidate
            self.window.discard(candidate)
            self.probation.push(candidate)
        return settled

    def _admits(
        self, candidate: Entry, settled: Entry, often: int, lets_in: Callable[[], bool]
    ) -> bool:
        asked = self.sketch.estimate(candidate.key)
        return asked - 1 > self.sketch.estimate(settled.key) or (asked >= often and lets_in())

    def spared(self, entry: Entry) -> None:
        self._waiting.settle()
        for order in (self.window, self.probation, self.protected):
            order.touch(entry)

    def take_uses(self) -> int:
        uses, self._uses = self._uses, 0
        return uses
