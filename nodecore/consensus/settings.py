"""Times of the chain of topology documents."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """Seconds, all of them against the node's monotonic clock."""

    round_timeout_s: float = 2.0
    """A round that has no majority by then is given up and tried again above it. Longer: fewer
    needless duels on slow links; shorter: a lost message costs less."""
    deadline_s: float = 10.0
    """After it a proposal ends as failed or unknown."""
    backoff_s_min: float = 0.05
    backoff_s_max: float = 1.0
    """Between rounds: uniform up to min * 2**attempts, capped."""
    settle_s: float = 4.0
    """An accepted value that nobody has announced for so long is finished by whoever holds it."""
    resend_s: float = 0.5
    """The same document is not fetched from, or sent to, the same lagging peer more often."""
    readmit_s: float = 2.0
    """A node without memory asks for its own readmission so often (with jitter), and a founder that has
    not heard from all others votes after so long; 0 = never, nor does it ask what it has forgotten."""
    recall_s_min: float = 0.1
    recall_s_max: float = 2.0
    """Whoever has not answered is asked again after so long, doubling from the first to the second."""
