"""Documents that say what a member may be trusted with: learner, readmitted, complete again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nodecore.errors import Code
from nodecore.ids import NodeId
from nodecore.placement.drafting import Refused, need_member, successor
from nodecore.placement.topology import Member, Topology
from nodecore.placement.voters import voters_of, with_voters


def propose_learner(topology: Topology, node_id: NodeId) -> Topology:
    """A member lost its state: it no longer votes nor acknowledges strong keys until readmitted.

    Raises:
        Refused: the member is unknown or the last that could vote.
    """
    return _reborn(topology, node_id, learner=True, reason=f"{node_id} lost its state")


def propose_readmission(topology: Topology, node_id: NodeId) -> Topology:
    """A member without memory begins anew: from this epoch on it may vote again.

    Raises:
        Refused: the member is unknown.
    """
    return _reborn(topology, node_id, learner=None, reason=f"{node_id} begins anew")


def propose_full_member(topology: Topology, node_id: NodeId) -> Topology:
    """A learner has taken over what it lacked: it acknowledges, and may be made a voter.

    Raises:
        Refused: the member is unknown.
    """
    return _reborn(topology, node_id, learner=False, reason=f"{node_id} is complete again")


def _reborn(topology: Topology, node_id: NodeId, *, learner: bool | None, reason: str) -> Topology:
    """The member entry begins anew in old and new members alike; voters are chosen again."""
    need_member(topology, node_id)
    born = topology.epoch + 1

    def renew(members: Sequence[Member]) -> tuple[Member, ...]:
        renewed = [
            replace(
                m,
                born=born,
                learner=m.learner if learner is None else learner,
                voter=m.voter and not learner,
            )
            if m.node_id == node_id
            else m
            for m in members
        ]
        if renewed == list(members) or learner is None:
            return tuple(renewed)
        chosen = with_voters(renewed, excluded=_joining(topology))
        if not voters_of(chosen):
            raise Refused(Code.REFUSED, f"without {node_id} nobody could vote")
        return chosen

    change = topology.change
    if change is not None:
        change = replace(change, members_next=renew(change.members_next))
    return successor(topology, reason, members=renew(topology.members), change=change)


def _joining(topology: Topology) -> tuple[NodeId, ...]:
    change = topology.change
    return (change.newcomer,) if change is not None and change.newcomer else ()
