"""What the next topology document says: one pure function per change.

Each takes the newest document and gives its successor, or refuses with a reason for a person.
Owners change in two steps: a *joint* document names the owners to be, the *stable* one after it
makes them the owners (``propose_stable``) or takes it back (``propose_cancel``). One change at a
time. A joining node gets a vote only with the stable document: until it holds its copies nothing
may depend on it. Decides nothing about when (the node) or whether others agree (``consensus``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from nodecore.errors import Code
from nodecore.ids import Epoch, NodeId
from nodecore.limits import MEMBERS_MAX
from nodecore.placement import assignment, even
from nodecore.placement.change_reasons import ChangeReason, Obstacle
from nodecore.placement.drafting import (
    Refused,
    checked,
    even_assignment,
    need_joint,
    need_member,
    need_stable,
    successor,
)
from nodecore.placement.keyspace_edits import finished, taken_back
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
from nodecore.placement.topology import (
    Change,
    ChangePolicy,
    Keyspace,
    Member,
    RingSettings,
    Topology,
)
from nodecore.placement.voters import has_majority, voter_sets, with_voters

__all__ = [
    "DEFAULT_KEYSPACES",
    "RECOVERY_EPOCHS",
    "Refused",
    "bootstrap",
    "copies_missing",
    "finished_text",
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
    "propose_replace",
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
    change_policy: ChangePolicy | None = None,
) -> Topology:
    """The first document; equal on all first members that were given the same list.

    Raises:
        Refused: the members, settings or keyspaces break the rules.
    """
    ring = ring or RingSettings()
    born = with_voters([replace(m, born=1, voter=False, learner=False) for m in members])
    topology = Topology(cluster_id, Epoch(1), born, ring, tuple(keyspaces), reason="first document")
    topology = replace(
        topology,
        change_policy=change_policy or ChangePolicy(),
        owners_epoch=int(topology.epoch),
        owners_past=int(topology.epoch),
    )
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
    newcomer = _newcomer(topology, member)
    members_next = with_voters((*topology.members, newcomer), excluded=(member.node_id,))
    change = Change("join", member.node_id, members_next, coordinator)
    return _joint(topology, change, f"{member.node_id} joins")


def propose_replace(
    topology: Topology, member: Member, old: NodeId, coordinator: NodeId
) -> Topology:
    """Joint document in which ``member`` comes and ``old`` goes.

    The newcomer takes the weight and the places on the ring of the one that goes, so that nothing
    moves but what that one holds (and, if their zones differ, what the zones ask for). It may have
    failed: then its copies are made from the others'.

    Raises:
        Refused: as for ``propose_join`` and ``propose_leave``.
    """
    newcomer = _newcomer(topology, member)
    need_member(topology, old)
    leaver = next(m for m in topology.members if m.node_id == old)
    taken = replace(newcomer, weight=leaver.weight, ring_name=leaver.ring_name or leaver.node_id)
    remaining = [m for m in topology.members if m.node_id != old]
    if not remaining or all(m.learner for m in remaining):
        text = f"without {old} nobody could vote until {member.node_id} has its copies"
        raise Refused(Code.REFUSED, text, ChangeReason.LAST_VOTER)
    members_next = with_voters((*remaining, taken), excluded=(member.node_id,))
    change = Change("replace", member.node_id, members_next, coordinator, replaces=old)
    return _joint(topology, change, f"{member.node_id} replaces {old}")


def _newcomer(topology: Topology, member: Member) -> Member:
    need_stable(topology)
    if topology.member(member.node_id) is not None:
        text = f"{member.node_id} is a member already"
        raise Refused(Code.TAKEN, text, ChangeReason.ALREADY_A_MEMBER)
    if len(topology.members) >= MEMBERS_MAX:
        text = f"a cluster has at most {MEMBERS_MAX} members"
        raise Refused(Code.REFUSED, text, ChangeReason.CLUSTER_FULL)
    ring_name = _free_ring_name(topology, member.node_id)
    return replace(member, voter=False, learner=False, born=topology.epoch + 1, ring_name=ring_name)


def _free_ring_name(topology: Topology, node_id: NodeId) -> str:
    """Empty, unless a member that replaced the former holder of this id stands at its places."""
    taken = [m.ring_name or m.node_id for m in topology.members]
    name, number = str(node_id), 2
    while name in taken:
        name, number = f"{node_id}~{number}", number + 1
    return "" if name == node_id else name


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
    weights: Mapping[NodeId, float] | None = None,
    zones: Mapping[NodeId, str] | None = None,
) -> Topology:
    """Joint document with other ring settings, weights or zones; without any of them, even
    placement is evened out again.

    Raises:
        Refused: a change is running, a member is unknown, or nothing would change.
    """
    need_stable(topology)
    weights, zones = weights or {}, zones or {}
    for node_id in (*weights, *zones):
        need_member(topology, node_id)
    members = tuple(
        replace(m, weight=weights.get(m.node_id, m.weight), zone=zones.get(m.node_id, m.zone))
        for m in topology.members
    )
    ring_next = None if ring is None or ring == topology.ring else ring
    change = Change("rebalance", coordinator, members, coordinator, ring_next=ring_next)
    following = _joint(topology, change, _rebalance_text(topology, members, ring_next))
    assert following.change is not None
    if (
        members == topology.members
        and ring_next is None
        and following.change.assignment_next == topology.assignment
    ):
        raise Refused(Code.BAD_REQUEST, "nothing would change", ChangeReason.NOTHING_TO_CHANGE)
    return following


def _rebalance_text(
    topology: Topology, members: Sequence[Member], ring: RingSettings | None
) -> str:
    parts = []
    for old, new in zip(topology.members, members, strict=True):
        if old.weight != new.weight:
            parts.append(f"{new.node_id} weight {new.weight:g}")
        if old.zone != new.zone:
            parts.append(f"{new.node_id} zone {new.zone or 'none'}")
    if ring is not None:
        parts.append(f"placement {ring.placement}, {ring.vnodes} vnodes, {ring.hash}")
    return f"slots are assigned anew: {', '.join(parts) or 'evened out'}"[:1000]


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
            keyspaces=finished(topology.keyspaces),
            ring=change.ring_next or topology.ring,
            assignment=change.assignment_next,
            change=None,
            owners_epoch=topology.epoch + 1,
            owners_past=topology.owners_epoch,
            reason=finished_text(change),
        )
    )


def finished_text(change: Change) -> str:
    """The reason of the document that ends a change; a node that goes reads it there."""
    if change.kind == "replace":
        return f"{change.node_id} has replaced {change.replaces}"
    return f"{change.kind} of {change.node_id} finished"


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
            keyspaces=taken_back(topology.keyspaces),
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


def may_remove(topology: Topology, live: Collection[NodeId], node_id: NodeId) -> Obstacle | None:
    """None when ``node_id`` may be removed without asking a person, else why not.

    ``live``: members that are reachable from here, this node included.
    """
    if topology.member(node_id) is None:
        return Obstacle(ChangeReason.NOT_A_MEMBER, f"{node_id} is not a member")
    if topology.joint:
        return Obstacle(ChangeReason.ANOTHER_CHANGE, "another change is under way")
    if node_id in live:
        return Obstacle(ChangeReason.MEMBER_ALIVE, f"{node_id} is alive")
    if not has_majority(voter_sets(topology), live):
        text = "a majority of the voters is not reachable"
        return Obstacle(ChangeReason.MAJORITY_UNREACHABLE, text)
    missing = copies_missing(topology)
    return None if missing is None else Obstacle(ChangeReason.NOT_ENOUGH_MEMBERS, missing)


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
        raise Refused(Code.REFUSED, f"{node_id} is the last member", ChangeReason.LAST_MEMBER)
    remaining = [m for m in topology.members if m.node_id != node_id]
    if all(m.learner for m in remaining):
        text = f"without {node_id} nobody could vote"
        raise Refused(Code.REFUSED, text, ChangeReason.LAST_VOTER)
    change = Change(kind, node_id, with_voters(remaining), coordinator)
    return _joint(topology, change, f"{kind} of {node_id}")


def _joint(topology: Topology, change: Change, reason: str) -> Topology:
    ring = change.ring_next or topology.ring
    if ring.placement == "even":
        table = _inherited(topology, change) or even_assignment(topology, change.members_next)
        change = replace(change, assignment_next=table)
    return successor(topology, reason, change=change, proposal=None)


def _inherited(topology: Topology, change: Change) -> bytes:
    """The assignment with one name for another: a replacement in the same zone; else empty."""
    old, new = topology.member(change.replaces), change.node_id
    heir = next((m for m in change.members_next if m.node_id == new), None)
    if change.kind != "replace" or not topology.assignment or old is None or heir is None:
        return b""
    if old.zone != heir.zone:
        return b""
    table = assignment.decode(topology.assignment)
    return assignment.encode(
        tuple(tuple(new if node == old.node_id else node for node in owners) for owners in table)
    )
