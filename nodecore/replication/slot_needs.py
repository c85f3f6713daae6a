"""Which slots a node must copy at one document, and from how many of whom: pure set arithmetic.

A write that was acknowledged before is held by W of the N owners of its slot, whichever they are.
A copy is complete only when N-W+1 of them have streamed the slot, because that many meet every
possible W; and as each of them streams at the epoch of the document that it has adopted, and none
acknowledges a write of an earlier epoch afterwards, no such write can slip past the copy. A node
that holds the slot itself counts as one of the N-W+1.

Besides the owners to be, owners that stay must copy when the set of owners shrinks (a cluster of
three that becomes two): with fewer owners fewer of them have to agree on a miss.

Sources: design of joint epochs after RAMBO and Cassandra's CEP-21 progress barrier.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from nodecore.ids import SLOTS_COUNT, NodeId
from nodecore.placement.alike import count, fill
from nodecore.placement.ring import Owners
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Keyspace, Topology


class Need(NamedTuple):
    """What one slot asks for."""

    sources: Owners
    """Owners now, without the node itself, in order of preference."""
    streams: int
    """Complete streams wanted; 0: nothing to wait for."""
    moves: bool = True
    """It is wanted for the change under way: false for a copy that an owner has lost."""


def streams_needed(owners: int, keyspaces: tuple[Keyspace, ...]) -> int:
    """Owners whose copies together hold every acknowledged write, of ``owners`` in all."""
    if owners == 0:
        return 0
    needed = 1
    for keyspace in keyspaces:
        n = min(keyspace.n, owners)
        sure = keyspace.w_past or keyspace.w
        needed = max(needed, n - max(1, min(sure, n)) + 1)
    return needed


def wants(
    node: NodeId, topology: Topology, slot_map: SlotMap, complete: bytearray
) -> dict[int, Need]:
    """The slots that ``node`` has to copy at this document, given which copies are complete."""
    cache: dict[tuple[Owners, Owners, int], Need | None] = {}
    following = slot_map.owners_next or slot_map.owners
    found: list[Need | None] = [None] * SLOTS_COUNT
    for slots in slot_map.groups:
        first = slots[0]
        held = count(complete, slots, 1)
        for state in (0, 1):
            # Mostly all slots of a group are complete, or none is.
            number = held if state else len(slots) - held
            if not number:
                continue
            key = slot_map.owners[first], following[first], state
            if key not in cache:
                cache[key] = _judge(node, topology.keyspaces, *key)
            need = cache[key]
            if need is not None:
                part = slots if number == len(slots) else [s for s in slots if complete[s] == state]
                fill(found, part, need)
    return {slot: need for slot, need in enumerate(found) if need is not None}


def _judge(
    node: NodeId,
    keyspaces: tuple[Keyspace, ...],
    owners: Owners,
    following: Owners,
    complete: int,
) -> Need | None:
    mine, to_be_mine = node in owners, node in following
    if not mine and (complete or not to_be_mine):
        return None
    needed = streams_needed(len(owners), keyspaces)
    if complete:
        if not to_be_mine or len(following) >= len(owners):
            return None
        needed -= 1
    sources = tuple(name for name in owners if name != node)
    return Need(sources, min(needed, len(sources)), moves=bool(complete) or not mine)


def copies_to_make(slot_map: SlotMap, keyspaces: Sequence[Keyspace] = ()) -> dict[NodeId, int]:
    """Slots that each node must copy before a joint document may end, ordered by first slot.

    Where a keyspace asks for fewer copies, those that stay must copy what they have missed.
    """
    counts: dict[NodeId, int] = {}
    if slot_map.owners_next is None:
        return counts
    staying = max((keyspace.n_next for keyspace in keyspaces), default=0)
    pairs: Counter[tuple[Owners, Owners]] = Counter()
    for group in slot_map.groups:
        pairs[slot_map.owners[group[0]], slot_map.owners_next[group[0]]] += len(group)
    for (owners, following), slots in pairs.items():
        shrinks = len(following) < len(owners)
        for place, node in enumerate(following):
            if shrinks or node not in owners or place < staying:
                counts[node] = counts.get(node, 0) + slots
    return counts
