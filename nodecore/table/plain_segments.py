"""A window beside a segmented order, in plain Python; see ``orders.SegmentedOrder``."""

from __future__ import annotations

from typing import final

from nodecore.table.interface import Entry
from nodecore.table.orders import SegmentedTable
from nodecore.table.plain_ghosts import PlainSketch
from nodecore.table.plain_orders import PlainOrder


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
        self.sketch.add(entry.key)
        self.window.push(entry)
        self._overflow(self.window, self._window, self.window_max, entry)

    def touch(self, entry: Entry) -> None:
        self._uses += 1
        self.sketch.add(entry.key)
        queue = entry.queue
        if queue == self._window:
            self.window.touch(entry)
        elif queue == self._protected:
            self.protected.touch(entry)
        elif queue == self._probation:
            self.probation.discard(entry)
            self.protected.push(entry)
            self._overflow(self.protected, self._protected, self.protected_max, entry)

    def take_uses(self) -> int:
        uses, self._uses = self._uses, 0
        return uses
