"""A FIFO of entries that forgives removals behind its back.

An entry that was removed from the table is detached (its queue is 0 for ever) and is skipped when
its turn comes. When more than half of the references are stale the queue is packed, so it never
holds more than twice its live entries plus a constant.
"""

from __future__ import annotations

from collections import deque
from typing import Final, final

from nodecore.storage.eviction.interface import PolicyTable
from nodecore.table.interface import Entry

_SLACK: Final = 64


@final
class EntryQueue:
    """One policy queue, oldest first."""

    __slots__ = ("_entries", "_number", "_table")

    def __init__(self, table: PolicyTable, number: int) -> None:
        self._table = table
        self._number = number
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return self._table.queue_count(self._number)

    @property
    def references(self) -> int:
        """Entries held, stale ones included."""
        return len(self._entries)

    def push(self, entry: Entry) -> None:
        """Append as the newest."""
        self._table.assign(entry, self._number)
        self._entries.append(entry)
        if len(self._entries) > 2 * self._table.queue_count(self._number) + _SLACK:
            number = self._number
            self._entries = deque(entry for entry in self._entries if entry.queue == number)

    def rotate(self, entry: Entry) -> None:
        """Put back an entry that ``pop`` gave, as the newest."""
        self._entries.append(entry)

    def pop(self) -> Entry | None:
        """Take the oldest live entry; it stays in the table's tally until it is assigned or removed."""
        entries, number = self._entries, self._number
        while entries:
            entry = entries.popleft()
            if entry.queue == number:
                return entry
        return None
