"""What a process may know of its node's earlier promises."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, final

from nodecore.consensus.voter import Voter
from nodecore.placement.topology import Topology

FIRST_EPOCH: Final = 1
"""Of a new cluster; a node that lost its memory may begin with the same document."""


class _Life(Enum):
    STRANGER = auto()
    """No document yet."""
    BEGINNER = auto()
    """It started the cluster, or lost its memory and believes so."""
    SETTLED = auto()


@final
class Memory:
    """See the module.

    Args:
        voter: of this node; its votes of this life are known.
        asks: whether the node finds out what it does not know.
    """

    def __init__(self, voter: Voter, asks: bool) -> None:
        self._voter = voter
        self._asks = asks
        self._life = _Life.STRANGER

    def on_restored(self, document: Topology, knows_votes: bool) -> None:
        """A document of an earlier life was found; ``knows_votes``: and a record of the voter.

        Without a record, the earlier life may have been one that had just lost everything.
        """
        self._life = _Life.SETTLED
        if document.epoch == FIRST_EPOCH and not knows_votes:
            self.on_started(document)

    def on_started(self, document: Topology) -> None:
        """This node begins with the first document of a cluster.

        It votes when it has heard from the others that it is new indeed; not all may be there, so it
        does not wait for long.
        """
        self._life = _Life.BEGINNER
        self._voter.waits = self._asks and len(document.members) > 1

    def wait_no_longer(self) -> None:
        """Somebody does not answer: vote without knowing."""
        self._voter.waits = False

    def settle(self) -> None:
        """From here on this node knows what it promised, or abstains."""
        self._life = _Life.SETTLED
        self._voter.waits = False

    def lost(self, document: Topology) -> bool:
        """Whether an earlier life of this node may have voted on what follows ``document``."""
        if self._life is _Life.SETTLED or not self._is_voter(document):
            return False
        if self._life is _Life.BEGINNER:
            return not self._voter.has_voted
        member = document.member(self._voter.node_id)
        return member is not None and member.born < document.epoch

    def doubts(self, document: Topology | None) -> bool:
        """Whether this node is to find out what an earlier life may have promised."""
        if document is None or not self._asks:
            return False
        beginner = self._life is _Life.BEGINNER and self._is_voter(document)
        return self._voter.abstaining or beginner

    def _is_voter(self, document: Topology) -> bool:
        member = document.member(self._voter.node_id)
        return member is not None and member.voter
