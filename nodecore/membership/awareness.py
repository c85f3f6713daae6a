"""Local health: a node that hears nothing asks first whether it is itself the slow one.

A score from 0 (healthy) to 4; probe timeouts are multiplied by score + 1. It rises when this node
fires its timers late, has to refute a suspicion, or misses the nacks of its helpers; it falls with
every probe that succeeds.

Source: Dadgar, Phillips and Currey, "Lifeguard" (arXiv 1707.00788), 4.A.
"""

from __future__ import annotations

from typing import Final, final

SCORE_MAX: Final = 4
"""Bounds the delay of a detection by an unhealthy node to five times the usual."""


@final
class Awareness:
    """The score."""

    __slots__ = ("score",)

    def __init__(self) -> None:
        self.score = 0

    def worsen(self, by: int = 1) -> None:
        """A sign that this node is slow."""
        self.score = min(SCORE_MAX, self.score + by)

    def improve(self) -> None:
        """A sign that it is not."""
        self.score = max(0, self.score - 1)

    def scale(self, duration_s: float) -> float:
        """A timeout, stretched by the score."""
        return duration_s * (self.score + 1)
