"""Documents that steer changes of the owners: wishes, approval, pause, policy. Nothing moves by them.

What is wanted is a :class:`Wish`. Under the ``auto`` policy it becomes a joint document at once;
under ``manual`` it stands in the stable document as a proposal until a person approves or rejects
it. All of it is in the document, not on the node that was asked: so a proposal, a pause and a limit
outlive any coordinator. A rejected wish is not taken again for ``REJECTION_MS``.

Decides what the documents say; who may ask, and when a failed member is wished away, is
``replication``'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from nodecore.errors import Code
from nodecore.ids import NodeId
from nodecore.placement.change_reasons import ChangeReason
from nodecore.placement.drafting import Refused, need_joint, need_stable, successor
from nodecore.placement.proposals import (
    propose_join,
    propose_leave,
    propose_rebalance,
    propose_remove,
    propose_replace,
)
from nodecore.placement.rules import CHANGE_BYTES_PER_S_MIN, REJECTIONS_MAX
from nodecore.placement.topology import ChangePolicy, Rejection, Topology, Wish

REJECTION_MS: Final = 600_000
"""Long enough that a node that asks each second is told, short enough that nobody is shut out."""


def describe(wish: Wish) -> str:
    """The wish in words."""
    match wish.kind:
        case "join":
            return f"join of {wish.node_id}"
        case "replace":
            return f"replacement of {wish.replaces} by {wish.node_id}"
        case "rebalance":
            return "rebalance"
        case _:
            return f"{wish.kind} of {wish.node_id}"


def draft(topology: Topology, wish: Wish, coordinator: NodeId) -> Topology:
    """The joint document that carries out ``wish``.

    Raises:
        Refused: as the proposal of its kind.
    """
    match wish.kind:
        case "join" | "replace" if wish.newcomer is None:
            raise Refused(Code.BAD_REQUEST, f"{describe(wish)}: without a member entry")
        case "join":
            assert wish.newcomer is not None
            return propose_join(topology, wish.newcomer, coordinator)
        case "replace":
            assert wish.newcomer is not None
            return propose_replace(topology, wish.newcomer, wish.replaces, coordinator)
        case "leave":
            return propose_leave(topology, wish.node_id, coordinator)
        case "remove":
            return propose_remove(topology, wish.node_id, coordinator)
        case "rebalance":
            return propose_rebalance(
                topology,
                coordinator,
                ring=wish.ring_next,
                weights=dict(wish.weights),
                zones=dict(wish.zones),
            )
        case _:
            raise Refused(Code.BAD_REQUEST, f"{wish.kind[:80]!r} is no kind of change")


def propose_wish(topology: Topology, wish: Wish, coordinator: NodeId, at_ms: int) -> Topology:
    """The document that follows from a wish: the change itself, or its proposal for approval.

    Raises:
        Refused: it can't be carried out, waits already, was rejected, or another one waits.
    """
    waiting = topology.proposal
    if waiting is not None and _same(waiting, wish):
        text = f"the {describe(wish)} waits for approval (ringdeck cluster change approve)"
        raise Refused(Code.CHANGE_RUNNING, text, ChangeReason.APPROVAL_NEEDED)
    if waiting is not None:
        text = f"the {describe(waiting)} waits for approval or rejection"
        raise Refused(Code.CHANGE_RUNNING, text, ChangeReason.ANOTHER_CHANGE)
    if rejected(topology, wish, at_ms):
        text = f"the {describe(wish)} was rejected by an operator"
        raise Refused(Code.REFUSED, text, ChangeReason.REJECTED)
    joint = draft(topology, wish, coordinator)
    if topology.change_policy.approval == "auto":
        return joint
    text = f"the {describe(wish)} waits for approval"
    return successor(topology, text, proposal=replace(wish, asked_ms=at_ms))


def rejected(topology: Topology, wish: Wish, at_ms: int) -> bool:
    """Whether a person has turned this wish down lately. Rebalancing is only ever asked by one."""
    return wish.kind != "rebalance" and any(
        (entry.kind, entry.node_id) == (wish.kind, wish.node_id)
        and at_ms < entry.at_ms + REJECTION_MS
        for entry in topology.rejections
    )


def propose_approval(topology: Topology, coordinator: NodeId) -> Topology:
    """The joint document of the change that waits.

    Raises:
        Refused: none waits, or it can't be carried out any more.
    """
    return draft(topology, _need_proposal(topology), coordinator)


def propose_rejection(topology: Topology, at_ms: int) -> Topology:
    """The waiting change is turned down.

    Raises:
        Refused: none waits.
    """
    wish = _need_proposal(topology)
    entry = Rejection(wish.kind, wish.node_id, at_ms)
    standing = [r for r in topology.rejections if at_ms < r.at_ms + REJECTION_MS]
    rejections = (*standing, entry)[-REJECTIONS_MAX:]
    text = f"the {describe(wish)} was rejected by an operator"
    return successor(topology, text, proposal=None, rejections=rejections)


def propose_withdrawal(topology: Topology, why: str) -> Topology:
    """The waiting change is not wanted any more.

    Raises:
        Refused: none waits.
    """
    wish = _need_proposal(topology)
    text = f"the {describe(wish)} is not wanted any more: {why}"[:1000]
    return successor(topology, text, proposal=None)


def propose_pause(topology: Topology, *, paused: bool) -> Topology:
    """The same change, standing still or going on.

    Raises:
        Refused: no change is under way, or it is so already.
    """
    change = need_joint(topology)
    if change.paused == paused:
        reason = ChangeReason.PAUSED if paused else ChangeReason.NOT_PAUSED
        text = f"the {change.kind} of {change.node_id} is {'paused' if paused else 'not paused'}"
        raise Refused(Code.BAD_REQUEST, text, reason)
    verb = "paused" if paused else "resumed"
    text = f"{change.kind} of {change.node_id} {verb} by an operator"
    return successor(topology, text, change=replace(change, paused=paused))


def propose_change_policy(
    topology: Topology, *, approval: str | None = None, bytes_per_s: int | None = None
) -> Topology:
    """Another policy; allowed while a change is under way, which goes on under it.

    Raises:
        Refused: a value is bad, or nothing would change.
    """
    policy = topology.change_policy
    following = ChangePolicy(
        policy.approval if approval is None else approval,
        policy.bytes_per_s if bytes_per_s is None else bytes_per_s,
    )
    if 0 < following.bytes_per_s < CHANGE_BYTES_PER_S_MIN:
        text = f"a limit below {CHANGE_BYTES_PER_S_MIN} bytes/s would move nothing: pause instead"
        raise Refused(Code.BAD_REQUEST, text)
    if following == policy:
        raise Refused(Code.BAD_REQUEST, "nothing would change", ChangeReason.NOTHING_TO_CHANGE)
    limit = f"{following.bytes_per_s} bytes/s" if following.bytes_per_s else "as configured"
    text = f"changes: approval {following.approval}, each node streams {limit}"
    return successor(topology, text, change_policy=following)


def _need_proposal(topology: Topology) -> Wish:
    if topology.proposal is None:
        raise Refused(Code.BAD_REQUEST, "no change waits for approval", ChangeReason.NO_PROPOSAL)
    need_stable(topology)
    return topology.proposal


def _same(one: Wish, other: Wish) -> bool:
    """Whether they want the same; addresses of a newcomer that was started anew may differ."""
    if one.kind != other.kind or one.kind == "rebalance":
        return replace(one, asked_ms=0, node_id=other.node_id) == replace(other, asked_ms=0)
    return (one.node_id, one.replaces) == (other.node_id, other.replaces)
