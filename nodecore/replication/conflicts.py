"""Conflicts: two versions of one key, neither of which its writer had seen, settled by version.

The last writer wins by the total order of versions; most losers were simply overwritten by somebody
who knew them. Versions do not carry their past, so a conflict is told by what an owner does know when
two different versions by two different nodes meet on it:

* **race**: an update arrives that is older than what is here, by at most ``RACE_MS``. Both were under
  way at once; one client was told "done" for a value that nobody will read.
* **apart**: a copy comes late (by hint, repair or handover). One of the two versions was made by a
  node that this owner was apart from at that moment, the other, within the same separation, by a
  node that it was not apart from. Across a partition neither writer could know of the other.

What is older and merely late, overwrites within one side, and copies of what is here already are no
conflicts. Where a partition is not symmetric (the other writer did reach the far side), an overwrite
may be counted as a conflict; a race that all owners saw in order of the versions is none. Each owner
judges what meets on it: with N copies a conflict is counted up to N times, on one owner once.

It judges and reports: the first ``EVENTS_PER_S`` of a second by an event each, up to
``TOLD_TOGETHER_MAX`` more by one event that shows them all, what goes beyond by its number. The store has
settled the matter before. Sources: Kulkarni et al., "Logical Physical Clocks" (2014), for what the order implies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from nodecore.effects import Emit, Severity
from nodecore.ids import Now, Version
from nodecore.replication.separations import Separations
from nodecore.replication.versions import milliseconds_of

RACE_MS: Final = 10
"""Less than a client needs to hear of one write and send the next elsewhere, on a busy machine."""
EVENTS_PER_S: Final = 5
TOLD_TOGETHER_MAX: Final = 50
"""In one event: some 5 KB, of which the ring of events holds a thousand in one answer."""
KEY_SHOWN_MAX: Final = 64
REMEMBERED_MAX: Final = 4096
"""Losers that have been counted: the same copy may come again."""


class Met(NamedTuple):
    """A version that arrived, and what it found."""

    key: bytes
    arrived: Version
    arrived_bytes: int
    """Of its value; 0 also for a delete."""
    held: Version
    held_bytes: int
    cause: str
    """``update``, ``hint``, ``repair`` or ``handover``."""


class Conflicts:
    """Conflicts that were settled on this node.

    Args:
        separations: when this node was apart from whom.
        name_of: the node with a tag; its tag in hexadecimal when it is no member.
        emit: for events.
    """

    def __init__(
        self,
        separations: Separations,
        name_of: Callable[[int], str],
        emit: Callable[[Emit], None],
    ) -> None:
        self._separations = separations
        self._name_of = name_of
        self._emit = emit
        self.by_cause: dict[str, int] = {}
        self.won_here = 0
        """Of those between two sides: the version of this owner's side won."""
        self.won_there = 0
        self._remembered: dict[tuple[bytes, Version], None] = {}
        self._second = 0
        self._emitted = 0
        self._waiting: list[str] = []
        """Conflicts of this second that will be told together."""
        self._unreported = 0

    @property
    def total(self) -> int:
        """Of all causes."""
        return sum(self.by_cause.values())

    def on_met(self, met: Met, now: Now) -> bool:
        """Judge two different versions of a key; returns whether they were in conflict."""
        if met.arrived.node == met.held.node:
            return False
        if met.cause == "update":
            gap_ms = milliseconds_of(met.held.hlc) - milliseconds_of(met.arrived.hlc)
            if not 0 <= gap_ms <= RACE_MS or met.arrived > met.held:
                return False
            far = None
        else:
            far = self._far_side(met)
            if far is None:
                return False
        loser, winner = sorted((met.arrived, met.held))
        if (met.key, loser) in self._remembered:
            return False
        self._remember(met.key, loser)
        if far is not None:
            self.won_there += winner == far
            self.won_here += winner != far
        self.by_cause[met.cause] = self.by_cause.get(met.cause, 0) + 1
        self._report(met, now)
        return True

    def tick(self, now: Now) -> None:
        """Tell what a second that is over has left to be told."""
        if int(now.mono_s) != self._second:
            self._tell_together()

    def _far_side(self, met: Met) -> Version | None:
        """The version that was made beyond a separation; None when they do not lie on two sides."""
        for far, near in ((met.arrived, met.held), (met.held, met.arrived)):
            near_ms = milliseconds_of(near.hlc)
            span = self._separations.span_at(far.node, milliseconds_of(far.hlc))
            if (
                span is not None
                and span.covers(near_ms)
                and self._separations.span_at(near.node, near_ms) is None
            ):
                return far
        return None

    def _remember(self, key: bytes, loser: Version) -> None:
        self._remembered[key, loser] = None
        if len(self._remembered) > REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]

    def _report(self, met: Met, now: Now) -> None:
        second = int(now.mono_s)
        if second != self._second:
            self._tell_together()
            self._second, self._emitted = second, 0
        arrived = self._shown(met.arrived, met.arrived_bytes)
        held = self._shown(met.held, met.held_bytes)
        arrival_won = met.arrived > met.held
        winner, loser = (arrived, held) if arrival_won else (held, arrived)
        key = shown_key(met.key)
        text = f"{key}: {winner} won over {loser}, met by {met.cause}"
        if self._emitted >= EVENTS_PER_S:
            if len(self._waiting) < TOLD_TOGETHER_MAX:
                self._waiting.append(text)
            else:
                self._unreported += 1
            return
        self._emitted += 1
        fields = ("key", key), ("winner", winner), ("loser", loser), ("cause", met.cause)
        self._emit(Emit("conflict.resolved", text, Severity.NOTICE, fields))

    def _tell_together(self) -> None:
        told, self._waiting = self._waiting, []
        unreported, self._unreported = self._unreported, 0
        if not told:
            return
        more = f", {unreported} of them not shown" if unreported else ""
        text = f"{len(told) + unreported} more conflicts in one second{more}: {told[0]}; ..."
        fields = (
            ("count", len(told) + unreported),
            ("conflicts", "; ".join(told)),
            ("unreported", unreported),
        )
        self._emit(Emit("conflict.resolved", text, Severity.NOTICE, fields))

    def _shown(self, version: Version, size_bytes: int) -> str:
        """``<milliseconds>.<counter>@<node>/<bytes>``."""
        counter = version.hlc & 0xFFFF
        name = self._name_of(version.node)
        return f"{milliseconds_of(version.hlc)}.{counter}@{name}/{size_bytes}B"


def shown_key(key: bytes) -> str:
    """A key for a person: escaped, and cut at ``KEY_SHOWN_MAX`` bytes."""
    text = key[:KEY_SHOWN_MAX].decode("utf-8", "backslashreplace")
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return f"{text}... ({len(key)} bytes)" if len(key) > KEY_SHOWN_MAX else text
