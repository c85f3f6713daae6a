"""Bytes of one connection on their way through the faults of its link.

Every connection of a node, to a client or to a peer, has a pipe each way. While no fault is active
on the node, bytes bypass the pipes; otherwise they wait there until their time. Held bytes are
pumped at the end of each wake-up and at the earliest deadline of any pipe; a change of the faults
makes every pipe look. Decisions are the pipes' (``transport.faults``); this file moves bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import final

from transport.faults import DOWN, RESET, UP, FaultBoard, FaultPipe, link_rng
from transport.messages import Lane
from transport.runtime.connection import Connection


@final
class FaultedConnection:
    """A connection seen through its link's faults."""

    __slots__ = ("_clock", "_deliver", "_inward", "_outward", "_paused", "connection")

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
        self._paused = False
        clock.add(self)

    def write(self, data: bytes) -> None:
        """Send now, or when the faults let it."""
        clock = self._clock
        if clock.quiet or self._outward.idle(clock.now_s):
            self.connection.write(data)
            return
        self._outward.push(data, clock.now_s)
        clock.hold(self)

    def received(self, data: bytes) -> None:
        """Take what the socket gave; delivered now, or when the faults let it."""
        clock = self._clock
        if clock.quiet or self._inward.idle(clock.now_s):
            self._deliver(data)
            return
        self._inward.push(data, clock.now_s)
        clock.hold(self)
        if self._inward.full and not self._paused:
            self._paused = True
            self.connection.pause_reading()

    def pump(self, now_s: float) -> float | None:
        """Move what is due; returns when something held is due next, None when nothing is held."""
        for data in self._outward.pop(now_s):
            self.connection.write(data)
        for data in self._inward.pop(now_s):
            self._deliver(data)
        for pipe in (self._outward, self._inward):
            verdict = pipe.closing(now_s)
            if verdict is not None:
                self.end()
                if verdict == RESET:
                    self.connection.abort("reset by a fault")
                else:
                    self.connection.close("closed by a fault")
                return None
        if self._paused and not self._inward.full:
            self._paused = False
            self.connection.resume_reading()
        times = [
            at_s for pipe in (self._outward, self._inward) if (at_s := pipe.next_at_s()) is not None
        ]
        return min(times, default=None)

    def finish(self, reason: str) -> None:
        """Close after everything that was written, the held bytes included."""
        clock = self._clock
        if clock.quiet or self._outward.idle(clock.now_s):
            self.end()
            self.connection.close(reason)
            return
        self._outward.finish(clock.now_s)
        clock.hold(self)

    def end(self) -> None:
        """The connection is gone."""
        self._clock.forget(self)


@final
class PipeClock:
    """All faulted connections of a node: which hold bytes, and when these are due."""

    def __init__(self, board: FaultBoard, seed: int) -> None:
        self._board = board
        self._seed = seed
        self._rng = Random(seed)
        self._ordinal = 0
        self._changes = board.changes
        self._open: dict[FaultedConnection, None] = {}
        self._held: dict[FaultedConnection, float] = {}
        self.quiet = True
        """No fault is active on this node and nothing is held: the pipes may be skipped."""
        self.now_s = 0.0

    def pipes(
        self, caller: str, callee: str, lane: Lane, *, calling: bool
    ) -> tuple[FaultPipe, FaultPipe]:
        """(outward, inward) pipes of a new connection; ``calling``: this node is the caller."""
        self._ordinal += 1
        upward, downward = (
            FaultPipe(
                self._board,
                caller,
                callee,
                direction,
                lane,
                link_rng(self._seed, caller, callee, direction, self._ordinal),
            )
            for direction in (UP, DOWN)
        )
        return (upward, downward) if calling else (downward, upward)

    def refuses(self, caller: str, callee: str) -> bool:
        """Whether a fault forbids new data connections on this link."""
        return self._board.refuses(caller, callee, Lane.DATA, self._rng)

    def add(self, connection: FaultedConnection) -> None:
        """A connection opened."""
        self._open[connection] = None

    def forget(self, connection: FaultedConnection) -> None:
        """A connection ended."""
        self._open.pop(connection, None)
        self._held.pop(connection, None)

    def begin_turn(self, now_s: float) -> None:
        """Note the time, and let every pipe look when the faults have changed."""
        self.now_s = now_s
        board = self._board
        if board.changes != self._changes:
            self._changes = board.changes
            self._held = dict.fromkeys(self._open, now_s)
        self.quiet = not len(board) and not self._held

    def hold(self, connection: FaultedConnection) -> None:
        """A pipe of this connection has something to do."""
        self._held[connection] = self.now_s

    def pump(self, now_s: float) -> None:
        """Move everything that is due."""
        self.now_s = now_s
        for connection, due_s in list(self._held.items()):
            if due_s > now_s or connection not in self._held:
                continue
            at_s = connection.pump(now_s)
            if connection not in self._open or at_s is None:
                self._held.pop(connection, None)
            else:
                self._held[connection] = at_s

    def next_at_s(self) -> float | None:
        """When :meth:`pump` has something to do."""
        return min(self._held.values(), default=None)
