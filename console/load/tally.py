"""Counts outcomes and times them from the moment when each operation was due.

Latency is measured from the scheduled start, not from when the generator got round to it:
otherwise a stall hides the requests that it delayed (coordinated omission; Gil Tene, 2013).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, final

import msgspec

from console.load.settings import LoadSettings
from console.source import LoadState

FAILURES_REPORTED_MAX: Final = 200
"""Per window; more are only counted."""


@dataclass(frozen=True, slots=True)
class LoadReport(LoadState):
    """What screens show, and what else is known of a run and its last window; one JSON line a
    second.
    """

    at_wall_ms: int = 0
    window_s: float = 0.0
    lost: int = 0
    """Reads that found nothing where a write had been acknowledged."""
    stale: int = 0
    wrong: int = 0
    """Values that nobody had written."""
    loaded: int = 0
    """Keys written before the run began."""
    failures: tuple[tuple[int, str], ...] = ()
    """(wall clock when it failed, ms; why), of this window."""
    ready: bool = True
    """Connected, and the keys are loaded."""

    def to_plain(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: object) -> LoadReport:
        """Parse what ``to_plain`` gave.

        Raises:
            msgspec.ValidationError: the shape is wrong.
        """
        return msgspec.convert(plain, cls, strict=False)

    def state(self) -> LoadState:
        """The part that screens show."""
        return LoadState(**{entry.name: getattr(self, entry.name) for entry in fields(LoadState)})


@dataclass(slots=True)
class _Totals:
    ok: int = 0
    failed: int = 0
    unknown: int = 0
    hits: int = 0
    misses: int = 0
    lost: int = 0
    stale: int = 0
    wrong: int = 0
    loaded: int = 0
    last_error: str = ""


@dataclass(slots=True)
class _Window:
    since_s: float
    done: int = 0
    errors: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    failures: list[tuple[int, str]] = field(default_factory=list)


@final
class Tally:
    """Totals since the start, and one window at a time."""

    def __init__(self, mono_s: float) -> None:
        self.totals = _Totals()
        self._window = _Window(mono_s)

    def ok(self, latency_ms: float) -> None:
        """An operation was answered; what a read found is counted by the caller in ``totals``."""
        self.totals.ok += 1
        self._window.done += 1
        self._window.latencies_ms.append(latency_ms)

    def failed(self, wall_ms: int, latency_ms: float, text: str) -> None:
        """It did not happen."""
        self.totals.failed += 1
        self._error(wall_ms, latency_ms, text)

    def unknown(self, wall_ms: int, latency_ms: float, text: str) -> None:
        """It may have happened."""
        self.totals.unknown += 1
        self._error(wall_ms, latency_ms, f"unknown: {text}")

    def _error(self, wall_ms: int, latency_ms: float, text: str) -> None:
        self.totals.last_error = text
        window = self._window
        window.done += 1
        window.errors += 1
        # A failure's time counts too: leaving it out would flatter the percentiles.
        window.latencies_ms.append(latency_ms)
        if len(window.failures) < FAILURES_REPORTED_MAX:
            window.failures.append((wall_ms, text))

    def report(
        self, settings: LoadSettings, mono_s: float, wall_ms: int, *, ready: bool
    ) -> LoadReport:
        """Close the window and begin the next."""
        window, self._window = self._window, _Window(mono_s)
        length_s = max(mono_s - window.since_s, 1e-9)
        ordered = sorted(window.latencies_ms)
        return LoadReport(
            at_wall_ms=wall_ms,
            window_s=length_s,
            running=settings.running,
            rate_target=settings.rate,
            reads_ratio=settings.reads,
            zipf=settings.zipf,
            keys=settings.keys,
            rate=window.done / length_s,
            errors_per_s=window.errors / length_s,
            p50_ms=percentile(ordered, 0.50),
            p99_ms=percentile(ordered, 0.99),
            failures=tuple(window.failures),
            ready=ready,
            **asdict(self.totals),
        )


def percentile(ordered: list[float], share: float) -> float | None:
    """Nearest-rank percentile of a sorted list; None when it is empty."""
    if not ordered:
        return None
    rank = max(1, -(-len(ordered) * share // 1))
    return ordered[int(rank) - 1]
