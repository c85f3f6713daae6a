"""Bytes of one connection on their way through the faults of its link.

Every connection of a node, to a client or to a peer, has a pipe each way. While no fault matches,
bytes bypass the pipes; otherwise they wait there until their time. Held bytes are pumped at the end
of each wake-up and at the earliest deadline of any pipe. Decisions are the pipes'
(``transport.faults``); this file moves bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import final

from transport.faults import FaultBoard, FaultPipe

from transport.messages import Lane
from transport.runtime.poller import Connection


@final
class FaultedConnection:
    """A connection seen through its link's faults."""

    __slots__ = ("_clock", "_deliver", "_inward", "_outward", "connection", "ended")

    def __init__(
        self,
        connection: Connection,
        pipes: tuple[FaultPipe, FaultPipe],
        clock: PipeClock,
        deliver: Callable[[bytes], None],
    ) -> None:
        self.connection = connection
        self._outward, self._inward = pipes
        self._clock = clock
        self._deliver = deliver
        self.ended = False

    def write(self, data: bytes) -> None:
        """Send now, or when the faults let it."""
        if self._clock.quiet and self._outward.idle:
            self.connection.write(data)
            return
        self._outward.push(data, self._clock.now_s)
        self._clock.hold(self)

    def received(self, data: bytes) -> None:
        """Take what the socket gave; delivered now, or when the faults let it."""
        if self._clock.quiet and self._inward.idle:
            self._deliver(data)
            return
        self._inward.push(data, self._clock.now_s)
        self._clock.hold(self)

    def pump(self, now_s: float) -> float | None:
        """Move what is due; returns when something held is due next, None when nothing is held."""
        if self.ended:
            return None
        for data in self._outward.pop(now_s):
            self.connection.write(data)
        for data in self._inward.pop(now_s):
            if not self.ended:
                self._deliver(data)
        for pipe in (self._outward, self._inward):
            verdict = pipe.closing(now_s)
            if verdict is not None and not self.ended:
                self.ended = True
                if verdict == "reset":
                    self.connection.abort()
                else:
                    self.connection.close()
                return None
        times = [at for pipe in (self._outward, self._inward) if (at := pipe.next_at()) is not None]
        return min(times) if times else None


@final
class PipeClock:
    """Which faulted connections hold bytes, and when they are due."""

    def __init__(self, board: FaultBoard, rng: random.Random) -> None:
        self._board = board
        self._rng = rng
        self._held: dict[FaultedConnection, float] = {}
        self.quiet = True
        """No fault is active on this node: the fast path may skip the pipes."""
        self.now_s = 0.0

    def pipes(
        self, caller: str, callee: str, lane: Lane | None, *, calling: bool
    ) -> tuple[FaultPipe, FaultPipe]:
        """(outward, inward) pipes of a connection; ``calling``: this node is the caller."""
        upward = FaultPipe(self._board, caller, callee, "up", lane, self._rng)
        downward = FaultPipe(self._board, caller, callee, "down", lane, self._rng)
        return (upward, downward) if calling else (downward, upward)

    def begin_turn(self, now_s: float) -> None:
        """Note the time and whether any fault is active."""
        self.now_s = now_s
        self.quiet = self._board.quiet and not self._held

    def hold(self, connection: FaultedConnection) -> None:
        """A pipe of this connection took bytes."""
        self._held.setdefault(connection, self.now_s)

    def watch(self, connection: FaultedConnection) -> None:
        """Look at this connection at the next pump: a fault may want it closed."""
        self._held.setdefault(connection, self.now_s)

    def pump(self, now_s: float) -> None:
        """Move everything that is due."""
        self.now_s = now_s
        if not self._held:
            return
        for connection in list(self._held):
            at = connection.pump(now_s)
            if at is None:
                self._held.pop(connection, None)
            else:
                self._held[connection] = at

    def next_at(self) -> float | None:
        """When :meth:`pump` has something to do."""
        return min(self._held.values()) if self._held else None
