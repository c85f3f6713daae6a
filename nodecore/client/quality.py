"""How good the answers of a cluster were: tallies of the flags that replies carry.

An answer that had to be given with fewer copies or from fewer owners than the keyspace asks for is
still an answer; whoever cares reads these counters, or names a consistency and gets an error instead.
Counted per reply, which may answer for many keys. It decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nodecore.requests import Flag


@final
@dataclass(slots=True)
class AnswerQuality:
    """Replies of one client since it connected."""

    sloppy: int = 0
    """Writes that fewer than W copies acknowledged."""
    degraded: int = 0
    """Misses that fewer than N-W+1 owners confirmed."""
    stale: int = 0
    """Values that may be older than the last acknowledged write."""
    copies_least: int = 0
    """Fewest copies that acknowledged a write so far; 0: no write was counted yet."""

    def note(self, flags: int, copies: int = 0) -> None:
        """One reply came with these flags, and (a write) so many copies."""
        if flags:
            self.sloppy += bool(flags & Flag.SLOPPY)
            self.degraded += bool(flags & Flag.DEGRADED)
            self.stale += bool(flags & Flag.STALE)
        if copies and (not self.copies_least or copies < self.copies_least):
            self.copies_least = copies
