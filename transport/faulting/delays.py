"""Faults that hold data back: latency, bandwidth, slicer, packet_loss, and slow_close for the end."""

from __future__ import annotations

from random import Random
from typing import Final, final

from transport.faulting.board import ActiveFault
from transport.faulting.stage import Piece, Stage

_SLICE_S: Final = 0.1
"""Bandwidth lets data out in portions of this time, as toxiproxy does, so that it flows."""
_RETRANSMIT_FIRST_S: Final = 0.2
"""Linux's smallest retransmission timeout; it doubles with every further loss of the same packet."""
_RETRANSMISSIONS_MAX: Final = 6


@final
class Latency(Stage):
    """latency ± jitter (even), counted from the arrival of each piece."""

    def push(self, piece: Piece) -> None:
        spec = self.fault.spec
        jitter_ms = spec["jitter"]
        drawn_ms = spec["latency"] + (self._rng.uniform(-jitter_ms, jitter_ms) if jitter_ms else 0)
        self.fault.hits += 1
        self._hold(piece.at_s + max(0.0, drawn_ms) / 1000, piece.data)


@final
class Bandwidth(Stage):
    """At most ``rate`` thousand bytes a second."""

    def __init__(self, fault: ActiveFault, rng: Random, now_s: float) -> None:
        super().__init__(fault, rng, now_s)
        self._free_at_s = now_s
        self._bytes_per_s = fault.spec["rate"] * 1000
        self._portion_bytes = max(1, int(self._bytes_per_s * _SLICE_S))

    def push(self, piece: Piece) -> None:
        self.fault.hits += 1
        at_s = max(self._free_at_s, piece.at_s)
        for start in range(0, len(piece.data), self._portion_bytes):
            portion = piece.data[start : start + self._portion_bytes]
            at_s += len(portion) / self._bytes_per_s
            self._hold(at_s, portion)
        self._free_at_s = at_s


@final
class Slicer(Stage):
    """Pieces of average_size ± size_variation, with a delay after each."""

    def __init__(self, fault: ActiveFault, rng: Random, now_s: float) -> None:
        super().__init__(fault, rng, now_s)
        self._free_at_s = now_s

    def push(self, piece: Piece) -> None:
        spec = self.fault.spec
        average, variation = int(spec["average_size"]), int(spec["size_variation"])
        delay_s = spec["delay"] / 1_000_000
        at_s = max(self._free_at_s, piece.at_s)
        position = 0
        while position < len(piece.data):
            size = max(1, average + (self._rng.randint(-variation, variation) if variation else 0))
            self._hold(at_s, piece.data[position : position + size])
            position += size
            at_s += delay_s
        self._free_at_s = at_s
        self.fault.hits += 1


@final
class PacketLoss(Stage):
    """A lost piece is late by its retransmission, and everything behind it waits.

    Over a stream nothing is ever missing: loss looks like delay, and this is that delay. With
    ``correlation`` the fate of a piece repeats that of the one before with that probability.
    """

    def __init__(self, fault: ActiveFault, rng: Random, now_s: float) -> None:
        super().__init__(fault, rng, now_s)
        self._lost_before = False

    def _lost(self) -> bool:
        spec = self.fault.spec
        if self._rng.random() >= spec["correlation"]:
            self._lost_before = self._rng.random() < spec["loss_rate"]
        return self._lost_before

    def push(self, piece: Piece) -> None:
        due_s = piece.at_s
        timeout_s = _RETRANSMIT_FIRST_S
        for _ in range(_RETRANSMISSIONS_MAX):
            if not self._lost():
                break
            due_s += timeout_s
            timeout_s *= 2
        if due_s > piece.at_s:
            self.fault.hits += 1
        self._hold(due_s, piece.data)


@final
class SlowClose(Stage):
    """Data passes; the end of the connection waits."""

    def push(self, piece: Piece) -> None:
        self._hold(piece.at_s, piece.data)

    def close_delay_s(self) -> float:
        return self.fault.spec["delay"] / 1000
