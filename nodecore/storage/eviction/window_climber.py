"""How large TinyLFU's window should be: climbs towards more hits.

Once in ten requests per resident entry it looks at the share of hits. As long as that rises it goes
on in the same direction, otherwise it turns round; steps shrink until the requests change. It moves
no entries. Einziger, Eytan, Friedman, Manes, "Adaptive software cache management", 2018; figures as in
Caffeine.
"""

from __future__ import annotations

from typing import Final, final

WINDOW_SHARE_MIN: Final = 0.01
WINDOW_SHARE_MAX: Final = 0.8
_REQUESTS_PER_ENTRY: Final = 10
_REQUESTS_MIN: Final = 10_000
"""With fewer, chance decides between up and down."""
_STEP: Final = 0.0625
_DECAY: Final = 0.98
_CHANGED: Final = 0.05
"""A change of the share of hits by so much restarts the search with full steps."""


@final
class WindowClimber:
    """A hill climber over one number."""

    def __init__(self) -> None:
        self.share = WINDOW_SHARE_MIN
        """Of the capacity, for the window."""
        self._step = _STEP
        self._hits = self._requests = 0
        self._before: float | None = None

    def observe(self, hits: int, misses: int, entries: int) -> bool:
        """Count requests; returns whether ``share`` has changed."""
        self._requests += hits + misses
        self._hits += hits
        if self._requests < max(_REQUESTS_MIN, _REQUESTS_PER_ENTRY * entries):
            return False
        ratio = self._hits / self._requests
        self._hits = self._requests = 0
        before, self._before = self._before, ratio
        if before is None:
            return False
        return self._climb(ratio - before)

    def _climb(self, gained: float) -> bool:
        direction = 1.0 if self._step > 0 else -1.0
        if gained < 0:
            direction = -direction
        size = _STEP if abs(gained) >= _CHANGED else abs(self._step) * _DECAY
        self._step = direction * size
        share = min(max(self.share + self._step, WINDOW_SHARE_MIN), WINDOW_SHARE_MAX)
        changed = share != self.share
        self.share = share
        return changed
