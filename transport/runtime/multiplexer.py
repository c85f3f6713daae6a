"""Readiness of many sockets behind one descriptor: epoll, or kqueue where there is no epoll.

The descriptor itself can be waited for (that is the point: an event loop waits for one descriptor
and learns that any of thousands is ready). Masks are epoll's four bits on both.
"""

from __future__ import annotations

import select
from typing import Any, Final, Protocol

READABLE: Final = 0x001
WRITABLE: Final = 0x004
ERROR: Final = 0x008
HANGUP: Final = 0x010
"""ERROR and HANGUP are reported whether they were asked for or not."""


class Multiplexer(Protocol):
    """What the poller needs; level-triggered."""

    def fileno(self) -> int:
        """Readable while any registered descriptor is ready."""

    def register(self, fd: int, mask: int) -> None:
        """Watch a descriptor."""

    def modify(self, fd: int, mask: int) -> None:
        """Change what a registered descriptor is watched for; 0 leaves errors only."""

    def unregister(self, fd: int) -> None:
        """Stop watching. Must be called before the descriptor is closed."""

    def poll(self, timeout_s: float, events_max: int) -> list[tuple[int, int]]:
        """Ready descriptors with their masks; 0 never blocks."""

    def close(self) -> None:
        """Give the descriptor back."""


class KqueueMultiplexer:
    """kqueue made to look like epoll."""

    def __init__(self, names: Any = select) -> None:
        self._names = names
        self._queue = names.kqueue()
        self._masks: dict[int, int] = {}

    def fileno(self) -> int:
        fd: int = self._queue.fileno()
        return fd

    def register(self, fd: int, mask: int) -> None:
        self._masks[fd] = 0
        self.modify(fd, mask)

    def modify(self, fd: int, mask: int) -> None:
        before = self._masks[fd]
        changes = []
        for bit, kind in (
            (READABLE, self._names.KQ_FILTER_READ),
            (WRITABLE, self._names.KQ_FILTER_WRITE),
        ):
            if (mask ^ before) & bit:
                action = self._names.KQ_EV_ADD if mask & bit else self._names.KQ_EV_DELETE
                changes.append(self._names.kevent(fd, kind, action))
        if changes:
            self._queue.control(changes, 0, 0)
        self._masks[fd] = mask

    def unregister(self, fd: int) -> None:
        self.modify(fd, 0)
        del self._masks[fd]

    def poll(self, timeout_s: float, events_max: int) -> list[tuple[int, int]]:
        masks: dict[int, int] = {}
        for event in self._queue.control(None, events_max, timeout_s):
            mask = WRITABLE if event.filter == self._names.KQ_FILTER_WRITE else READABLE
            if event.flags & self._names.KQ_EV_EOF and mask == WRITABLE:
                # The reader has gone; data that it sent before may still wait to be read.
                mask |= HANGUP
            masks[event.ident] = masks.get(event.ident, 0) | mask
        return list(masks.items())

    def close(self) -> None:
        self._queue.close()


def open_multiplexer() -> Multiplexer:
    """The best one of this system."""
    if hasattr(select, "epoll"):
        return select.epoll()
    return KqueueMultiplexer()
