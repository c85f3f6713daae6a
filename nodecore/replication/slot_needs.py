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

from typing import NamedTuple

from nodecore.ids import NodeId
from nodecore.placement.ring import Owners
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Keyspace, Topology


class Need(NamedTuple):
    """What one slot asks for."""

    sources: Owners
    """Owners now, without the node itself, in order of preference."""
    streams: int
    """Complete streams wanted; 0: nothing to wait for."""


def streams_needed(owners: int, keyspaces: tuple[Keyspace, ...]) -> int:
    """Owners whose copies together hold every acknowledged write, of ``owners`` in all."""
    if owners == 0:
        return 0
    needed = 1
    for keyspace in keyspaces:
        n = min(keyspace.n, owners)
        needed = max(needed, n - max(1, min(keyspace.w, n)) + 1)
    return needed


class Needs:
    """What one node has to copy at one document."""

    def __init__(self, node: NodeId, topology: Topology, slot_map: SlotMap) -> None:
        self._node = node
        self._keyspaces = topology.keyspaces
        self._map = slot_map
        self._cache: dict[tuple[Owners, Owners, bool], Need | None] = {}

    def of(self, slot: int, complete: bool) -> Need | None:
        """What ``slot`` needs, given whether the node's own copy is complete; None: nothing."""
        owners = self._map.owners[slot]
        following = owners if self._map.owners_next is None else self._map.owners_next[slot]
        key = owners, following, complete
        if key not in self._cache:
            self._cache[key] = self._judge(owners, following, complete)
        return self._cache[key]

    def _judge(self, owners: Owners, following: Owners, complete: bool) -> Need | None:
        mine, to_be_mine = self._node in owners, self._node in following
        if not mine and not to_be_mine:
            return None
        needed = streams_needed(len(owners), self._keyspaces)
        if mine and complete:
            if not to_be_mine or len(following) >= len(owners):
                return None
            needed -= 1
        sources = tuple(name for name in owners if name != self._node)
        return Need(sources, min(needed, len(sources)))


def owns(slot_map: SlotMap, node: NodeId, slot: int) -> bool:
    """Whether ``node`` serves reads of the slot at this document."""
    return node in slot_map.owners[slot]


def will_own(slot_map: SlotMap, node: NodeId, slot: int) -> bool:
    """Whether ``node`` is an owner to be: it takes writes, and nobody reads from it yet."""
    return slot_map.owners_next is not None and node in slot_map.owners_next[slot]


def copies_to_make(slot_map: SlotMap) -> dict[NodeId, int]:
    """Slots that each node must copy before a joint document may end, ordered by first slot."""
    counts: dict[NodeId, int] = {}
    if slot_map.owners_next is None:
        return counts
    for owners, following in zip(slot_map.owners, slot_map.owners_next, strict=True):
        shrinks = len(following) < len(owners)
        for node in following:
            if shrinks or node not in owners:
                counts[node] = counts.get(node, 0) + 1
    return counts
