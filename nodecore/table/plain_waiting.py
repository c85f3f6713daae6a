"""Uses that wait until some have come together, or something else happens to the order: in plain Python.

The compiled orders gain from it, see ``_waiting.pxi``; what is counted when must be the same here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from nodecore.table.interface import Entry
from nodecore.table.orders import USES_WAITING_MAX


@final
class PlainWaiting:
    """Uses of one order.

    Args:
        count: counts some, in their order.
    """

    def __init__(self, count: Callable[[Sequence[Entry]], None]) -> None:
        self._count = count
        self._entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """A use; counted now if enough have come together."""
        self._entries.append(entry)
        if len(self._entries) == USES_WAITING_MAX:
            self.settle()

    def settle(self) -> None:
        """Count what waits."""
        if self._entries:
            self._count(self._entries)
            self._entries.clear()
