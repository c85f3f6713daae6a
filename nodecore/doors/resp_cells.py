"""Replies of one connection that wait for the node, in the order of their commands.

A :class:`Cell` stands in the queue of replies for one command (or one run of equal plain commands)
until all of its outcomes are there. It does not decide what to ask: it collects, renders and tells
its session.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, final

from nodecore.ids import Now
from nodecore.requests import Outcome

Finish: TypeAlias = Callable[[Sequence[Outcome], Now], bytes]


class CellOwner(Protocol):
    """What a cell tells its session."""

    def on_cell(self, cell: Cell, now: Now) -> None:
        """The cell's reply is there."""


@final
class Cell:
    """The place of one reply."""

    __slots__ = (
        "_arrived",
        "_finish",
        "_missing",
        "_outcomes",
        "_owner",
        "barrier",
        "count",
        "keys",
        "queued",
        "reply",
        "writes",
    )

    def __init__(self, owner: CellOwner, finish: Finish, requests: int) -> None:
        self._owner: CellOwner | None = owner
        self._finish = finish
        self._missing = requests
        self._outcomes: list[Outcome | None] = [None] * requests
        self._arrived = 0
        self.reply: bytes | None = None
        self.keys: Sequence[bytes] = ()
        self.queued = False
        """Whether its session waits for it; before that, completion needs no telling."""
        self.writes = False
        self.barrier = False
        self.count = 1
        """Commands that this reply answers."""

    def callback(self, index: int) -> Callable[[Outcome, Now], None]:
        """What the node calls with the outcome of request ``index``."""
        if self._missing == 1 and index == 0:
            return self._on_only

        def on_outcome(outcome: Outcome, now: Now) -> None:
            self.put(index, outcome, now)

        return on_outcome

    def _on_only(self, outcome: Outcome, now: Now) -> None:
        self.put(0, outcome, now)

    def put(self, index: int, outcome: Outcome, now: Now) -> None:
        """Take one outcome; after the last the reply is rendered and the session told."""
        if self._owner is None:
            return
        assert self._outcomes[index] is None, "a request was answered twice"
        self._outcomes[index] = outcome
        self._arrived += 1
        if self._arrived < self._missing:
            return
        complete = [entry for entry in self._outcomes if entry is not None]
        self.reply = self._finish(complete, now)
        self._owner.on_cell(self, now)

    def settle(self, reply: bytes, now: Now) -> None:
        """Give the reply directly (transactions render themselves)."""
        if self._owner is not None:
            self.reply = reply
            self._owner.on_cell(self, now)

    def forget(self) -> None:
        """The connection is gone: outcomes that still come are dropped."""
        self._owner = None


@final
class Replies:
    """What a connection still has to send: replies that are ready, behind them those that wait."""

    __slots__ = ("_ready", "_waiting", "ready_bytes")

    def __init__(self) -> None:
        self._ready: list[bytes] = []
        self._waiting: deque[Cell | bytes] = deque()
        self.ready_bytes = 0
        """Ready and not taken."""

    def __bool__(self) -> bool:
        """Whether a reply waits for the node."""
        return bool(self._waiting)

    def add(self, reply: bytes) -> None:
        """The reply of the newest command."""
        if self._waiting:
            self._waiting.append(reply)
        else:
            self._ready.append(reply)
            self.ready_bytes += len(reply)

    def wait(self, cell: Cell) -> None:
        """The place of the newest command's reply."""
        self._waiting.append(cell)

    def advance(self) -> None:
        """A cell was filled: everything before the first that is not becomes ready."""
        waiting, ready = self._waiting, self._ready
        while waiting:
            head = waiting[0]
            reply = head.reply if isinstance(head, Cell) else head
            if reply is None:
                return
            ready.append(reply)
            self.ready_bytes += len(reply)
            waiting.popleft()

    def take(self) -> bytes:
        """Everything ready."""
        ready = self._ready
        if not ready:
            return b""
        self._ready = []
        self.ready_bytes = 0
        return ready[0] if len(ready) == 1 else b"".join(ready)

    def forget(self) -> None:
        """The connection is gone."""
        for cell in self._waiting:
            if isinstance(cell, Cell):
                cell.forget()
        self._waiting.clear()


@final
class KeysInFlight:
    """Which keys unanswered commands of one connection read and write."""

    __slots__ = ("_reading", "_writing")

    def __init__(self) -> None:
        self._reading: dict[bytes, int] = {}
        self._writing: dict[bytes, int] = {}

    def add(self, cell: Cell) -> None:
        """A cell waits for its outcomes."""
        touched = self._writing if cell.writes else self._reading
        for key in cell.keys:
            touched[key] = touched.get(key, 0) + 1

    def remove(self, cell: Cell) -> None:
        """A cell that was added has its reply."""
        touched = self._writing if cell.writes else self._reading
        for key in cell.keys:
            left = touched[key] - 1
            if left:
                touched[key] = left
            else:
                del touched[key]

    def conflict(self, keys: Sequence[bytes], writes: bool) -> bool:
        """Whether a command on these keys must wait for unanswered ones."""
        if self._writing and not self._writing.keys().isdisjoint(keys):
            return True
        return writes and bool(self._reading) and not self._reading.keys().isdisjoint(keys)
