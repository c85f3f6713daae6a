"""One round of one strong key: where the key stands, who was asked, who has reported what.

Bookkeeping for ``instance``: it counts majorities and decides nothing.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol, final

from nodecore.consensus.acceptor import AcceptorState
from nodecore.consensus.ballot import NO_BALLOT, Ballot
from nodecore.consensus.proposer import Proposer
from nodecore.ids import Epoch, NodeId, Now
from nodecore.requests import Failed
from nodecore.strong.operations import Batch, Operation
from nodecore.strong.replica import Kind, Told
from nodecore.timers import Timer

if TYPE_CHECKING:
    from nodecore.strong.instance import KeyInstance


class Place(NamedTuple):
    """Where a key stands at the present epoch."""

    epoch: Epoch
    quorums: tuple[tuple[NodeId, ...], ...]
    """Sets of owners, of each of which a majority is needed."""
    state: AcceptorState | None
    """What this node holds as one of its acceptors; None: it does not vote for the key."""
    floor: int
    flushed_epoch: int


class Asker(Protocol):
    """Who puts questions to acceptors."""

    @property
    def alive(self) -> bool:
        """Whether the answers still matter."""

    def on_told(self, voter: NodeId, kind: Kind, told: Told, now: Now) -> None:
        """An acceptor has answered."""

    def on_failure(self, voter: NodeId, kind: Kind, reason: Failed, now: Now) -> None:
        """No answer came, or none that can be used."""


class Stage(Enum):
    """Of a round."""

    LOOKING = "looking"
    PREPARING = "preparing"
    ACCEPTING = "accepting"


@final
class Round:
    """One try; its answers are told from those of others by its identity."""

    __slots__ = (
        "ballot", "batch", "epoch", "failed", "instance", "known", "operations", "proposer",
        "quorums", "reported", "stage", "timer",
    )  # fmt: skip

    def __init__(
        self, instance: KeyInstance, stage: Stage, place: Place, operations: list[Operation]
    ) -> None:
        self.instance = instance
        self.stage = stage
        self.epoch = place.epoch
        self.quorums = place.quorums
        self.operations = operations
        self.known = place.state or AcceptorState()
        """What this node itself had accepted when the round began."""
        self.ballot = NO_BALLOT
        self.proposer: Proposer | None = None
        self.reported: dict[NodeId, Ballot] = {}
        """Accepted ballots of those that answered in this stage."""
        self.failed: dict[NodeId, None] = {}
        self.batch: Batch | None = None
        self.timer: Timer | None = None

    @property
    def voters(self) -> tuple[NodeId, ...]:
        """Everybody to ask, each once."""
        return tuple(dict.fromkeys(voter for voters in self.quorums for voter in voters))

    @property
    def alive(self) -> bool:
        """Whether its instance has not gone on to another."""
        return self.instance.round is self

    def on_told(self, voter: NodeId, kind: Kind, told: Told, now: Now) -> None:
        """An acceptor has answered."""
        self.instance.on_told(self, voter, kind, told, now)

    def on_failure(self, voter: NodeId, kind: Kind, reason: Failed, now: Now) -> None:
        """No answer came, or none that can be used."""
        self.instance.on_failure(self, voter, kind, reason, now)

    def agreed(self, ballot: Ballot) -> bool:
        """Whether majorities have reported this accepted ballot."""
        return all(
            2 * sum(self.reported.get(voter) == ballot for voter in voters) > len(voters)
            for voters in self.quorums
        )

    def may_agree(self, ballot: Ballot) -> bool:
        """Whether majorities may still report it."""
        return all(
            2 * sum(self._may_report(voter, ballot) for voter in voters) > len(voters)
            for voters in self.quorums
        )

    def _may_report(self, voter: NodeId, ballot: Ballot) -> bool:
        return voter not in self.failed and self.reported.get(voter, ballot) == ballot

    def may_succeed(self) -> bool:
        """Whether majorities have not failed yet."""
        return all(
            2 * sum(voter not in self.failed for voter in voters) > len(voters)
            for voters in self.quorums
        )
