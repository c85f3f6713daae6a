"""Statuses of members, claims about them, and the rules by which a claim changes what is believed.

Pure tables: no time, no messages. A claim carries the incarnation it speaks of and who makes it.
Only the member itself raises its incarnation, so a higher one always wins; at equal incarnations
bad news wins, because only the member can refute it. *Failed* is not claimed by one node: each node
claims that its own suspicion has run out, and the member is failed when a majority of the voters
does.

Sources: Das, Gupta and Motivala, "SWIM" (2002), 4.2; HashiCorp memberlist for the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import Final, NamedTuple

from nodecore.ids import Incarnation, NodeId

INCARNATION_MAX: Final = (1 << 62) - 1
"""Claims of higher ones are damaged or hostile: nobody could refute them."""


_UNKNOWN: Final = Incarnation(0)
"""Below every incarnation that a node may have."""


class Status(StrEnum):
    """What this node believes about a member."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    """Routed around; not (yet) called failed by a majority of the voters."""
    FAILED = "failed"
    LEFT = "left"
    """It said goodbye."""


class Claim(NamedTuple):
    """One node's word about a member, as it travels: [node_id, status, incarnation, claimed_by]."""

    node_id: NodeId
    status: Status
    """FAILED: the claimant's suspicion has run out."""
    incarnation: Incarnation
    claimed_by: NodeId


@dataclass(slots=True)
class MemberState:
    """What is believed about one member."""

    status: Status = Status.ALIVE
    incarnation: Incarnation = _UNKNOWN
    suspected_by: dict[NodeId, None] = field(default_factory=dict)
    """Who claims SUSPECT or FAILED at this incarnation."""
    condemned_by: dict[NodeId, None] = field(default_factory=dict)
    """Who claims FAILED at this incarnation."""


class Merged(Enum):
    """What a claim did to the belief about its member."""

    STALE = auto()
    """Nothing: known already, or overtaken."""
    CONFIRMED = auto()
    """The status stays; one more node claims it."""
    CHANGED = auto()
    """The status or the incarnation is new."""


def merge(state: MemberState, claim: Claim) -> Merged:
    """Apply a claim of another node, or one of our own, to the belief about its member."""
    if claim.incarnation < state.incarnation:
        return Merged.STALE
    newer = claim.incarnation > state.incarnation
    if claim.status is Status.ALIVE:
        if not newer:
            return Merged.STALE
        _begin(state, Status.ALIVE, claim.incarnation)
        return Merged.CHANGED
    if claim.status is Status.LEFT:
        if not newer and state.status is Status.LEFT:
            return Merged.STALE
        _begin(state, Status.LEFT, claim.incarnation)
        return Merged.CHANGED
    if not newer and state.status is Status.LEFT:
        return Merged.STALE
    begins = newer or state.status is Status.ALIVE
    if begins:
        _begin(state, Status.SUSPECT, claim.incarnation)
    heard = claim.claimed_by in state.suspected_by
    condemned = claim.claimed_by in state.condemned_by
    state.suspected_by[claim.claimed_by] = None
    if claim.status is Status.FAILED:
        state.condemned_by[claim.claimed_by] = None
    if begins:
        return Merged.CHANGED
    known = heard and (condemned or claim.status is Status.SUSPECT)
    return Merged.STALE if known else Merged.CONFIRMED


def _begin(state: MemberState, status: Status, incarnation: Incarnation) -> None:
    state.status = status
    state.incarnation = incarnation
    state.suspected_by = {}
    state.condemned_by = {}


def condemned(state: MemberState, voter_sets: Sequence[Sequence[NodeId]]) -> bool:
    """Whether a majority of every voter set claims that its suspicion has run out."""
    return bool(voter_sets) and all(
        sum(voter in state.condemned_by for voter in voters) * 2 > len(voters)
        for voters in voter_sets
    )


def refutation(own: Incarnation, claim: Claim) -> Incarnation | None:
    """The incarnation by which a node answers a claim about itself; None when no answer is due."""
    if claim.status is Status.ALIVE:
        # An earlier life of ours reached further: go on above it.
        return Incarnation(claim.incarnation + 1) if claim.incarnation > own else None
    return Incarnation(claim.incarnation + 1) if claim.incarnation >= own else None


def parse_claims(updates: object, claims_max: int) -> list[Claim] | None:
    """Claims as they came in a message; None when the shape is wrong or there are too many."""
    if not isinstance(updates, list | tuple) or len(updates) > claims_max:
        return None
    claims = []
    for entry in updates:
        if not isinstance(entry, list | tuple) or len(entry) != 4:
            return None
        node_id, status, incarnation, claimed_by = entry
        if not isinstance(node_id, str) or not isinstance(claimed_by, str):
            return None
        if type(incarnation) is not int or not 0 <= incarnation <= INCARNATION_MAX:
            return None
        if status not in _STATUSES:
            return None
        claims.append(
            Claim(NodeId(node_id), Status(status), Incarnation(incarnation), NodeId(claimed_by))
        )
    return claims


def plain_claims(claims: Iterable[Claim]) -> list[list[object]]:
    """Claims as they travel."""
    return [[c.node_id, c.status.value, c.incarnation, c.claimed_by] for c in claims]


_STATUSES: Final = tuple(status.value for status in Status)
