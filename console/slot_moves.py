"""What a change of the owners moved, measured on two documents, and who holds how much.

Compares the owners before and after. A copy may go to a node that came or grew heavier, or away from
one that left or grew lighter; a copy that goes between two nodes which stayed as they were is
*strayed*: consistent hashing promises that there is none. Asks no node.

Sources: Karger et al., "Consistent Hashing and Random Trees" (1997): monotonicity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nodecore.ids import NodeId
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Member


@dataclass(frozen=True, slots=True)
class SlotMoves:
    """What moved, of first owners unless it says otherwise."""

    slots: int
    """Slots with another first owner."""
    share: float
    """Those over all slots."""
    keys: int
    """Keys in them, of those that were asked about."""
    keys_share: float
    """Those over all keys asked about; 0 when there are none."""
    strayed: int
    """Copies of slots that went from one node that stayed as it was to another."""
    minimum: float
    """The least share that the change of the weights makes necessary, for a balanced cluster."""


def slot_moves(before: SlotMap, after: SlotMap, key_slots: Sequence[int]) -> SlotMoves:
    """Compare two stable documents; ``key_slots`` are the slots of the keys, one entry per key."""
    old, new = _fair_shares(before.members), _fair_shares(after.members)
    old_weights = {member.node_id: member.weight for member in before.members}
    new_weights = {member.node_id: member.weight for member in after.members}
    comers = {n for n, weight in new_weights.items() if weight > old_weights.get(n, 0.0)}
    leavers = {n for n, weight in old_weights.items() if weight > new_weights.get(n, 0.0)}
    moved = [
        first[0] != second[0] for first, second in zip(before.owners, after.owners, strict=True)
    ]
    strayed = 0
    for first, second in zip(before.owners, after.owners, strict=True):
        if first == second or any(node in leavers for node in first):
            continue
        strayed += sum(node not in first and node not in comers for node in second)
    keys = sum(moved[slot] for slot in key_slots)
    return SlotMoves(
        slots=sum(moved),
        share=sum(moved) / len(moved),
        keys=keys,
        keys_share=keys / len(key_slots) if key_slots else 0.0,
        strayed=strayed,
        minimum=sum(max(0.0, share - old.get(node, 0.0)) for node, share in new.items()),
    )


def _fair_shares(members: Sequence[Member]) -> dict[NodeId, float]:
    total = sum(member.weight for member in members)
    return {member.node_id: member.weight / total for member in members}


@dataclass(frozen=True, slots=True)
class Holding:
    """One node's part."""

    node_id: str
    weight: float
    slots: int
    """As first owner."""
    share: float
    fair: float
    """Its share by weight."""
    keys: int
    """Keys of those that were asked about, as first owner."""


def holdings(slot_map: SlotMap, key_slots: Sequence[int]) -> list[Holding]:
    """Every member's part, by id."""
    fair = _fair_shares(slot_map.members)
    slots = slot_map.primary_counts()
    keys = dict.fromkeys(slots, 0)
    for slot in key_slots:
        keys[slot_map.owners[slot][0]] += 1
    return [
        Holding(
            str(member.node_id),
            member.weight,
            slots[member.node_id],
            slots[member.node_id] / len(slot_map.owners),
            fair[member.node_id],
            keys[member.node_id],
        )
        for member in sorted(slot_map.members, key=lambda member: member.node_id)
    ]
