"""Ballots and versions of strong keys: (epoch, round, node) in one number and a name.

The counter of a :class:`~nodecore.consensus.ballot.Ballot` carries the epoch in its high bits, then
the round, then six bits for the position of a change within its round, since one round may carry
several. So ballots of a later epoch outrank all of an earlier one, and the version of a value, made
of the ballot that wrote it, rises with every change of its key. A key that uses up the rounds of one
epoch (2**28) goes on in the numbers of the next: order is all that counts.

Numbers are not drawn by lot as those of the topology's chain: an acceptor grants a ballot once, and
one that has lost its memory answers nobody until a new epoch began.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from nodecore.consensus.ballot import NO_BALLOT, Ballot
from nodecore.ids import NodeId, Version
from nodecore.placement.hashing import node_tag

INDEX_BITS: Final = 6
CHANGES_MAX: Final = 1 << INDEX_BITS
"""Changes that one round may carry."""
EPOCH_SHIFT: Final = 34


def ballot_above(highest: Ballot, floor: int, epoch: int, node: NodeId) -> Ballot:
    """A ballot of ``node`` above all that is known, and of the present epoch at least."""
    above = max(highest.counter, floor) >> INDEX_BITS
    least = epoch << (EPOCH_SHIFT - INDEX_BITS)
    return Ballot(max(above, least) + 1 << INDEX_BITS, node)


def version_of(ballot: Ballot, index: int = 0) -> Version:
    """The version of the ``index``-th change of a round."""
    assert ballot > NO_BALLOT, ballot
    assert 0 <= index < CHANGES_MAX, index
    return Version(ballot.counter + index, _tag(ballot.proposer))


def epoch_of_ballot(ballot: Ballot) -> int:
    """The epoch of a round."""
    return ballot.counter >> EPOCH_SHIFT


def epoch_of(version: Version) -> int:
    """The epoch in which a value was written."""
    return version.hlc >> EPOCH_SHIFT


@lru_cache(maxsize=512)
def _tag(proposer: str) -> int:
    return node_tag(NodeId(proposer))
