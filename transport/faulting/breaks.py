"""Faults that lose, damage or end: timeout, reset_peer, limit_data, cut, corrupt."""

from __future__ import annotations

from random import Random
from typing import final

from transport.faulting.board import ActiveFault
from transport.faulting.stage import CLOSE, RESET, Ending, Piece, Stage


class _Swallowing(Stage):
    """Loses everything; once it has lost something the connection can't go on after the fault."""

    verdict_when_removed = RESET

    def __init__(self, fault: ActiveFault, rng: Random, now_s: float) -> None:
        super().__init__(fault, rng, now_s)
        self._first_s: float | None = None
        """When the first data came that is lost."""

    def push(self, piece: Piece) -> None:
        self.fault.hits += 1
        if self._first_s is None:
            self._first_s = piece.at_s

    def release(self) -> tuple[list[bytes], str | None]:
        return [], self.verdict_when_removed if self._first_s is not None else None


@final
class Cut(_Swallowing):
    """A partition in this direction. What was sent into it is lost, so its connection is reset when
    the cut heals; one over which nothing was sent meanwhile survives it.
    """

    blocks_close = True


@final
class Timeout(_Swallowing):
    """Drops everything, closes ``timeout`` after its start; 0: never, until the fault is removed."""

    blocks_close = True

    def ending(self) -> Ending | None:
        timeout_ms = self.fault.spec["timeout"]
        return Ending(self._started_s + timeout_ms / 1000, CLOSE) if timeout_ms else None

    def release(self) -> tuple[list[bytes], str | None]:
        # As in toxiproxy: removing the fault closes what went through it.
        return [], CLOSE


@final
class ResetPeer(_Swallowing):
    """Resets ``timeout`` after the first data."""

    def ending(self) -> Ending | None:
        if self._first_s is None:
            return None
        return Ending(self._first_s + self.fault.spec["timeout"] / 1000, RESET)


@final
class LimitData(Stage):
    """Lets so many bytes through on this connection and closes it."""

    def __init__(self, fault: ActiveFault, rng: Random, now_s: float) -> None:
        super().__init__(fault, rng, now_s)
        self._left_bytes = int(fault.spec["bytes"])
        self._full_at_s: float | None = None if self._left_bytes else now_s

    def push(self, piece: Piece) -> None:
        passed = piece.data[: self._left_bytes]
        self._left_bytes -= len(passed)
        if passed:
            self._hold(piece.at_s, passed)
        if not self._left_bytes:
            if self._full_at_s is None:
                self._full_at_s = piece.at_s
            self.fault.hits += 1

    def ending(self) -> Ending | None:
        if self._full_at_s is None or self._due:
            return None
        return Ending(self._full_at_s, CLOSE)

    def release(self) -> tuple[list[bytes], str | None]:
        held, _ = super().release()
        return held, CLOSE if self._full_at_s is not None else None


@final
class Corrupt(Stage):
    """Flips one bit in a share of the pieces."""

    def push(self, piece: Piece) -> None:
        data = piece.data
        if data and self._rng.random() < self.fault.spec["rate"]:
            changed = bytearray(data)
            changed[self._rng.randrange(len(changed))] ^= 1 << self._rng.randrange(8)
            data = bytes(changed)
            self.fault.hits += 1
        self._hold(piece.at_s, data)
