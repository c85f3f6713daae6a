"""Rows of the node table: one per member, with rates, share, breakers and faults in words.

Decides the state word of a node (process knowledge beats the peers' opinion), sorting and
filtering. Does not draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from console.source import ActiveFault, ClusterSnapshot, MemberRow, ProcessState
from console.view_models.rates import NodeRates

STATISTICS_STALE_S: Final = 5.0
"""Figures older than this are not shown as current."""

DOWN_STATES: Final = frozenset({"DOWN", "left"})


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node, ready to be drawn."""

    node_id: str
    letter: str
    state: str
    """``up``, ``DOWN``, ``PAUSED``, ``suspect``, ``joining``, ``leaving``, ``booting``, ``outside``, ``left``, ``?``."""
    share: float | None
    """Of all slots, as first owner."""
    keys: int | None
    memory_bytes: int | None
    pid: int | None
    ops: float | None
    p99_ms: float | None
    errors: float | None
    open_count: int
    """Callers whose breaker towards this node is open."""
    half_count: int
    fault_text: str
    trend: tuple[float, ...]
    addresses: Mapping[str, str]
    uptime_s: float | None
    exit_text: str
    suspected_by: tuple[str, ...]

    @property
    def is_down(self) -> bool:
        return self.state in DOWN_STATES


def state_word(member: MemberRow) -> str:
    """One word for a member's state; the process is believed before the peers."""
    if member.status == "left":
        # Its process serves, but the topology does not hold it: not yet, or not any more.
        alive = member.process in (ProcessState.RUNNING, ProcessState.STARTING)
        return "outside" if alive else "left"
    if member.process is ProcessState.EXITED:
        return "DOWN"
    if member.process is ProcessState.PAUSED:
        return "PAUSED"
    if member.status == "failed":
        return "DOWN"
    if member.process is ProcessState.STARTING:
        return "booting"
    if member.status in ("suspect", "joining", "leaving"):
        return member.status
    if member.status == "alive" or member.process is ProcessState.RUNNING:
        return "up"
    return "?"


def live_indexes(members: Sequence[MemberRow]) -> frozenset[int]:
    """Indexes of members that can serve."""
    serving = ("up", "suspect", "joining", "leaving")
    return frozenset(i for i, member in enumerate(members) if state_word(member) in serving)


def breaker_counts(snapshot: ClusterSnapshot) -> dict[str, tuple[int, int]]:
    """Node id -> (open, half-open) breakers of its callers."""
    counts: dict[str, tuple[int, int]] = {}
    for member in snapshot.members:
        if member.statistics is None or state_word(member) in DOWN_STATES:
            continue
        for breaker in member.statistics.breakers:
            opened, half = counts.get(breaker.peer, (0, 0))
            if breaker.state in ("open", "forced-open"):
                opened += 1
            elif breaker.state == "half-open":
                half += 1
            counts[breaker.peer] = (opened, half)
    return counts


SHORT_KINDS: Final = {
    "latency": "lat",
    "bandwidth": "bw",
    "slow_close": "slow",
    "reset_peer": "reset",
    "limit_data": "limit",
    "packet_loss": "loss",
    "timeout": "drop",
}


def faults_of(node_id: str, faults: Sequence[ActiveFault]) -> tuple[ActiveFault, ...]:
    """Faults that touch a node: on it, or on a link to it."""
    whole = (node_id, f"{node_id}:disk", f"{node_id}:clock")
    return tuple(
        fault
        for fault in faults
        if any(
            target in whole or target.endswith(f"->{node_id}")
            for target in fault.target.split(", ")
        )
    )


def fault_word(fault: ActiveFault) -> str:
    """``kill``, ``lat200``: a fault in at most seven characters."""
    word = SHORT_KINDS.get(fault.kind, fault.kind)
    if fault.kind == "latency":
        digits = ""
        for character in fault.text:
            if character.isdigit():
                digits += character
            elif digits:
                break
        word += digits
    return word[:7]


def node_rows(
    snapshot: ClusterSnapshot,
    rates: Mapping[str, NodeRates | None],
    shares: Sequence[float] | None,
    trends: Mapping[str, Sequence[float]],
) -> list[NodeRow]:
    """All members in the snapshot's order."""
    breakers = breaker_counts(snapshot)
    rows = []
    for index, member in enumerate(snapshot.members):
        state = state_word(member)
        down = state in DOWN_STATES
        age = member.statistics_age_s
        statistics = member.statistics
        if down or (age is not None and age > STATISTICS_STALE_S):
            statistics = None
        rate = rates.get(member.node_id) if statistics is not None else None
        opened, half = breakers.get(member.node_id, (0, 0))
        words = [fault_word(fault) for fault in faults_of(member.node_id, snapshot.faults)]
        more = f"+{len(words) - 1}" if len(words) > 1 else ""
        rows.append(
            NodeRow(
                node_id=member.node_id,
                letter=member.letter,
                state=state,
                share=shares[index] if shares is not None and index < len(shares) else None,
                keys=statistics.keys if statistics else None,
                memory_bytes=statistics.memory_bytes if statistics else None,
                pid=member.pid,
                ops=rate.ops if rate else (0.0 if down else None),
                p99_ms=rate.p99_ms if rate else None,
                errors=rate.errors if rate else None,
                open_count=opened,
                half_count=half,
                fault_text=(words[0] + more) if words else "",
                trend=tuple(trends.get(member.node_id, ())),
                addresses=member.addresses,
                uptime_s=statistics.uptime_s if statistics else None,
                exit_text=member.exit_text,
                suspected_by=member.suspected_by,
            )
        )
    return rows


def _descending(value: float | None) -> float:
    return -value if value is not None else 1.0


SORTS: Final[tuple[tuple[str, Callable[[NodeRow], tuple[float, ...]]], ...]] = (
    ("NODE", lambda _: ()),
    ("OP/S", lambda row: (_descending(row.ops),)),
    ("P99", lambda row: (_descending(row.p99_ms),)),
    ("OWN%", lambda row: (_descending(row.share),)),
    ("KEYS", lambda row: (_descending(row.keys),)),
    ("BRK", lambda row: (-row.open_count, -row.half_count)),
)
"""Title of the sort column -> key; a stable sort, so equal rows keep the members' order."""


def sorted_rows(rows: Sequence[NodeRow], sort_index: int) -> list[NodeRow]:
    """Rows in the order of the given sort column."""
    key = SORTS[sort_index % len(SORTS)][1]
    return sorted(rows, key=key)


FILTER_HINT: Final = "n3, up, down, open, fault, key:user; ! inverts"


def matches(row: NodeRow, wanted: str) -> bool:
    """Whether a row passes a filter.

    Words are joined by spaces, all must hold; ``!`` inverts a word. ``open``, ``half``, ``fault``,
    ``up``, ``down``, ``paused`` test the state; anything else is part of the node's id or letter.
    Words that begin with ``key:`` concern the hot keys and hold for every node.
    """
    for word in wanted.split():
        inverted = word.startswith("!")
        term = word[1:] if inverted else word
        if not term or term.startswith("key:"):
            continue
        if _term_holds(row, term.lower()) == inverted:
            return False
    return True


def _term_holds(row: NodeRow, term: str) -> bool:
    if term == "open":
        return row.open_count > 0
    if term == "half":
        return row.half_count > 0
    if term == "fault":
        return bool(row.fault_text)
    if term == row.state.lower():
        return True
    return term in row.node_id.lower()


def key_filter(wanted: str) -> str:
    """The text that hot keys must hold, from a ``key:`` word; empty: all."""
    for word in wanted.split():
        if word.startswith("key:"):
            return word[4:]
    return ""
