"""The clocks of simulated nodes: each drifts, may be set wrong, and may jump.

A node sees a monotonic clock (drift only: it never goes back) and a wall clock (drift, skew and
jumps). This module converts between a node's time and the world's, nothing else.
"""

from __future__ import annotations

from typing import Final, final

from nodecore.ids import Now
from nodecore.simulation.world import World

WALL_BEGIN_MS: Final = 1_700_000_000_000
"""The wall clock at the beginning of the world: any time that is not 0 will do."""


@final
class SimClock:
    """One node's view of time.

    Args:
        world: whose time it is.
        drift: seconds that the clock gains in each second of the world; |drift| < 0.1.
        skew_ms: by how much the wall clock is ahead at the beginning.
    """

    def __init__(self, world: World, drift: float = 0.0, skew_ms: float = 0.0) -> None:
        assert abs(drift) < 0.1, drift
        self._world = world
        self._rate = 1.0 + drift
        self.skew_ms = skew_ms
        self._shown_s = -1.0
        self._shown = Now(0.0, 0)
        """What it showed at that moment of the world: it is asked several times in each."""

    def now(self) -> Now:
        """Both clocks."""
        world_s = self._world.now_s
        if world_s != self._shown_s:
            mono_s = world_s * self._rate
            self._shown = Now(mono_s, int(WALL_BEGIN_MS + mono_s * 1000.0 + self.skew_ms))
            self._shown_s = world_s
        return self._shown

    def world_time(self, mono_s: float) -> float:
        """When in the world this clock shows ``mono_s``."""
        return mono_s / self._rate

    def jump(self, by_ms: float) -> None:
        """Someone sets the wall clock."""
        self.skew_ms += by_ms
        self._shown_s = -1.0
