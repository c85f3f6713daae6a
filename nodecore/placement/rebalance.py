"""From one map of slots to the next: which copies move, in which order, and what that costs.

A move is one copy that a node is to hold and does not: the target streams the slot from any of the
sources. A change of order among owners moves nothing. The plan follows from the two tables alone,
so every member computes the same one; who streams when is decided in ``replication``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from nodecore.ids import NodeId
from nodecore.placement.ring import Owners, OwnerTable
from nodecore.placement.slot_map import SlotMap, trim
from nodecore.placement.topology import Member


class Move(NamedTuple):
    """One copy of one slot."""

    slot: int
    sources: Owners
    """Who holds it now, first owner first; empty when nobody does."""
    target: NodeId


@dataclass(frozen=True, slots=True)
class Plan:
    """All moves of a change."""

    moves: tuple[Move, ...]
    drops: tuple[tuple[int, NodeId], ...]
    """(slot, node): copies that are superfluous once the change is finished."""
    copies_total: int
    """Copies that there will be, moved or not."""

    @property
    def slots(self) -> int:
        """Slots with at least one move."""
        return len(dict.fromkeys(move.slot for move in self.moves))

    def targets(self) -> tuple[NodeId, ...]:
        """Nodes that receive something, ordered by id."""
        return tuple(sorted({move.target for move in self.moves}))


def diff(before: OwnerTable, after: OwnerTable) -> Plan:
    """The moves that lead from one table to the other, ordered by slot.

    Raises:
        ValueError: the tables differ in length.
    """
    moves: list[Move] = []
    drops: list[tuple[int, NodeId]] = []
    for slot, (old, new) in enumerate(zip(before, after, strict=True)):
        if old == new:
            continue
        moves.extend(Move(slot, old, node) for node in new if node not in old)
        drops.extend((slot, node) for node in old if node not in new)
    return Plan(tuple(moves), tuple(drops), sum(len(owners) for owners in after))


def plan_of(slot_map: SlotMap, copies: int | None = None) -> Plan:
    """The moves of the change that a joint document carries out; an empty plan when it is stable.

    ``copies`` None: for the keyspace with the most copies, so that no keyspace lacks one.
    """
    wanted = slot_map.copies_max if copies is None else copies
    before = trim(slot_map.owners, wanted)
    after = before if slot_map.owners_next is None else trim(slot_map.owners_next, wanted)
    return diff(before, after)


def coldest_first(plan: Plan, heat: Callable[[int], float]) -> tuple[Move, ...]:
    """The moves in the order in which to make them: slots with the least traffic first, so that the
    clients feel a change as late and as little as possible; all copies of a slot together.
    """
    return tuple(sorted(plan.moves, key=lambda move: (heat(move.slot), move.slot, move.target)))


class NodeShare(NamedTuple):
    """What a change means for one node."""

    node_id: NodeId
    copies_in: int
    copies_out: int
    keys_in: int
    bytes_in: int
    keys_out: int
    """Streamed to others; each copy comes from as many sources as a complete one needs."""
    bytes_out: int
    first_share_before: float
    """Share of all slots as first owner."""
    first_share_after: float


@dataclass(frozen=True, slots=True)
class Preview:
    """What a plan costs, to be shown before it is approved."""

    slots_moved: int
    copies_moved: int
    keys_moved: int
    bytes_moved: int
    seconds: float
    """At the given rate per node, all of them in parallel: the busiest, sender or receiver, decides;
    a second for the two decisions comes on top when anything moves."""
    share_moved: float
    """Copies that move of all copies."""
    minimum_share: float
    """The least share that any method must move for these members and weights."""
    nodes: tuple[NodeShare, ...]
    """Ordered by id; old and new members."""


class SlotSizes(NamedTuple):
    """What the slots hold, as far as the asking node knows; of every slot one entry."""

    keys: Sequence[int]
    bytes: Sequence[int]


DECISIONS_S: Final = 1.0
"""A joint and a stable document, and the reports between."""


def preview(slot_map: SlotMap, sizes: SlotSizes, bytes_per_s: float, streams: int = 1) -> Preview:
    """What the change of a joint document costs.

    Args:
        slot_map: of the joint document.
        sizes: what each slot holds.
        bytes_per_s: what one node streams, > 0.
        streams: sources of which each copy is made, see ``slot_needs.streams_needed``.
    """
    plan = plan_of(slot_map)
    members_after = slot_map.members_next or slot_map.members
    nodes = sorted({member.node_id for member in (*slot_map.members, *members_after)})
    copies_in, copies_out = dict.fromkeys(nodes, 0), dict.fromkeys(nodes, 0)
    keys_in, bytes_in = dict.fromkeys(nodes, 0), dict.fromkeys(nodes, 0)
    keys_out, bytes_out = dict.fromkeys(nodes, 0), dict.fromkeys(nodes, 0)
    for move in plan.moves:
        copies_in[move.target] += 1
        keys_in[move.target] += sizes.keys[move.slot]
        bytes_in[move.target] += sizes.bytes[move.slot]
        for source in move.sources[:streams]:
            keys_out[source] += sizes.keys[move.slot]
            bytes_out[source] += sizes.bytes[move.slot]
    for _, node in plan.drops:
        copies_out[node] += 1
    before = _first_shares(slot_map.owners)
    after = before if slot_map.owners_next is None else _first_shares(slot_map.owners_next)
    busiest = max((*bytes_in.values(), *bytes_out.values()), default=0)
    return Preview(
        slots_moved=plan.slots,
        copies_moved=len(plan.moves),
        keys_moved=sum(keys_in.values()),
        bytes_moved=sum(bytes_in.values()),
        seconds=busiest / bytes_per_s + (DECISIONS_S if plan.moves else 0.0),
        share_moved=len(plan.moves) / max(1, plan.copies_total),
        minimum_share=minimum_share(slot_map.members, members_after),
        nodes=tuple(
            NodeShare(
                node,
                copies_in[node],
                copies_out[node],
                keys_in[node],
                bytes_in[node],
                keys_out[node],
                bytes_out[node],
                before.get(node, 0.0),
                after.get(node, 0.0),
            )
            for node in nodes
        ),
    )


def minimum_share(before: Sequence[Member], after: Sequence[Member]) -> float:
    """Sum of what members gain in fair share by weight: 1/(n+1) for the join of an equal, the share
    of the one that goes for a leave. With fewer members than copies more has to move.
    """
    total_before = sum(member.weight for member in before)
    total_after = sum(member.weight for member in after)
    fair_before = {member.node_id: member.weight / total_before for member in before}
    return sum(
        max(0.0, member.weight / total_after - fair_before.get(member.node_id, 0.0))
        for member in after
    )


def _first_shares(table: OwnerTable) -> dict[NodeId, float]:
    counts: dict[NodeId, int] = {}
    for owners in table:
        if owners:
            counts[owners[0]] = counts.get(owners[0], 0) + 1
    return {node: count / len(table) for node, count in counts.items()}
