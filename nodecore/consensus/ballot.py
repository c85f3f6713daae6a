"""Ballots: the numbers by which proposers of one instance outrank each other."""

from __future__ import annotations

from typing import Final, NamedTuple


class Ballot(NamedTuple):
    """A proposer's number, ordered by counter, then by proposer; used for one value only."""

    counter: int
    proposer: str

    def next_for(self, proposer: str) -> Ballot:
        """The lowest ballot of ``proposer`` with a counter above this one."""
        return Ballot(self.counter + 1, proposer)


NO_BALLOT: Final = Ballot(0, "")
"""Below every ballot that a proposer may use: promised or accepted by nobody yet."""

COUNTER_MAX: Final = (1 << 62) - 1
"""Higher counters are refused: one mad message must not use up all ballots."""
