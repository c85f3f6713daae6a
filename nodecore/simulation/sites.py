"""Named places of the simulated world where things go wrong by chance, far more often than in life.

A run enables some sites, each with a probability; an enabled site fires at random whenever the run
passes it. Sites stand in the simulated network, processes and connections, never in the product:
what they do, a real network, kernel or power supply could do as well. This module draws; what a site
does when it fires is written where it stands.

Source of the idea: FoundationDB's BUGGIFY; no code of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Final, final

LATE_DUPLICATE: Final = "late-duplicate"
"""A control message arrives a second time, up to three seconds later."""
STALLED_LINK: Final = "stalled-link"
"""A data link delivers nothing for up to three seconds, and then everything, in order."""
DROPPED_LINK: Final = "dropped-link"
"""A link breaks just after a message was handed to it."""
LATE_TIMER: Final = "late-timer"
"""The process wakes up late for its next deadline."""
LOST_REPLY: Final = "lost-reply"
"""The connection to a client breaks just before a reply."""
CRASH_AMONG_EFFECTS: Final = "crash-among-effects"
"""The process dies after some of the effects of a wake-up, before the others."""

SITES: Final[dict[str, float]] = {
    LATE_DUPLICATE: 0.02,
    STALLED_LINK: 0.0005,
    DROPPED_LINK: 0.0005,
    LATE_TIMER: 0.01,
    LOST_REPLY: 0.002,
    CRASH_AMONG_EFFECTS: 0.0005,
}
"""Every site, and the probability with which it fires in a run that enables it."""


@final
class Sites:
    """The sites of one run.

    Args:
        rng: decides when they fire.
        enabled: probability by name; others never fire.
    """

    def __init__(self, rng: Random, enabled: Mapping[str, float] | None = None) -> None:
        self._rng = rng
        self._enabled = dict(enabled or {})
        self.armed = False
        """Nothing fires before a run says so, nor after it has healed."""
        self.fired: dict[str, int] = {}

    def fires(self, name: str) -> bool:
        """Whether the thing happens here and now."""
        if not self.armed:
            return False
        probability = self._enabled.get(name)
        if probability is None or self._rng.random() >= probability:
            return False
        self.fired[name] = self.fired.get(name, 0) + 1
        return True

    def uniform(self, low: float, high: float) -> float:
        """A number for what a fired site does."""
        return self._rng.uniform(low, high)
