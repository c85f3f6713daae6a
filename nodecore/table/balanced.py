"""ARC's order of entries that a table offers; see ``orders``."""

from __future__ import annotations

from typing import Protocol

from nodecore.table.interface import Entry
from nodecore.table.orders import EntryOrder, EntryQueue, SegmentedTable


class BalancedOrder(Protocol):
    """ARC's two policy queues: of what was used once and of what was used again, with a memory of what
    left each. The first gives way while it is above a target, which returns from the memories move.
    """

    @property
    def overhead_bytes(self) -> int:
        """As ``MeasuredOrder.overhead_bytes``, with the memories."""

    @property
    def bytes_per_entry(self) -> int:
        """As ``MeasuredOrder.bytes_per_entry``."""

    def expect(self, key: bytes) -> None:
        """A key that is not live is about to be stored: a return moves the target."""

    def push(self, entry: Entry) -> None:
        """A newcomer: what returns was used again.

        Raises:
            ValueError: as ``Table.assign``.
        """

    def touch(self, entry: Entry) -> None:
        """A use: the entry becomes the newest of what was used again, or soon (``USES_WAITING_MAX``)."""

    def victim(self) -> Entry | None:
        """Who has to go; to be answered by ``evicted`` or ``spared`` at once."""

    def evicted(self, entry: Entry) -> None:
        """The victim is about to leave the table. Neither memory holds keys of more than the limit's
        sizes, nor in bytes more keys than half as many as there are entries.
        """

    def spared(self, entry: Entry) -> None:
        """The victim stays, as the newest."""


class BalancedTable(SegmentedTable, Protocol):
    """What balanced queues need of their table."""

    @property
    def bytes_used(self) -> int:
        """As ``Table.bytes_used``."""

    def __len__(self) -> int: ...

    def entry_queue(self, queue: int) -> EntryQueue:
        """As ``OrderMaker.entry_queue``."""

    def entry_order(self, queue: int, feeder: int = 0) -> EntryOrder:
        """As ``OrderMaker.entry_order``."""
