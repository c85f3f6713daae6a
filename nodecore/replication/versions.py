"""The hybrid logical clock of one node: hands out versions and judges those of others.

It decides what the next version is, and whether a peer's version lies too far in the future to be
believed. The highest value seen lives in the table (the gate's inline writes draw from it too); a
*mark* above it is persisted in short blocks while versions are being drawn, so that a restart never
gives out a version twice, even when the wall clock was set back meanwhile. A restarted node whose
mark lies ahead of its wall clock coordinates no writes until the clock has come near: its peers
would refuse them. That is a second at most after a crash under load, and normally the start of the
process has taken longer.

The order of two versions is (hlc, node tag, hash of the value); the store compares. This module
does not read clocks and does not compare values.

Kulkarni et al., "Logical physical clocks", 2014; the offset bound follows CockroachDB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nodecore.ids import Now, Version
from nodecore.table.interface import Table

CLOCK_OFFSET_MS_MAX: Final = 500
"""A version further ahead of our wall clock is refused: one bad clock must not win for ever."""
COORDINATE_OFFSET_MS_MAX: Final = 400
"""Eight tenths of it: a node this far from its peers' median stops coordinating writes in time."""
MARK_BLOCK_MS: Final = 1_500
"""How far ahead the mark is set: what a restart after a crash may have to wait, less the offset that
peers tolerate."""
MARK_RENEW_MS: Final = 750
"""The mark of a clock in use is renewed while half of its block is left (three ticks), so that only
the first request after a pause waits for the disk."""
MARK_RECORD: Final = "hlc"

_COUNTER_BITS: Final = 16


def milliseconds_of(hlc: int) -> int:
    """The wall-clock part of a clock value."""
    return hlc >> _COUNTER_BITS


class HybridClock:
    """Versions of this node.

    Args:
        table: holds ``hlc_high``.
        node_tag: 32-bit tag of this node.
        persist: called with (record name, plain value) when the mark moves.
        mark: the persisted mark, 0 when there is none.
    """

    def __init__(
        self,
        table: Table,
        node_tag: int,
        persist: Callable[[str, object], None],
        mark: int = 0,
    ) -> None:
        self._table = table
        self._persist = persist
        self._mark = mark
        self._used = False
        """A version was drawn since the last tick."""
        self._gate_writes = table.gate_writes
        self.node_tag = node_tag
        self.offset_ms = 0.0
        """Median offset of the peers' clocks against ours, fed from membership."""
        self.refused = 0
        """Versions of others that lay too far ahead."""
        table.node_tag = node_tag
        table.hlc_high = max(table.hlc_high, mark)

    def next(self, now: Now) -> Version:
        """A version above everything that this node has given out or seen."""
        hlc = self._table.next_hlc(now.wall_ms)
        if hlc > self._mark:
            self._move_mark(hlc)
        self._used = True
        return Version(hlc, self.node_tag)

    def believes(self, hlc: int, now: Now) -> bool:
        """Take note of a peer's clock value; False (and counted) when it is too far ahead."""
        if (hlc >> _COUNTER_BITS) > now.wall_ms + CLOCK_OFFSET_MS_MAX:
            self.refused += 1
            return False
        if hlc > self._table.hlc_high:
            self._table.hlc_high = hlc
        return True

    def may_coordinate(self, now: Now) -> bool:
        """Whether peers would take versions of ours: near their clocks and past the last mark."""
        if abs(self.offset_ms) > COORDINATE_OFFSET_MS_MAX:
            return False
        ahead_ms = milliseconds_of(self._table.hlc_high) - now.wall_ms
        return ahead_ms < CLOCK_OFFSET_MS_MAX

    def end_of_turn(self) -> None:
        """Cover what inline writes have drawn from the table in this wake-up."""
        writes = self._table.gate_writes
        if writes != self._gate_writes:
            self._gate_writes = writes
            self._used = True
            if self._table.hlc_high > self._mark:
                self._move_mark(self._table.hlc_high)

    def tick(self, now: Now) -> None:
        """Keep the mark of a clock in use ahead of what is drawn before the next tick."""
        if not self._used:
            return
        self._used = False
        high = max(self._table.hlc_high, now.wall_ms << _COUNTER_BITS)
        if high + (MARK_RENEW_MS << _COUNTER_BITS) > self._mark:
            self._move_mark(high)

    def close(self) -> None:
        """A clean end: lower the mark to what was really given out, so that a restart need not wait."""
        self._mark = self._table.hlc_high
        self._persist(MARK_RECORD, self._mark)

    def _move_mark(self, high: int) -> None:
        self._mark = high + (MARK_BLOCK_MS << _COUNTER_BITS)
        self._persist(MARK_RECORD, self._mark)
