"""Merge reports: what it took to bring this node and returning peers together again.

When a peer comes back from a separation that lasted, a merge begins: hints are replayed, reads and
the comparison of digests repair what differs, versions made on both sides are settled. The report is
a difference of this node's own counters, so every node tells its own part: slots are counted from the
return on, the rest from the parting, because a peer that saw the return earlier has begun by then.
A merge is over when no hints for the returned peers are left and the comparison has since
gone over all slots once; it is cut short when one of them goes again or ``MERGE_S_MAX`` have passed,
and says so. Peers that return while a merge runs join it.

It counts and reports; nothing that it says changes what is done. Bounded: the last ``REPORTS_KEPT``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from nodecore.effects import Emit, Severity
from nodecore.ids import NodeId, Now
from nodecore.replication.separations import NOTICE_MS, Span

SEPARATION_MS_MIN: Final = 3_000
"""Shorter ones (a pause, a lost probe) are not worth a report."""
MERGE_S_MIN: Final = 2.0
MERGE_S_MAX: Final = 300.0
REPORTS_KEPT: Final = 32
PEERS_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class MergeFigures:
    """Totals of a node since its start that a merge moves."""

    hints_delivered: int = 0
    """To peers."""
    hints_taken: int = 0
    """From peers, and newer than what was here."""
    keys_repaired: int = 0
    """Here, by reads and by comparison; handed over by a removed peer too."""
    conflicts_won_here: int = 0
    """The version of this node's side won."""
    conflicts_won_there: int = 0
    slots_compared: int = 0
    slots_differed: int = 0
    rounds: int = 0
    """Complete comparisons of all slots that this node has begun and ended."""

    def since(self, before: MergeFigures) -> MergeFigures:
        """What has been added."""
        own, old = asdict(self), asdict(before)
        return MergeFigures(**{name: own[name] - old[name] for name in own})


@dataclass(frozen=True, slots=True)
class MergeReport:
    """One merge, as this node saw it."""

    number: int
    """Counts the merges of this process, from 1."""
    peers: tuple[str, ...]
    apart_since_wall_ms: int
    """When the first of them was last seen."""
    began_wall_ms: int
    ended_wall_ms: int
    """0 while it runs."""
    end: str
    """``complete``, ``apart-again``, ``too-long``; empty while it runs."""
    figures: MergeFigures

    def to_plain(self) -> dict[str, Any]:
        """One flat table, for the wire and for ``--json``."""
        figures = asdict(self.figures)
        figures.pop("rounds")
        return {
            "number": self.number,
            "peers": list(self.peers),
            "apart_since_wall_ms": self.apart_since_wall_ms,
            "began_wall_ms": self.began_wall_ms,
            "ended_wall_ms": self.ended_wall_ms,
            "end": self.end,
            "conflicts_resolved": figures["conflicts_won_here"] + figures["conflicts_won_there"],
            **figures,
        }


class Merges:
    """Merges of one node.

    Args:
        figures: the totals of now.
        hints_left: hints that wait for a peer.
        emit: for events.
    """

    def __init__(
        self,
        figures: Callable[[], MergeFigures],
        hints_left: Callable[[NodeId], int],
        emit: Callable[[Emit], None],
    ) -> None:
        self._figures = figures
        self._hints_left = hints_left
        self._emit = emit
        self._reports: deque[MergeReport] = deque(maxlen=REPORTS_KEPT)
        self._peers: dict[NodeId, None] = {}
        """Of the merge that runs; empty: none does."""
        self._before = MergeFigures()
        self._parted: dict[NodeId, MergeFigures] = {}
        """The totals when a peer that is still away went."""
        self._rounds = 0
        self._apart_since_ms = 0
        self._began_ms = 0
        self._returned_s = 0.0
        """When the last of the peers came back."""
        self._began_s = 0.0
        self.count = 0

    def tick(self, begun: list[Span], ended: list[Span], now: Now) -> None:
        """Separations that have begun and ended since the last tick."""
        if self._peers and any(span.peer in self._peers for span in begun):
            self._end("apart-again", now)
        for span in begun:
            self._parted[span.peer] = self._figures()
            if len(self._parted) > PEERS_MAX:
                del self._parted[next(iter(self._parted))]
        for span in ended:
            parted = self._parted.pop(span.peer, None) or self._figures()
            if span.until_ms - span.since_ms - NOTICE_MS >= SEPARATION_MS_MIN:
                self._begin(span, parted, now)
        if not self._peers:
            return
        if now.mono_s - self._began_s > MERGE_S_MAX:
            self._end("too-long", now)
        elif now.mono_s - self._returned_s >= MERGE_S_MIN and self._settled():
            self._end("complete", now)

    @property
    def reports(self) -> list[MergeReport]:
        """Oldest first; the last may still run."""
        running = [self._report("", 0)] if self._peers else []
        return [*self._reports, *running]

    def _begin(self, span: Span, parted: MergeFigures, now: Now) -> None:
        figures = self._figures()
        since_ms = span.since_ms + NOTICE_MS
        if not self._peers:
            self.count += 1
            self._before = replace(
                parted,
                slots_compared=figures.slots_compared,
                slots_differed=figures.slots_differed,
                rounds=figures.rounds,
            )
            self._apart_since_ms = since_ms
            self._began_ms, self._began_s = now.wall_ms, now.mono_s
        if len(self._peers) < PEERS_MAX:
            self._peers[span.peer] = None
        self._apart_since_ms = min(self._apart_since_ms, since_ms)
        self._returned_s = now.mono_s
        # The round that runs began before the return.
        self._rounds = figures.rounds + 1

    def _settled(self) -> bool:
        return self._figures().rounds > self._rounds and not any(map(self._hints_left, self._peers))

    def _report(self, end: str, ended_ms: int) -> MergeReport:
        return MergeReport(
            self.count,
            tuple(map(str, self._peers)),
            self._apart_since_ms,
            self._began_ms,
            ended_ms,
            end,
            self._figures().since(self._before),
        )

    def _end(self, end: str, now: Now) -> None:
        report = self._report(end, now.wall_ms)
        self._reports.append(report)
        self._peers = {}
        figures = report.figures
        apart_s = (report.began_wall_ms - report.apart_since_wall_ms) / 1000
        text = (
            f"merged with {', '.join(report.peers)} after {apart_s:.1f} s apart ({end}): "
            f"{figures.hints_delivered} hints delivered, {figures.hints_taken} taken, "
            f"{figures.keys_repaired} keys repaired, {figures.slots_differed} of "
            f"{figures.slots_compared} slots differed, "
            f"{figures.conflicts_won_here + figures.conflicts_won_there} conflicts "
            f"({figures.conflicts_won_here} won here, {figures.conflicts_won_there} there)"
        )
        plain = report.to_plain()
        plain["peers"] = " ".join(report.peers)
        self._emit(Emit("merge.report", text, Severity.NOTICE, tuple(plain.items())))
