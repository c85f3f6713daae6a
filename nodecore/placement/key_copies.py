"""Where the copies of one key belong, when keyspaces of one document ask for different numbers.

Slots are placed for the greatest N; the first n owners of a slot hold a key whose keyspace wants n
copies. Compiled once per document. Whoever compares, streams or gives up copies asks here; requests
have their routes (``nodecore.routing``).
"""

from __future__ import annotations

from typing import final

from nodecore.ids import NodeId
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Topology


@final
class KeyCopies:
    """Copies of keys under one document."""

    def __init__(self, topology: Topology, slot_map: SlotMap) -> None:
        by_length = sorted(
            topology.keyspaces, key=lambda keyspace: len(keyspace.pattern), reverse=True
        )
        self._rules = [(keyspace.pattern[:-1].encode(), keyspace.n) for keyspace in by_length]
        self._slot_map = slot_map
        counts = [keyspace.n for keyspace in topology.keyspaces]
        self.least = min(counts)
        self.mixed = self.least < max(counts)
        """Whether owners of one slot may hold different keys."""

    def of(self, key: bytes) -> int:
        """N of the keyspace of ``key``."""
        for prefix, count in self._rules:
            if key.startswith(prefix):
                return count
        return self.least

    def position(self, node: NodeId, slot: int) -> int | None:
        """Place of ``node`` among the owners of a slot, now or (in a joint document) to be."""
        places = [
            owners.index(node)
            for owners in (self._slot_map.owners[slot], self._next(slot))
            if node in owners
        ]
        return min(places, default=None)

    def belongs(self, node: NodeId, slot: int, key: bytes) -> bool:
        """Whether ``node`` holds, or is to hold, a copy of ``key``."""
        place = self.position(node, slot)
        return place is not None and (not self.mixed or place < self.of(key))

    def _next(self, slot: int) -> tuple[NodeId, ...]:
        following = self._slot_map.owners_next
        return () if following is None else following[slot]
