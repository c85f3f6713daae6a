"""The whole screen's model: takes snapshots one by one and keeps what drawings need.

Bounded: histories have fixed lengths, and what belonged to nodes that are gone is dropped. Nothing
here waits or reads a clock; a moment is the snapshot's own ``at_wall_ms``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from console.formatting import percent
from console.source import ClusterSnapshot, ProcessState
from console.view_models.breakers import BreakerMatrix, breaker_matrix
from console.view_models.events import EventLog
from console.view_models.heat import HeatHistory, diagnosis
from console.view_models.nodes import DOWN_STATES, NodeRow, live_indexes, node_rows, state_word
from console.view_models.rates import NodeRates, add_counts, node_rates, quantile_ms
from console.view_models.ring import RingModel
from nodecore.statistics import NodeStatistics

TREND_POINTS: Final = 120
"""Ticks of history per node and for the cluster."""
RATE_KEPT_TICKS: Final = 5
"""A rate whose statistics did not move is kept this many ticks, then unknown."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The verdict line's figures."""

    up: int
    total: int
    ops: float | None
    hit_ratio: float | None
    errors_ratio: float | None
    p50_ms: float | None
    p99_ms: float | None


EMPTY: Final = ClusterSnapshot(sequence=0, at_wall_ms=0, cluster="")
NO_SUMMARY: Final = Summary(0, 0, None, None, None, None, None)


