"""What the next topology document says: one pure function per change.

Each takes the newest document and gives its successor, or refuses with a reason for a person.
Owners change in two steps: a *joint* document names the owners to be, the *stable* one after it
makes them the owners (``propose_stable``) or takes it back (``propose_cancel``). One change at a
time. A joining node gets a vote only with the stable document: until it holds its copies nothing
may depend on it. Decides nothing about when (the node) or whether others agree (``consensus``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from nodecore.errors import Code
from nodecore.ids import Epoch, NodeId
from nodecore.limits import MEMBERS_MAX
from nodecore.placement import assignment, even
from nodecore.placement.drafting import (
    Refused,
    checked,
    even_assignment,
    need_joint,
    need_member,
    need_stable,
    successor,
)
from nodecore.placement.member_states import (
    propose_full_member,
    propose_learner,
    propose_readmission,
)
from nodecore.placement.policies import (
    propose_flush,
    propose_keyspace,
    propose_keyspace_removal,
)
from nodecore.placement.recovery import RECOVERY_EPOCHS, propose_recovery
from nodecore.placement.topology import Change, Keyspace, Member, RingSettings, Topology
from nodecore.placement.voters import has_majority, voter_sets, with_voters

__all__ = [
    "DEFAULT_KEYSPACES",
    "RECOVERY_EPOCHS",
    "Refused",
    "bootstrap",
    "copies_missing",
    "may_remove",
    "propose_cancel",
    "propose_coordinator",
    "propose_flush",
    "propose_full_member",
    "propose_join",
    "propose_keyspace",
    "propose_keyspace_removal",
    "propose_learner",
    "propose_leave",
    "propose_readmission",
    "propose_rebalance",
    "propose_recovery",
    "propose_remove",
    "propose_stable",
]

DEFAULT_KEYSPACES: Final = (
    Keyspace(),
    Keyspace(pattern="strong:*", mode="strong", durability="process"),
)


def bootstrap(
    cluster_id: str,
    members: Sequence[Member],
    ring: RingSettings | None = None,
    keyspaces: Sequence[Keyspace] = DEFAULT_KEYSPACES,
) -> Topology:
    """The first document; equal on all first members that were given the same list.

    Raises:
        Refused: the members, settings or keyspaces break the rules.
    """
    ring = ring or RingSettings()
    born = with_voters([replace(m, born=1, voter=False, learner=False) for m in members])
    topology = Topology(cluster_id, Epoch(1), born, ring, tuple(keyspaces), reason="first document")
    if ring.placement == "even" and born:
        copies = max((keyspace.n for keyspace in keyspaces), default=1)
        table = even.assign(None, born, copies)
        topology = replace(topology, assignment=assignment.encode(table))
    return checked(topology)


def propose_join(topology: Topology, member: Member, coordinator: NodeId) -> Topology:
    """Joint document that adds ``member``.

    Raises:
        Refused: a change is running, the id is taken, the cluster is full, or the entry is bad.
    """
    need_stable(topology)
    if topology.member(member.node_id) is not None:
        raise Refused(Code.TAKEN, f"{member.node_id} is a member already")
    if len(topology.members) >= MEMBERS_MAX:
        raise Refused(Code.REFUSED, f"a cluster has at most {MEMBERS_MAX} members")
    newcomer = replace(member, voter=False, learner=False, born=topology.epoch + 1)
    members_next = with_voters((*topology.members, newcomer), excluded=(member.node_id,))
    change = Change("join", member.node_id, members_next, coordinator)
    return _joint(topology, change, f"{member.node_id} joins")


def propose_leave(topology: Topology, node_id: NodeId, coordinator: NodeId) -> Topology:
    """Joint document that lets a live member hand over its slots and go.

    Raises:
        Refused: a change is running, the member is unknown or the last one.
    """
    return _without(topology, node_id, coordinator, "leave")


def propose_remove(topology: Topology, node_id: NodeId, coordinator: NodeId) -> Topology:
    """Joint document that removes a failed member; its copies are rebuilt from the others.

    Whether it may be done without asking a person: :func:`may_remove`.

    Raises:
        Refused: as for ``propose_leave``.
    """
    return _without(topology, node_id, coordinator, "remove")


def propose_rebalance(
    topology: Topology,
    coordinator: NodeId,
    *,
    ring: RingSettings | None = None,
    weights: dict[NodeId, float] | None = None,
) -> Topology:
    """Joint document with other ring settings or weights; without either, even placement is
    evened out again.

    Raises:
        Refused: a change is running, a member is unknown, or nothing would change.
    """
    need_stable(topology)
    weights = weights or {}
    for node_id in weights:
        need_member(topology, node_id)
    members = tuple(replace(m, weight=weights.get(m.node_id, m.weight)) for m in topology.members)
    ring_next = None if ring is None or ring == topology.ring else ring
    change = Change("rebalance", coordinator, members, coordinator, ring_next=ring_next)
    following = _joint(topology, change, "slots are assigned anew")
    assert following.change is not None
    if (
        members == topology.members
        and ring_next is None
        and following.change.assignment_next == topology.assignment
    ):
        raise Refused(Code.BAD_REQUEST, "nothing would change")
    return following


def propose_stable(topology: Topology) -> Topology:
    """The stable document that ends a change: the owners to be are the owners.

    Raises:
        Refused: no change is under way.
    """
    change = need_joint(topology)
    return checked(
        replace(
            topology,
            epoch=Epoch(topology.epoch + 1),
            members=with_voters(change.members_next),
            ring=change.ring_next or topology.ring,
            assignment=change.assignment_next,
            change=None,
            reason=f"{change.kind} of {change.node_id} finished",
        )
    )


def propose_cancel(topology: Topology, why: str) -> Topology:
    """The stable document that takes a change back: the old owners stay.

    Raises:
        Refused: no change is under way.
    """
    change = need_joint(topology)
    return checked(
        replace(
            topology,
            epoch=Epoch(topology.epoch + 1),
            change=None,
            reason=f"{change.kind} of {change.node_id} cancelled: {why}"[:1000],
        )
    )


def propose_coordinator(topology: Topology, coordinator: NodeId) -> Topology:
    """The same change, driven by another member because the coordinator failed.

    Raises:
        Refused: no change is under way, or ``coordinator`` drives it already or is no member.
    """
    change = need_joint(topology)
    need_member(topology, coordinator)
    if change.coordinator == coordinator:
        raise Refused(Code.BAD_REQUEST, f"{coordinator} drives this change already")
    return successor(
        topology,
        f"{coordinator} takes over the {change.kind} of {change.node_id}",
        change=replace(change, coordinator=coordinator),
    )


def may_remove(topology: Topology, live: Collection[NodeId], node_id: NodeId) -> str | None:
    """None when ``node_id`` may be removed without asking a person, else the reason why not.

    ``live``: members that are reachable from here, this node included.
    """
    if topology.member(node_id) is None:
        return f"{node_id} is not a member"
    if topology.joint:
        return "another change is under way"
    if node_id in live:
        return f"{node_id} is alive"
    if not has_majority(voter_sets(topology), live):
        return "a majority of the voters is not reachable"
    return copies_missing(topology)


def copies_missing(topology: Topology) -> str | None:
    """What would be wanting with one member less; None: every keyspace still has all its copies."""
    copies = max(keyspace.n for keyspace in topology.keyspaces)
    remaining = len(topology.members) - 1
    if remaining >= copies:
        return None
    verb = "member" if remaining == 1 else "members"
    return f"{remaining} {verb} would remain, {copies} copies are wanted"


def _without(topology: Topology, node_id: NodeId, coordinator: NodeId, kind: str) -> Topology:
    need_stable(topology)
    need_member(topology, node_id)
    if len(topology.members) == 1:
        raise Refused(Code.REFUSED, f"{node_id} is the last member")
    remaining = [m for m in topology.members if m.node_id != node_id]
    if all(m.learner for m in remaining):
        raise Refused(Code.REFUSED, f"without {node_id} nobody could vote")
    change = Change(kind, node_id, with_voters(remaining), coordinator)
    return _joint(topology, change, f"{kind} of {node_id}")


def _joint(topology: Topology, change: Change, reason: str) -> Topology:
    ring = change.ring_next or topology.ring
    if ring.placement == "even":
        change = replace(change, assignment_next=even_assignment(topology, change.members_next))
    return successor(topology, reason, change=change)
