"""ARC's two queues and their memories, in plain Python; see ``balanced.BalancedOrder``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from nodecore.table.balanced import BalancedTable
from nodecore.table.interface import Entry
from nodecore.table.memories import KeyMemory
from nodecore.table.plain_waiting import PlainWaiting


@final
class PlainBalance:
    """A queue of what was used once, an order of what was used again, and two memories."""

    def __init__(
        self,
        table: BalancedTable,
        queues: tuple[int, int],
        limit: int,
        memories: tuple[KeyMemory, KeyMemory],
        in_objects: bool,
    ) -> None:
        self._table = table
        self._queue_recent, self._queue_frequent = queues
        self._recent = table.entry_queue(self._queue_recent)
        self._frequent = table.entry_order(self._queue_frequent, feeder=self._queue_recent)
        self._left_recent, self._left_frequent = memories
        self._limit = limit
        self._in_objects = in_objects
        self._used = table.queue_count if in_objects else table.queue_bytes
        self._target = 0.0
        self._arriving: bytes | None = None
        self._returns = self._returns_to_frequent = False
        self._forgets_victim = False
        self._waiting = PlainWaiting(self._count)

    @property
    def bytes_per_entry(self) -> int:
        return self._frequent.bytes_per_entry

    @property
    def overhead_bytes(self) -> int:
        orders = self._frequent.bytes_per_entry * (len(self._recent) + len(self._frequent))
        return orders + self._left_recent.overhead_bytes + self._left_frequent.overhead_bytes

    def touch(self, entry: Entry) -> None:
        self._waiting.add(entry)

    def _count(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._frequent.touch(entry)

    def expect(self, key: bytes) -> None:
        self._waiting.settle()
        self._arriving = key
        recent, frequent = self._left_recent, self._left_frequent
        self._forgets_victim = False
        to_recent = key in recent
        self._returns_to_frequent = not to_recent and key in frequent
        self._returns = to_recent or self._returns_to_frequent
        if self._returns:
            self._regret(recent.total, frequent.total)
            return
        limit, used = self._limit, self._used(self._queue_recent)
        if used + recent.total >= limit:
            # The first queue fills its share alone: what leaves it now is not worth remembering.
            self._forgets_victim = used >= limit
            recent.shrink(limit - used - 1)
        else:
            held = used + self._used(self._queue_frequent) + recent.total
            frequent.shrink(2 * limit - held - 1)

    def _regret(self, recent: int, frequent: int) -> None:
        """Move the target towards the queue that was too short, by the sizes of both memories."""
        unit = 1.0 if self._in_objects else float(self._mean_bytes())
        if self._returns_to_frequent:
            self._target = max(0.0, self._target - max(1.0, recent / max(1, frequent)) * unit)
        else:
            moved = self._target + max(1.0, frequent / max(1, recent)) * unit
            self._target = min(float(self._limit), moved)

    def _mean_bytes(self) -> int:
        return max(1, self._table.bytes_used // max(1, len(self._table)))

    def push(self, entry: Entry) -> None:
        self._waiting.settle()
        key = entry.key
        if self._arriving != key:
            self.expect(key)
        self._arriving = None
        self._forgets_victim = False
        if self._returns:
            self._left_recent.discard(key)
            self._left_frequent.discard(key)
            self._frequent.push(entry)
        else:
            self._recent.push(entry)

    def victim(self) -> Entry | None:
        self._waiting.settle()
        used = self._used(self._queue_recent)
        returns = self._arriving is not None and self._returns_to_frequent
        wanted = self._forgets_victim or used > self._target or (returns and used == self._target)
        if len(self._recent) and (wanted or not len(self._frequent)):
            return self._recent.pop()
        return self._frequent.oldest()

    def evicted(self, entry: Entry) -> None:
        self._waiting.settle()
        if entry.queue != self._queue_recent:
            memory = self._left_frequent
        elif self._forgets_victim:
            return
        else:
            memory = self._left_recent
        if self._in_objects:
            memory.add(entry.key, 1, self._limit, self._limit)
        else:
            memory.add(entry.key, entry.size, self._limit, len(self._table) // 2 + 16)

    def spared(self, entry: Entry) -> None:
        self._waiting.settle()
        if entry.queue == self._queue_recent:
            self._recent.rotate(entry)
        else:
            self._frequent.touch(entry)
