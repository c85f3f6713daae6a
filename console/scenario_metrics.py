"""What a scenario measures: load reports and snapshots in, numbers out.

Keeps the last few minutes. Numbers that can't be known (no load, no report in the window) are None,
which fulfils no claim.
"""

from __future__ import annotations

from collections import deque
from typing import Final, final

from console.load.tally import LoadReport
from console.scenario import ASKED, Metric
from console.slot_moves import SlotMoves
from console.source import ClusterSnapshot, ProcessState

REPORTS_KEPT: Final = 3600
FAILURES_KEPT: Final = 100_000
OPEN: Final = ("open", "forced-open")


@final
class Measurements:
    """The numbers of one run."""

    def __init__(self) -> None:
        self._reports: deque[LoadReport] = deque(maxlen=REPORTS_KEPT)
        self._failures: deque[tuple[int, str]] = deque(maxlen=FAILURES_KEPT)
        self._snapshot: ClusterSnapshot | None = None
        self._trips: dict[tuple[str, int, str], int] = {}
        self._trips_before: dict[tuple[str, int, str], int] = {}
        self._counts_before: dict[Metric, int] = {}
        self._fault_ms: int | None = None
        self.asked: dict[Metric, float] = {}
        """Answers to the metrics of ``ASKED``, and what the last reads and writes came to; set by
        whoever asks the cluster."""
        self.moves: SlotMoves | None = None
        """Of the last change of the members."""

    @property
    def snapshot(self) -> ClusterSnapshot | None:
        """The newest."""
        return self._snapshot

    def take_report(self, report: LoadReport) -> None:
        """A second of load."""
        self._reports.append(report)
        self._failures.extend(report.failures)

    def take_snapshot(self, snapshot: ClusterSnapshot) -> None:
        """A tick of the cluster."""
        self._snapshot = snapshot
        for row in snapshot.members:
            if row.statistics is None:
                continue
            for breaker in row.statistics.breakers:
                # A restarted node counts its trips anew: its process is part of the key.
                key = (row.node_id, row.statistics.pid, breaker.peer)
                self._trips[key] = max(breaker.trips, self._trips.get(key, 0))

    def begin(self) -> None:
        """Count from now on: the steps begin."""
        self._trips_before = dict(self._trips)
        self._counts_before = self._counts()
        self._failures.clear()

    def note_fault(self, wall_ms: int) -> None:
        """A fault was injected now: ``late_failures`` counts from here."""
        self._fault_ms = wall_ms

    def measure(
        self, metric: Metric, now_ms: int, window_s: float = 5.0, grace_s: float = 1.0
    ) -> float | None:
        """The metric's value now; None when it can't be known."""
        match metric:
            case Metric.ERROR_RATE:
                return self._error_rate(now_ms, window_s)
            case Metric.P99:
                values = [r.p99_ms for r in self._window(now_ms, window_s) if r.p99_ms is not None]
                return max(values, default=None)
            case Metric.OPERATIONS:
                rates = [report.rate for report in self._window(now_ms, window_s)]
                return sum(rates) / len(rates) if rates else None
            case Metric.LATE_FAILURES:
                return self._late_failures(grace_s)
            case Metric.WRONG_VALUES:
                return float(self._reports[-1].wrong) if self._reports else None
            case _ if metric in ASKED or metric in (Metric.DONE_SHARE, Metric.SLOWEST):
                return self.asked.get(metric)
            case Metric.MOVED_SHARE | Metric.MOVED_RATIO | Metric.MOVED_KEYS_RATIO | Metric.STRAYED:
                return self._of_moves(metric)
            case _:
                return self._of_snapshot(metric)

    def last_report_ms(self) -> int:
        """Wall clock of the last load report; 0 before the first."""
        return self._reports[-1].at_wall_ms if self._reports else 0

    def _window(self, now_ms: int, window_s: float) -> list[LoadReport]:
        since = now_ms - window_s * 1000.0
        return [report for report in self._reports if report.at_wall_ms > since and report.ready]

    def _error_rate(self, now_ms: int, window_s: float) -> float | None:
        reports = self._window(now_ms, window_s)
        done = sum(report.rate * report.window_s for report in reports)
        if not done:
            return None
        return sum(report.errors_per_s * report.window_s for report in reports) / done

    def _late_failures(self, grace_s: float) -> float | None:
        if self._fault_ms is None or self.last_report_ms() <= self._fault_ms + grace_s * 1000.0:
            return None
        limit = self._fault_ms + grace_s * 1000.0
        return float(sum(1 for wall_ms, _ in self._failures if wall_ms > limit))

    def _counts(self) -> dict[Metric, int]:
        """Counters of all nodes together."""
        rows = self._snapshot.members if self._snapshot is not None else ()
        known = [row.statistics for row in rows if row.statistics is not None]
        return {
            Metric.CONFLICTS: sum(statistics.conflicts for statistics in known),
            Metric.HINTS_SENT: sum(statistics.hints_sent for statistics in known),
        }

    def _of_moves(self, metric: Metric) -> float | None:
        moves = self.moves
        if moves is None:
            return None
        if metric is Metric.MOVED_SHARE:
            return moves.share
        if metric is Metric.STRAYED:
            return float(moves.strayed)
        if not moves.minimum:
            return None
        share = moves.share if metric is Metric.MOVED_RATIO else moves.keys_share
        return share / moves.minimum

    def _of_snapshot(self, metric: Metric) -> float | None:
        snapshot = self._snapshot
        if snapshot is None:
            return None
        rows = snapshot.members
        if metric is Metric.BREAKER_OPEN:
            return float(
                sum(
                    breaker.state in OPEN
                    for row in rows
                    if row.statistics is not None and row.process is not ProcessState.EXITED
                    for breaker in row.statistics.breakers
                )
            )
        if metric is Metric.BREAKER_TRIPS:
            before = self._trips_before
            return float(sum(count - before.get(key, 0) for key, count in self._trips.items()))
        if metric in (Metric.CONFLICTS, Metric.HINTS_SENT):
            return float(self._counts()[metric] - self._counts_before.get(metric, 0))
        if metric is Metric.HINTS_QUEUED:
            known = [row.statistics for row in rows if row.statistics is not None]
            return float(sum(statistics.hints_queued for statistics in known))
        if metric is Metric.MEMBERS_ALIVE:
            return float(sum(row.status == "alive" for row in rows))
        if metric is Metric.MEMBERS_FAILED:
            return float(sum(row.status in ("suspect", "failed") for row in rows))
        return None if snapshot.state == "unknown" else float(snapshot.state == "joint")
