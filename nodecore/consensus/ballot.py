"""Ballots: the numbers by which proposers of one instance outrank each other."""

from __future__ import annotations

from random import Random
from typing import Final, NamedTuple

NOISE_BITS: Final = 20


class Ballot(NamedTuple):
    """A proposer's number, ordered by counter, then by proposer; used for one value only."""

    counter: int
    proposer: str

    def next_for(self, proposer: str, rng: Random) -> Ballot:
        """A ballot of ``proposer`` above this one.

        The low bits are random: a proposer that lost its memory doesn't repeat a number of its
        earlier life, whose messages may still be under way.
        """
        step = (self.counter >> NOISE_BITS) + 1
        return Ballot((step << NOISE_BITS) | rng.getrandbits(NOISE_BITS), proposer)


NO_BALLOT: Final = Ballot(0, "")
"""Below every ballot that a proposer may use: promised or accepted by nobody yet."""

COUNTER_MAX: Final = (1 << 62) - 1
"""Higher counters are refused: one mad message must not use up all ballots."""
