"""The faults of one direction of one connection, applied to its bytes; no clock and no socket.

Use: for each piece of data, ``if pipe.idle(now_s)`` hand it on directly, else ``push`` it; deliver
what ``pop`` returns; look again at ``next_at_s()``; obey ``closing``. When the sender has closed,
call ``finish`` and close the other side only when ``closing`` says so. While ``full`` is true, read
no more.

Stages stand in a row in the order in which their faults were added. A change of the board is
noticed on the next call: stages of removed faults give what they held to the stage behind them, so
nothing is overtaken; new faults join at the end. Whether a fault hits this connection at all is
drawn once, when it joins (its *toxicity*).
"""

from __future__ import annotations

from random import Random
from typing import Final, final

from transport import limits
from transport.faulting.board import ActiveFault, FaultBoard
from transport.faulting.breaks import Corrupt, Cut, LimitData, ResetPeer, Timeout
from transport.faulting.delays import Bandwidth, Latency, PacketLoss, Slicer, SlowClose
from transport.faulting.stage import CLOSE, RESET, Ending, Piece, Stage
from transport.messages import Lane

STAGES: Final[dict[str, type[Stage]]] = {
    "latency": Latency,
    "bandwidth": Bandwidth,
    "slow_close": SlowClose,
    "timeout": Timeout,
    "reset_peer": ResetPeer,
    "slicer": Slicer,
    "limit_data": LimitData,
    "packet_loss": PacketLoss,
    "cut": Cut,
    "corrupt": Corrupt,
}


def link_rng(seed: int, caller: str, callee: str, direction: str, ordinal: int) -> Random:
    """The random numbers of one direction of the ``ordinal``-th connection of a link: the same seed
    gives the same faults, whatever happens on other links.
    """
    return Random(f"{seed}:{caller}->{callee}:{direction}:{ordinal}")


@final
class FaultPipe:
    """One direction (``up``: bytes of the caller) of one connection."""

    def __init__(
        self,
        board: FaultBoard,
        caller: str,
        callee: str,
        direction: str,
        lane: Lane,
        rng: Random,
    ) -> None:
        self._board = board
        self._link = (caller, callee, direction, lane)
        self._rng = rng
        self._changes = -1
        self._followed_s = 0.0
        self._matching: tuple[ActiveFault, ...] = ()
        self._stages: list[Stage] = []
        self._ready: list[bytes] = []
        """Has passed all stages and waits to be popped."""
        self._ending: str | None = None
        """Decided by a stage that is gone."""
        self._finished_s: float | None = None

    def idle(self, now_s: float) -> bool:
        """Whether data may bypass the pipe: no fault matches and nothing is held or decided."""
        if self._changes != self._board.changes:
            self._follow(now_s)
        return not (self._stages or self._ready or self._ending)

    @property
    def held_bytes(self) -> int:
        """Everything in the pipe."""
        return sum(stage.held_bytes for stage in self._stages) + sum(map(len, self._ready))

    @property
    def full(self) -> bool:
        """Whether the sender must be held back."""
        return self.held_bytes >= limits.FAULT_HELD_BYTES_MAX

    def _follow(self, now_s: float) -> None:
        """Bring the stages in line with the board."""
        self._changes = self._board.changes
        self._followed_s = now_s
        matching = self._board.matching(*self._link)
        if matching == self._matching and all(
            ours is theirs for ours, theirs in zip(matching, self._matching, strict=True)
        ):
            return
        known = {fault.fault_id: fault for fault in self._matching}
        current = {fault.fault_id: fault for fault in matching}
        self._advance(now_s)
        for index in range(len(self._stages) - 1, -1, -1):
            stage = self._stages[index]
            if current.get(stage.fault.fault_id) is not stage.fault:
                self._remove(index, now_s)
        for fault in matching:
            joined = known.get(fault.fault_id) is not fault
            if joined and self._rng.random() < fault.spec.toxicity:
                self._stages.append(STAGES[fault.spec.kind](fault, self._rng, now_s))
        self._matching = matching

    def _remove(self, index: int, now_s: float) -> None:
        """Take a stage out from the back; what it held goes to the one behind it."""
        held, ending = self._stages.pop(index).release()
        for data in held:
            self._hand_on(index, Piece(now_s, data))
        if ending is not None and self._ending != RESET:
            self._ending = ending

    def _hand_on(self, index: int, piece: Piece) -> None:
        """Give a piece to the stage at ``index``, or to the output behind the last."""
        if index < len(self._stages):
            self._stages[index].push(piece)
        else:
            self._ready.append(piece.data)

    def _advance(self, now_s: float) -> None:
        """Move everything that is due one stage on, from the front, as far as it goes."""
        for index, stage in enumerate(self._stages):
            for piece in stage.pop(now_s):
                self._hand_on(index + 1, piece)

    def push(self, chunk: bytes, now_s: float) -> None:
        """Take data as the sender gave it."""
        if self._changes != self._board.changes:
            self._follow(now_s)
        if chunk and self._ending is None:
            self._hand_on(0, Piece(now_s, chunk))

    def pop(self, now_s: float) -> list[bytes]:
        """What the receiver gets now, in order."""
        if self._changes != self._board.changes:
            self._follow(now_s)
        self._advance(now_s)
        ready, self._ready = self._ready, []
        return ready

    def finish(self, now_s: float) -> None:
        """The sender has closed; nothing more will be pushed."""
        if self._finished_s is None:
            self._finished_s = now_s
            for stage in self._stages:
                if stage.close_delay_s():
                    stage.fault.hits += 1

    def next_at_s(self) -> float | None:
        """When to call :meth:`pop` and :meth:`closing` again, a moment in the past for at once; None:
        only after a change of the board.
        """
        if self._changes != self._board.changes or self._ready:
            return self._followed_s
        moments = [at_s for stage in self._stages if (at_s := stage.next_at_s()) is not None]
        ending = self._next_ending()
        if ending is not None:
            moments.append(ending.at_s)
        return min(moments, default=None)

    def _next_ending(self) -> Ending | None:
        """The first end that is not waiting for data in front of it."""
        endings: list[Ending] = []
        behind_bytes = 0
        for stage in reversed(self._stages):
            ending = stage.ending()
            if ending is not None and (ending.verdict == RESET or not behind_bytes):
                endings.append(ending)
            behind_bytes += stage.held_bytes
        if self._ending is not None and (self._ending == RESET or not behind_bytes):
            endings.append(Ending(self._followed_s, self._ending))
        if self._finished_s is not None and not behind_bytes:
            delay_s = sum(stage.close_delay_s() for stage in self._stages)
            if not any(stage.blocks_close for stage in self._stages):
                endings.append(Ending(self._finished_s + delay_s, CLOSE))
        return min(endings, default=None)

    def closing(self, now_s: float) -> str | None:
        """Whether the connection must end now: None, ``close`` (everything before it was popped) or
        ``reset``. Call it after :meth:`pop`.
        """
        if self._changes != self._board.changes:
            self._follow(now_s)
        if self.held_bytes > 2 * limits.FAULT_HELD_BYTES_MAX:
            return RESET
        ending = self._next_ending()
        if ending is None or ending.at_s > now_s:
            return None
        return ending.verdict if ending.verdict == RESET or not self._ready else None
