"""Deadlines of one node: a heap of callbacks, fired by whoever drives the node.

Rooms schedule plain callables; the driver asks :meth:`Timers.next_at` how long it may sleep and
calls :meth:`Timers.fire`. Cancelling is lazy (the heap entry stays until its time), bounded by
compaction when more than half of the heap is dead. Equal deadlines fire in order of scheduling.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TypeAlias, final

from nodecore.ids import Now

Callback: TypeAlias = Callable[[Now], None]


@final
class Timer:
    """Handle of one deadline."""

    __slots__ = ("at_s", "callback", "sequence")

    def __init__(self, at_s: float, sequence: int, callback: Callback | None) -> None:
        self.at_s = at_s
        self.sequence = sequence
        self.callback = callback

    def __lt__(self, other: Timer) -> bool:
        return (self.at_s, self.sequence) < (other.at_s, other.sequence)

    @property
    def active(self) -> bool:
        """Whether it is still going to fire."""
        return self.callback is not None


@final
class Timers:
    """All deadlines of a node."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._sequence = 0
        self._dead = 0

    def __len__(self) -> int:
        return len(self._heap) - self._dead

    def schedule(self, at_s: float, callback: Callback) -> Timer:
        """Call ``callback(now)`` once ``now.mono_s >= at_s``."""
        self._sequence += 1
        timer = Timer(at_s, self._sequence, callback)
        heapq.heappush(self._heap, timer)
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Forget a deadline; harmless when it has fired or was cancelled."""
        if timer is None or timer.callback is None:
            return
        timer.callback = None
        self._dead += 1
        if self._dead > 64 and self._dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry.callback is not None]
            heapq.heapify(self._heap)
            self._dead = 0

    def next_at(self) -> float | None:
        """Earliest live deadline in monotonic seconds, None when there is none."""
        while self._heap and self._heap[0].callback is None:
            heapq.heappop(self._heap)
            self._dead -= 1
        return self._heap[0].at_s if self._heap else None

    def fire(self, now: Now) -> int:
        """Run everything due; returns how many callbacks ran. New deadlines in the past wait for the next call."""
        due: list[Timer] = []
        while self._heap and self._heap[0].at_s <= now.mono_s:
            timer = heapq.heappop(self._heap)
            if timer.callback is None:
                self._dead -= 1
            else:
                due.append(timer)
        fired = 0
        for timer in due:
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback(now)
                fired += 1
            else:
                self._dead = max(0, self._dead - 1)
        return fired
