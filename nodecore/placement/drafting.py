"""What all drafts of the next topology document share: refusal, numbering, the final check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nodecore.errors import Code, NodeError
from nodecore.ids import Epoch, NodeId
from nodecore.placement import assignment, even
from nodecore.placement.change_reasons import ChangeReason, reason_of
from nodecore.placement.rules import problems
from nodecore.placement.slot_map import place
from nodecore.placement.topology import Change, Member, Topology


class Refused(NodeError):  # noqa: N818 - the name says what it is
    """The change can't be proposed on this document; ``code`` and ``reason`` say why for programs."""

    def __init__(self, code: Code, text: str, reason: ChangeReason | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.reason = reason or reason_of(code)


def successor(topology: Topology, reason: str, **fields: Any) -> Topology:
    """The document of the next epoch with these fields replaced."""
    following = replace(topology, epoch=Epoch(topology.epoch + 1), reason=reason, **fields)
    return checked(following)


def checked(topology: Topology) -> Topology:
    """The same document; refuses one that breaks the rules."""
    found = problems(topology)
    if found:
        raise Refused(Code.BAD_REQUEST, "; ".join(found))
    return topology


def need_stable(topology: Topology) -> None:
    """Refuses while a change is under way."""
    change = topology.change
    if change is not None:
        text = f"the {change.kind} of {change.node_id} is not finished"
        raise Refused(Code.CHANGE_RUNNING, text, ChangeReason.ANOTHER_CHANGE)


def need_joint(topology: Topology) -> Change:
    """The change under way; refuses when there is none."""
    if topology.change is None:
        raise Refused(Code.BAD_REQUEST, "no change is under way", ChangeReason.NO_CHANGE)
    return topology.change


def need_member(topology: Topology, node_id: NodeId) -> None:
    """Refuses ids that are no member, old or new."""
    if topology.member(node_id) is None:
        raise Refused(Code.UNKNOWN_NODE, f"{node_id} is not a member")


def even_assignment(topology: Topology, members: Sequence[Member]) -> bytes:
    """Even owners for ``members``, as close as can be to those of now."""
    copies = max(keyspace.n for keyspace in topology.keyspaces)
    previous = place(topology.members, topology.ring, topology.assignment, copies)
    return assignment.encode(even.assign(previous, members, copies))