class ClusterModel:
    """What is known of the cluster, ready to be drawn."""

    def __init__(self) -> None:
        self.snapshot: ClusterSnapshot = EMPTY
        self.rates: dict[str, NodeRates | None] = {}
        self.trends: dict[str, deque[float]] = {}
        self.errors: deque[float] = deque(maxlen=TREND_POINTS)
        """Share of failed operations per tick, 0..1."""
        self.ring = RingModel()
        self.heat = HeatHistory()
        self.log = EventLog()
        self.rows: list[NodeRow] = []
        self.matrix: BreakerMatrix = breaker_matrix(EMPTY)
        self.live: frozenset[int] = frozenset()
        self.summary = NO_SUMMARY
        self.diagnosis: tuple[str, ...] = ()
        self._statistics: dict[str, NodeStatistics] = {}
        self._unchanged: dict[str, int] = {}

    def apply(self, snapshot: ClusterSnapshot) -> None:
        """Take the next snapshot."""
        before = self.snapshot
        self.snapshot = snapshot
        self._update_rates()
        moved_before = self.ring.moved_at_ms
        self.ring.apply(snapshot)
        if self.ring.moved_at_ms != moved_before:
            self._note_move()
        self.heat.apply(snapshot, self.rates)
        for event in snapshot.events:
            self.log.add_event(event)
        self._mark_faults(before)
        self._note_ends(before)
        shares = self.ring.shares
        self.rows = node_rows(snapshot, self.rates, shares, self.trends)
        self.matrix = breaker_matrix(snapshot)
        self.live = live_indexes(snapshot.members)
        self.summary = self._summarise()
        if self.summary.errors_ratio is not None:
            self.errors.append(self.summary.errors_ratio)
        column = self.heat.columns[-1]
        by_id = {
            member.node_id: share
            for member, share in zip(snapshot.members, shares or (), strict=False)
        }
        self.diagnosis = diagnosis(column.bands, snapshot.hot_keys, by_id, column.by_node)

    def _update_rates(self) -> None:
        present: dict[str, None] = {}
        for member in self.snapshot.members:
            node_id = member.node_id
            present[node_id] = None
            current = member.statistics
            previous = self._statistics.get(node_id)
            trend = self.trends.setdefault(node_id, deque(maxlen=TREND_POINTS))
            if current is None or state_word(member) in DOWN_STATES:
                # What a dead node did last is not what it does.
                self.rates[node_id] = None
            elif previous is not None and current.at_wall_ms == previous.at_wall_ms:
                self._unchanged[node_id] = self._unchanged.get(node_id, 0) + 1
                if self._unchanged[node_id] > RATE_KEPT_TICKS:
                    self.rates[node_id] = None
            else:
                self._unchanged[node_id] = 0
                self.rates[node_id] = node_rates(previous, current)
                self._statistics[node_id] = current
            rate = self.rates.get(node_id)
            trend.append(rate.ops if rate is not None else 0.0)
        for node_id in [known for known in self.trends if known not in present]:
            for kept in (self.trends, self.rates, self._statistics, self._unchanged):
                kept.pop(node_id, None)

    def _note_move(self) -> None:
        """Ownership changed: say how much, and who has it now."""
        ring = self.ring
        gains = "  ".join(
            f"{self.letter_of(node_id)} {percent(share, 1)}" for node_id, share in ring.moved_to[:4]
        )
        moved = percent(len(ring.moved) / len(ring.primaries), 1)
        at_wall_ms = self.snapshot.at_wall_ms
        self.log.add_note(at_wall_ms, f"ring: {moved} of the slots moved -> {gains}")
        self.log.mark(at_wall_ms, f"moved {moved}")

    def _mark_faults(self, before: ClusterSnapshot) -> None:
        known = {fault.fault_id for fault in before.faults}
        for fault in self.snapshot.faults:
            if fault.fault_id not in known and before.sequence:
                target = fault.target.removeprefix("*->")
                self.log.mark(self.snapshot.at_wall_ms, f"{fault.kind} {target}")
        if before.faults and not self.snapshot.faults:
            self.log.mark(self.snapshot.at_wall_ms, "healed")
        old = {member.node_id for member in before.members}
        for member in self.snapshot.members:
            if old and member.node_id not in old:
                self.log.mark(self.snapshot.at_wall_ms, f"add {member.node_id}")

    def _note_ends(self, before: ClusterSnapshot) -> None:
        """A process that ended is told at once, whoever ended it and whatever the peers think."""
        ended = {
            member.node_id for member in before.members if member.process is ProcessState.EXITED
        }
        if not before.sequence:
            return
        for member in self.snapshot.members:
            if member.process is ProcessState.EXITED and member.node_id not in ended:
                how = member.exit_text.partition(" at ")[0] or "ended"
                text = f"{member.node_id}: its process is gone ({how})"
                self.log.add_note(self.snapshot.at_wall_ms, text, "error")

    def _summarise(self) -> Summary:
        known = [rate for rate in self.rates.values() if rate is not None]
        ops = sum(rate.ops for rate in known) if known else None
        hits, misses = sum(r.hits for r in known), sum(r.misses for r in known)
        errors = sum(rate.errors for rate in known)
        counts: tuple[int, ...] = ()
        for rate in known:
            counts = add_counts(counts, rate.latency_counts)
        ratio = errors / (ops + errors) if ops else (0.0 if known else None)
        p50, p99 = quantile_ms(counts, 0.5), quantile_ms(counts, 0.99)
        load = self.snapshot.load
        if load is not None and load.running and load.rate + load.errors_per_s > 0:
            # What clients saw counts: a dead node reports no errors of its own.
            ratio = load.errors_per_s / (load.rate + load.errors_per_s)
            p50 = load.p50_ms if load.p50_ms is not None else p50
            p99 = load.p99_ms if load.p99_ms is not None else p99
        counted = [row for row in self.rows if row.state != "left"]
        return Summary(
            up=sum(row.state == "up" for row in counted),
            total=len(counted),
            ops=ops,
            hit_ratio=hits / (hits + misses) if hits + misses > 0 else None,
            errors_ratio=ratio,
            p50_ms=p50,
            p99_ms=p99,
        )

    def letter_of(self, node_id: str) -> str:
        """The letter of a node; ``?`` when it is not in the snapshot."""
        for member in self.snapshot.members:
            if member.node_id == node_id:
                return member.letter
        return "?"

    def row(self, node_id: str) -> NodeRow | None:
        """The row of a node."""
        return next((row for row in self.rows if row.node_id == node_id), None)

    def clone(self) -> ClusterModel:
        """What a frozen screen keeps showing while this model goes on."""
        copy = ClusterModel()
        copy.snapshot = self.snapshot
        copy.rates = dict(self.rates)
        copy.trends = {name: deque(trend, TREND_POINTS) for name, trend in self.trends.items()}
        copy.errors = deque(self.errors, TREND_POINTS)
        copy.ring = self.ring.clone()
        copy.heat = self.heat.clone()
        copy.log = self.log.clone()
        copy.rows = list(self.rows)
        copy.matrix = self.matrix
        copy.live = self.live
        copy.summary = self.summary
        copy.diagnosis = self.diagnosis
        return copy
