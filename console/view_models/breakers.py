"""The breaker matrix: caller by callee, quiet when closed, and the words for the worst link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from console.formatting import clock, escape_text, percent
from console.source import ClusterSnapshot
from console.view_models.nodes import DOWN_STATES, state_word
from nodecore.statistics import BreakerState

SYMBOLS: Final = {
    "closed": ".",
    "open": "x",
    "half-open": "~",
    "forced-open": "X",
    "disabled": "o",
}
RANKS: Final = {"closed": 0, "disabled": 1, "half-open": 2, "open": 3, "forced-open": 4}
WORDS: Final = {
    "closed": "CLOSED",
    "open": "OPEN",
    "half-open": "HALF",
    "forced-open": "FORCED OPEN",
    "disabled": "DISABLED",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One link in the matrix."""

    text: str
    """``-`` self, blank unknown, ``.`` closed, ``~1`` half-open, ``x5`` open with its trips."""
    state: str


@dataclass(frozen=True, slots=True)
class BreakerMatrix:
    """All links of the cluster."""

    letters: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    """[caller][callee]"""
    troubled: tuple[tuple[str, str, BreakerState], ...]
    """(caller letter, callee letter, breaker), worst first; closed ones are absent."""

    @property
    def is_quiet(self) -> bool:
        return not self.troubled


def breaker_matrix(snapshot: ClusterSnapshot) -> BreakerMatrix:
    """The matrix of a snapshot; rows of nodes that are down are blank, not stale."""
    members = snapshot.members
    letters = {member.node_id: member.letter for member in members}
    rows: list[tuple[Cell, ...]] = []
    troubled: list[tuple[str, str, BreakerState]] = []
    for caller in members:
        known: Mapping[str, BreakerState] = {}
        if caller.statistics is not None and state_word(caller) not in DOWN_STATES:
            known = {breaker.peer: breaker for breaker in caller.statistics.breakers}
        cells = []
        for callee in members:
            if callee.node_id == caller.node_id:
                cells.append(Cell("-", "self"))
                continue
            breaker = known.get(callee.node_id)
            if breaker is None:
                cells.append(Cell(" ", "unknown"))
                continue
            symbol = SYMBOLS.get(breaker.state, "?")
            busy = breaker.state in ("open", "half-open", "forced-open")
            trips = f"{min(breaker.trips, 99)}" if busy and breaker.trips > 0 else ""
            cells.append(Cell(symbol + trips, breaker.state))
            if busy:
                troubled.append((letters[caller.node_id], letters[callee.node_id], breaker))
        rows.append(tuple(cells))
    troubled.sort(
        key=lambda entry: (
            -RANKS.get(entry[2].state, 0),
            -max(entry[2].errors_ratio, entry[2].slow_ratio),
            entry[0],
            entry[1],
        )
    )
    return BreakerMatrix(tuple(member.letter for member in members), tuple(rows), tuple(troubled))


def breaker_lines(
    caller: str, callee: str, breaker: BreakerState, offset_s: int
) -> tuple[str, ...]:
    """The tile of one link: state, why, since when, what comes next."""
    lines = [f"{caller} -> {callee}   {WORDS.get(breaker.state, breaker.state)}"]
    if breaker.reason:
        lines.append(escape_text(breaker.reason, 60))
    else:
        lines.append(
            f"err {percent(breaker.errors_ratio)}  slow {percent(breaker.slow_ratio)}"
            f"  of {breaker.calls} calls"
        )
    if breaker.opened_wall_ms:
        lines.append(f"opened {clock(breaker.opened_wall_ms, offset_s)}")
    if breaker.state == "half-open" or breaker.probes_ok:
        lines.append(f"probes {breaker.probes_ok}/{breaker.probes_needed} ok")
    elif breaker.probe_in_s > 0:
        lines.append(f"next probe in {breaker.probe_in_s:.1f} s")
    lines.append(f"trips {breaker.trips}   latency {breaker.latency_ms:.0f} ms")
    return tuple(lines)


def short_lines(troubled: Sequence[tuple[str, str, BreakerState]], count: int) -> list[str]:
    """One or two lines for each of the worst links, in at most ``count`` lines."""
    lines: list[str] = []
    for caller, callee, breaker in troubled:
        symbol = SYMBOLS.get(breaker.state, "?")
        if breaker.state == "half-open":
            lines.append(
                f"{caller}->{callee} {symbol}  probe {breaker.probes_ok}/{breaker.probes_needed}"
            )
        else:
            worst = (
                f"err {percent(breaker.errors_ratio)}"
                if breaker.errors_ratio >= breaker.slow_ratio
                else f"slow {percent(breaker.slow_ratio)}"
            )
            lines.append(f"{caller}->{callee} {symbol}  {worst}")
            if breaker.probe_in_s > 0 and len(lines) < count:
                lines.append(f"  retry in {breaker.probe_in_s:.1f}s")
        if len(lines) >= count:
            break
    return lines[:count]
