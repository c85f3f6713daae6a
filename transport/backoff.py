"""When to dial again: exponential back-off with decorrelated jitter.

Each delay is drawn from ``[first, 3 x previous]`` and capped, so that many nodes that lost the same
peer at the same moment do not come back at the same moment. Source: M. Brooker, "Exponential Backoff
And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

from random import Random
from typing import Final, final

FIRST_S: Final = 0.05
CAP_S: Final = 5.0
_GROWTH: Final = 3.0


@final
class Backoff:
    """The delays of one chain of attempts."""

    def __init__(self, rng: Random, first_s: float = FIRST_S, cap_s: float = CAP_S) -> None:
        if not 0 < first_s <= cap_s:
            raise ValueError(f"back-off from {first_s} to {cap_s} s")
        self._rng = rng
        self._first_s = first_s
        self._cap_s = cap_s
        self._previous_s = first_s
        self.attempts = 0
        """Failures since the last success."""

    def next_s(self) -> float:
        """How long to wait after one more failure."""
        self.attempts += 1
        drawn_s = self._rng.uniform(self._first_s, self._previous_s * _GROWTH)
        self._previous_s = min(self._cap_s, drawn_s)
        return self._previous_s

    def reset(self) -> None:
        """It worked: start from the first delay again."""
        self.attempts = 0
        self._previous_s = self._first_s
