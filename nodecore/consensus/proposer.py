"""One round of one proposer: phase 1, the choice of a value, phase 2.

The value of a round is a function of the accepted value with the highest ballot that the promises
reported: for a topology epoch "that one, or else mine"; for a key a change function. Quorums are
majorities of every voter set (two in a joint epoch). Sending, time and retries are the caller's;
a retry is a new round with a higher ballot. The answers carry the ballot they belong to, so late
ones of an earlier round can't be mistaken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TypeAlias, final

from nodecore.consensus.acceptor import AcceptReply, PromiseReply
from nodecore.consensus.ballot import NO_BALLOT, Ballot
from nodecore.ids import NodeId

Choose: TypeAlias = Callable[[object, bool], object]
"""(accepted value, whether there is one) -> the value to propose."""


class Phase(Enum):
    """Where a round stands."""

    PREPARING = "preparing"
    ACCEPTING = "accepting"
    """``value`` is fixed and may be chosen from now on, even if this round fails."""
    CHOSEN = "chosen"
    PREEMPTED = "preempted"
    """A higher ballot stands in the way, see ``preempted_by``; begin again above it."""


@final
class Proposer:
    """A round. Feed it replies; act when ``phase`` changes.

    Args:
        ballot: never used before by this proposer, not even in an earlier life.
        quorums: voter sets of which each must give a majority.
        choose: called once, when phase 1 is complete.
    """

    __slots__ = (
        "_accepted",
        "_choose",
        "_highest",
        "_highest_value",
        "_promised",
        "adopted",
        "ballot",
        "phase",
        "preempted_by",
        "quorums",
        "value",
    )

    def __init__(self, ballot: Ballot, quorums: Sequence[Sequence[NodeId]], choose: Choose) -> None:
        assert ballot > NO_BALLOT, ballot
        assert quorums, "a round without voters can't end"
        assert all(quorums), "an empty voter set has no majority"
        self.ballot = ballot
        self.quorums = quorums
        self.phase = Phase.PREPARING
        self.preempted_by = NO_BALLOT
        self.value: object = None
        self.adopted = False
        """Whether ``value`` answers to a value that was accepted before this round."""
        self._choose = choose
        self._promised: dict[NodeId, None] = {}
        self._accepted: dict[NodeId, None] = {}
        self._highest = NO_BALLOT
        self._highest_value: object = None

    @property
    def voters(self) -> tuple[NodeId, ...]:
        """Everybody to ask, each once."""
        return tuple(dict.fromkeys(voter for voters in self.quorums for voter in voters))

    def on_promise(self, voter: NodeId, reply: PromiseReply) -> Phase:
        """Count an answer to phase 1."""
        if self.phase is not Phase.PREPARING or voter not in self.voters:
            return self.phase
        if not reply.granted:
            return self._refused(reply.promised)
        if reply.promised != self.ballot:
            return self.phase
        self._promised[voter] = None
        if reply.accepted_ballot > self._highest:
            self._highest, self._highest_value = reply.accepted_ballot, reply.accepted
        if self._majority(self._promised):
            self.adopted = self._highest > NO_BALLOT
            self.value = self._choose(self._highest_value, self.adopted)
            self.phase = Phase.ACCEPTING
        return self.phase

    def on_accepted(self, voter: NodeId, reply: AcceptReply) -> Phase:
        """Count an answer to phase 2."""
        if self.phase is not Phase.ACCEPTING or voter not in self.voters:
            return self.phase
        if not reply.granted:
            return self._refused(reply.promised)
        if reply.promised != self.ballot:
            return self.phase
        self._accepted[voter] = None
        if self._majority(self._accepted):
            self.phase = Phase.CHOSEN
        return self.phase

    def _refused(self, promised: Ballot) -> Phase:
        # A refusal that names our own ballot answers a repeated message, not a rival.
        if promised > self.ballot:
            self.preempted_by = promised
            self.phase = Phase.PREEMPTED
        return self.phase

    def _majority(self, answered: dict[NodeId, None]) -> bool:
        return all(
            sum(voter in answered for voter in voters) * 2 > len(voters) for voters in self.quorums
        )
