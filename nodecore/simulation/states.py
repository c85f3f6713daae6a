"""Named states that a search must have been in: a suite that never gets there proves nothing there.

Most are read from what nodes count and tell anyway, just before a life ends and at the end of a run;
the rest is noted by those who do harm. Nothing here judges a run; the table ``SOMETIMES`` says what
must be reached over many seeds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from nodecore.simulation.history import Operation, Result
from nodecore.simulation.process import SimProcess

_FIELDS: Final = {
    "hint-delivered": "hints_sent",
    "hint-dropped": "hints_dropped",
    "read-repaired": "repairs",
    "conflict-resolved": "conflicts",
    "sloppy-write": "sloppy_writes",
    "degraded-miss": "degraded_reads",
    "update-forwarded": "forwarded",
    "read-hedged": "hedged",
    "outcome-unknown": "unknowns",
}
"""Fields of the statistics."""
_COUNTERS: Final = {
    "stale-epoch-refused": "stale_epochs_refused",
    "call-timed-out": "calls_timed_out",
    "clock-refused": "clock_refusals",
    "slots-differed": "sync_slots_differed",
    "slots-fetched-again": "change_slots_reset",
    "entries-streamed": "change_entries_received",
    "entries-dropped-after-move": "change_entries_dropped",
    "newer-writes-handed-over": "change_entries_handed_over",
    "failed-member-removed": "change_removals",
    "change-taken-over": "change_takeovers",
    "change-cancelled": "change_cancels",
    "tombstone-collected": "collected",
    "floor-refused": "refused_floor",
    "older-version-ignored": "older",
    "flushed-version-refused": "refused_flushed",
}
"""Of the statistics' counters."""
_EVENTS: Final = {
    "suspected": "member.suspect",
    "failed": "member.failed",
    "breaker-opened": "breaker.open",
    "breaker-half-opened": "breaker.half-open",
    "breaker-closed": "breaker.closed",
    "link-lost": "link.down",
    "slots-refilled": "slots.refilling",
    "join-delayed": "change.join-waits",
    "removal-delayed": "change.removal-waits",
}

NOTED: Final = (
    "joint-epoch-read",
    "suspicion-refuted",
    "strict-refused",
    "proposal-preempted",
    "late-duplicate",
    "crash-among-effects",
    "lost-reply",
    "stalled-link",
    "paused-woke-behind",
    "source-died-in-joint-epoch",
    "wiped",
    "witness-wiped",
    "promiser-died",
    "change-split",
    "damaged-record-refused",
    "clock-jumped",
    "flushed",
    "aged",
    "joined",
    "left",
    "clock-unsettled",
    "lease-refused",
    "lease-taken-over",
    "died-between-rounds",
    "starved-owner-decides",
    "asked-by-owner-of-old",
    "round-amid-fewer-copies",
    "core-served-alone",
)
"""States that this module, the nemesis or the run itself notes."""

SOMETIMES: Final[tuple[str, ...]] = (*_FIELDS, *_COUNTERS, *_EVENTS, *NOTED)
"""Every state that a suite of seeds must reach."""


def count_node(process: SimProcess, states: dict[str, int]) -> None:
    """Add what the present life of a process has counted."""
    node = process.node
    statistics = node.statistics(process.clock.now())
    for state, name in _FIELDS.items():
        _add(states, state, int(getattr(statistics, name)))
    for state, name in _COUNTERS.items():
        _add(states, state, statistics.counters.get(name, 0))


def count_events(processes: Iterable[SimProcess], states: dict[str, int]) -> None:
    """Add what processes have said over all their lives."""
    for process in processes:
        suspected: dict[str, bool] = {}
        for _at_s, event in process.events:
            for state, prefix in _EVENTS.items():
                if event.kind.startswith(prefix):
                    _add(states, state, 1)
            about = str(dict(event.fields).get("node", ""))
            if event.kind == "member.suspect":
                suspected[about] = True
            elif event.kind == "member.alive" and suspected.pop(about, False):
                _add(states, "suspicion-refuted", 1)


def count_operations(
    operations: Iterable[Operation], processes: Iterable[SimProcess], states: dict[str, int]
) -> None:
    """Add what clients saw."""
    joint = {str(process.node_id): _joint_spans(process) for process in processes}
    for operation in operations:
        if operation.result is Result.FAIL and operation.text.startswith("NOREPLICAS"):
            _add(states, "strict-refused", 1)
        if operation.kind == "read" and operation.result is Result.OK:
            spans = joint.get(operation.node, [])
            if any(low < operation.begin_s and operation.end_s < high for low, high in spans):
                _add(states, "joint-epoch-read", 1)


def _joint_spans(process: SimProcess) -> list[tuple[float, float]]:
    """When the process stood at a joint epoch."""
    spans: list[tuple[float, float]] = []
    since_s: float | None = None
    for at_s, event in process.events:
        if event.kind != "topology.epoch":
            continue
        if since_s is not None:
            spans.append((since_s, at_s))
        since_s = at_s if "(joint" in event.text else None
    return spans


def _add(states: dict[str, int], state: str, count: int) -> None:
    if count:
        states[state] = states.get(state, 0) + count


def lapses_of(processes: Iterable[SimProcess]) -> list[float]:
    """When slots were taken for complete with too few copies, see ``sessions.Rules.lapses``."""
    return [
        at_s
        for process in processes
        for at_s, event in process.events
        if event.kind == "slots.filled-short"
    ]
