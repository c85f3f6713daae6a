"""Deadlines of many short-lived things that all live equally long.

With one time-out for all, order of arrival is order of expiry: a queue and one timer do what a heap
entry each would, at a fraction of the cost. Things that settle in time are dropped lazily from the
front. It decides nothing about what expiring means.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from nodecore.ids import Now
from nodecore.timers import Timers


class Expiring(Protocol):
    """Something with a deadline."""

    @property
    def settled(self) -> bool:
        """True once the deadline does not matter any more."""

    def on_deadline(self, now: Now) -> None:
        """The time-out has passed and it has not settled."""


class Deadlines:
    """Queue of expiring things.

    Args:
        timers: of the node.
        timeout_s: of everything in this queue.
    """

    def __init__(self, timers: Timers, timeout_s: float) -> None:
        self._timers = timers
        self.timeout_s = timeout_s
        self._queue: deque[tuple[float, Expiring]] = deque()
        self._armed = False

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, item: Expiring, now: Now) -> None:
        """``item.on_deadline`` is called in ``timeout_s`` unless it has settled by then."""
        queue = self._queue
        while queue and queue[0][1].settled:
            queue.popleft()
        queue.append((now.mono_s + self.timeout_s, item))
        if not self._armed:
            self._arm()

    def _arm(self) -> None:
        self._armed = True
        self._timers.schedule(self._queue[0][0], self._on_timer)

    def _on_timer(self, now: Now) -> None:
        queue = self._queue
        due: list[Expiring] = []
        while queue and (queue[0][1].settled or queue[0][0] <= now.mono_s):
            _, item = queue.popleft()
            if not item.settled:
                due.append(item)
        self._armed = False
        if queue:
            self._arm()
        for item in due:
            if not item.settled:
                item.on_deadline(now)
