"""How much may be written back to disk in one tick: more where the node has time left than where it has none.

A record costs the loop as much time as several requests, until it is on disk and when its key is written
once more. An idle node has that time. On a saturated one every record takes the place of requests; there
the least budget keeps the cost low (``tests/bench``, section tiers). In between it follows the share of
the last tick that the loop spent waiting. Writing back makes the loop busier and so limits itself. It
reads no clock: whoever ticks says what was measured.
"""

from __future__ import annotations

from typing import Final, final

RECORDS_PER_TICK_MAX: Final = 600
"""Of a node that is idle."""
BYTES_PER_TICK_MAX: Final = 4 * 1024 * 1024
LEAST_PART: Final = 6
"""A node that never waits has so much less of both."""
RECORDS_PER_TICK_MIN: Final = RECORDS_PER_TICK_MAX // LEAST_PART
BYTES_PER_TICK_MIN: Final = BYTES_PER_TICK_MAX // LEAST_PART
HOT_WRITES_PER_TICK_MAX: Final = 64
"""Records of hot keys that follow their changes at once, in one tick; others follow at its end."""
IDLE_SHARE_FULL: Final = 0.5
"""A node that waits so much of its time may write as much as one that is idle."""


def scaled(least: int, most: int, idle_share: float) -> int:
    """Between ``least`` of a node that never waits and ``most`` of one that has time left.

    Args:
        least: at an idle share of 0.
        most: at an idle share of ``IDLE_SHARE_FULL`` and above.
        idle_share: of the time since the last tick, what the loop spent waiting; 0..1.
    """
    return least + int((most - least) * min(1.0, idle_share / IDLE_SHARE_FULL))


@final
class WriteBudget:
    """What is left of one tick's budget."""

    def __init__(self) -> None:
        self.renew(1.0)

    def renew(self, idle_share: float) -> None:
        """A tick begins; see ``scaled``."""
        self._records = scaled(RECORDS_PER_TICK_MIN, RECORDS_PER_TICK_MAX, idle_share)
        self._bytes = scaled(BYTES_PER_TICK_MIN, BYTES_PER_TICK_MAX, idle_share)
        self._hot = HOT_WRITES_PER_TICK_MAX
        self.left = True
        """Whether anything may still be written back in this tick."""

    def spend(self, entry_bytes: int) -> None:
        """A record is going to be written back."""
        self._records -= 1
        self._bytes -= entry_bytes
        self.left = self._records > 0 and self._bytes > 0

    def spend_hot(self) -> bool:
        """Whether the record of a hot key may follow its change at once; it is counted if so."""
        if not self._hot:
            return False
        self._hot -= 1
        return True
