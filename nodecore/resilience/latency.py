"""Recent latencies of one link: the 95th percentile after which a read is hedged.

A ring of the last 64 samples, ranked again after every 16th: cheap enough for each call. It says
nothing about whether a link is healthy; that is the breaker's.

Dean and Barroso, "The tail at scale", 2013.
"""

from __future__ import annotations

from typing import Final

SAMPLES: Final = 64
RANK_EVERY: Final = 16
DELAY_S_MIN: Final = 0.005
"""Hedging earlier would double the work whenever the machine is merely busy."""
DELAY_S_MAX: Final = 0.5
DELAY_S_UNKNOWN: Final = 0.05


class LatencyWindow:
    """Latencies of successful calls on one link."""

    __slots__ = ("_count", "_hedge_delay_s", "_samples_s")

    def __init__(self) -> None:
        self._samples_s: list[float] = []
        self._count = 0
        self._hedge_delay_s = DELAY_S_UNKNOWN

    def record(self, latency_s: float) -> None:
        """Add one sample."""
        if len(self._samples_s) < SAMPLES:
            self._samples_s.append(latency_s)
        else:
            self._samples_s[self._count % SAMPLES] = latency_s
        self._count += 1
        if self._count % RANK_EVERY == 0:
            ranked = sorted(self._samples_s)
            p95_s = ranked[(len(ranked) * 95) // 100]
            self._hedge_delay_s = min(DELAY_S_MAX, max(DELAY_S_MIN, p95_s))

    @property
    def hedge_delay_s(self) -> float:
        """How long to wait for an answer before another owner is asked as well."""
        return self._hedge_delay_s
