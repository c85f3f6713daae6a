"""The thread that flushes records: collects what waits, one commit, then all its tickets are done.

Group commit: while one fsync runs, everything that comes waits together for the next. What is on its
way can be read. A failed commit ends the thread; nobody who waited is told otherwise.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, final

from nodecore.runtime.disk_store import ACCIDENTS, Environment, Row
from nodecore.storage.disk import DiskError

GONE: Final = bytes(12)
"""A stored record of nothing: on its way is a removal."""
CLOSE_S_MAX: Final = 30.0


@final
class Writer:
    """The thread that flushes: collects what waits, one commit, then all its tickets are done."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._condition = threading.Condition()
        self._queue: list[tuple[int, list[Row], float]] = []
        self._flying: dict[tuple[int, bytes], bytes] = {}
        self._done: list[int] = []
        self._landed: list[Row] = []
        self._failure = ""
        self._closing = False
        self._committing = False
        self.waiting = False
        """Whether anything is on its way to the medium."""
        self.wake: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="disk-writer", daemon=True)
        self._thread.start()

    def add(self, ticket: int, rows: list[Row], delay_s: float) -> None:
        with self._condition:
            self._queue.append((ticket, rows, delay_s))
            self.waiting = True
            for area, place, stored in rows:
                self._flying[(area, place)] = GONE if stored is None else stored
            self._condition.notify()

    def flying(self, area: int, place: bytes) -> bytes | None:
        """What is on its way for this place; ``GONE``: its removal."""
        with self._condition:
            return self._flying.get((int(area), place))

    def all_flying(self, area: int) -> list[tuple[bytes, bytes]]:
        with self._condition:
            return [(place, s) for (own, place), s in self._flying.items() if own == area]

    @property
    def active(self) -> bool:
        """Whether something waits, flies, has landed, or has failed since the last ``take_done``."""
        return self.waiting or bool(self._done or self._landed or self._failure)

    def take_done(self) -> tuple[list[int], list[Row]]:
        """Tickets and rows that are on the medium since the last call."""
        with self._condition:
            if self._failure:
                raise DiskError(self._failure)
            done, self._done = self._done, []
            landed, self._landed = self._landed, []
            return done, landed

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._queue and not self._closing:
                    self._condition.wait()
                if not self._queue:
                    return
                batch, self._queue = self._queue, []
                self._committing = True
            rows = [row for _ticket, part, _delay_s in batch for row in part]
            delay_s = max(delay_s for _ticket, _rows, delay_s in batch)
            try:
                if delay_s:
                    time.sleep(delay_s)
                self._environment.commit(rows)
            except ACCIDENTS as error:
                with self._condition:
                    self._failure = f"can't flush records: {error}"
                self.wake()
                return
            with self._condition:
                self._committing = False
                for ticket, part, _delay_s in batch:
                    if ticket:
                        self._done.append(ticket)
                        self._landed += part
                self._land(rows)
            self.wake()

    def _land(self, rows: list[Row]) -> None:
        for area, place, stored in rows:
            there = self._flying.get((area, place))
            if there is not None and (there is GONE if stored is None else there is stored):
                del self._flying[(area, place)]
        self.waiting = bool(self._flying or self._queue)

    def remap(self) -> None:
        """See ``Environment.remap``; left for another time while a commit is under way."""
        with self._condition:
            if not self._committing:
                self._environment.remap()

    def close(self) -> None:
        """Flush what waits and end the thread; waits as long as one commit takes."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join(timeout=CLOSE_S_MAX)
