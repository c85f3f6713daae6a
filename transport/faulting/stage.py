"""One fault at work in one direction of one connection: pieces of data in, the same or fewer out.

A piece carries the moment at which it reached the stage. Delays count from that moment and not from
the call that noticed it, so that stages in a row, and late calls, add no time of their own. A stage
keeps the order of the data and, when its fault is removed, gives back everything that it holds.
Stages that drop bytes can't: a stream with a hole is useless, so they end the connection then.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from random import Random
from typing import Final, NamedTuple

from transport.faulting.board import ActiveFault

CLOSE: Final = "close"
RESET: Final = "reset"


class Piece(NamedTuple):
    """Bytes and when they reached (or leave) a stage, in monotonic seconds."""

    at_s: float
    data: bytes


class Ending(NamedTuple):
    """The end of a connection: CLOSE lets pass what has left before, RESET does not wait."""

    at_s: float
    verdict: str


class Stage(ABC):
    """Base of all faults; as it stands, it holds pieces until they are due."""

    blocks_close = False
    """Whether the end of the connection does not get through either."""

    def __init__(self, fault: ActiveFault, rng: Random, now_s: float) -> None:
        self.fault = fault
        self._rng = rng
        self._started_s = now_s
        self._due: deque[Piece] = deque()
        self.held_bytes = 0

    @abstractmethod
    def push(self, piece: Piece) -> None:
        """Take a piece; pieces come in the order of their moments."""

    def _hold(self, due_s: float, data: bytes) -> None:
        """Let ``data`` leave at ``due_s``, and never before what was taken earlier."""
        if self._due and due_s < self._due[-1].at_s:
            due_s = self._due[-1].at_s
        self._due.append(Piece(due_s, data))
        self.held_bytes += len(data)

    def pop(self, now_s: float) -> list[Piece]:
        """What is due."""
        due: list[Piece] = []
        while self._due and self._due[0].at_s <= now_s:
            piece = self._due.popleft()
            self.held_bytes -= len(piece.data)
            due.append(piece)
        return due

    def next_at_s(self) -> float | None:
        """When :meth:`pop` will have something new."""
        return self._due[0].at_s if self._due else None

    def ending(self) -> Ending | None:
        """When and how this fault ends the connection; None: not as things stand."""
        return None

    def close_delay_s(self) -> float:
        """How long the end of the connection is held up here."""
        return 0.0

    def release(self) -> tuple[list[bytes], str | None]:
        """The fault is removed: everything held, in order, and how the connection ends, if it must."""
        held = [piece.data for piece in self._due]
        self._due.clear()
        self.held_bytes = 0
        return held, None
