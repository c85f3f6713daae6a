"""Which owners must tell what they hold for a backup to be whole, and in which portions to ask.

A write that was acknowledged is held by W of its N owners, so N-W+1 of them together know it; a
value of a strong key was accepted by a majority, so a majority together know its name. That must
hold for every keyspace that can have keys in a slot. All owners that can answer are asked, because
writes with fewer copies than W are worth having too.

It asks nobody.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final, NamedTuple

from nodecore.ids import NodeId
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Topology
from nodecore.replication.quorum import quorum
from nodecore.routing import Route

CHUNK_SLOTS: Final = 256
"""Asked about in one go; with a million keys about 16,000 entries."""


class Need(NamedTuple):
    """So many of these owners must answer for a keyspace."""

    pattern: str
    owners: tuple[NodeId, ...]
    answers: int


class Chunk(NamedTuple):
    """Slots of the same owners."""

    slots: tuple[int, ...]
    """Ascending."""
    needs: tuple[Need, ...]
    strong: bool
    """The strong keys of the slots, or all others."""

    @property
    def owners(self) -> tuple[NodeId, ...]:
        """Everybody to ask."""
        return tuple(dict.fromkeys(owner for need in self.needs for owner in need.owners))

    def missing(self, answering: Container[NodeId]) -> Need | None:
        """A need that these owners do not meet."""
        for need in self.needs:
            if sum(owner in answering for owner in need.owners) < need.answers:
                return need
        return None


def chunks_of(topology: Topology, slots: Iterable[int], *, strong: bool) -> list[Chunk]:
    """Portions of a walk over ``slots`` (ascending) at this epoch; none where no keyspace asks for it.

    Raises:
        InvalidTopology: the document names a hash that is not known here.
    """
    slot_map = SlotMap.compile(topology)
    keyspaces = [space for space in topology.keyspaces if (space.mode == "strong") == strong]
    if not keyspaces:
        return []
    needs_of: dict[tuple[NodeId, ...], tuple[Need, ...]] = {}
    portions: dict[tuple[NodeId, ...], list[int]] = {}
    for slot in slots:
        portions.setdefault(slot_map.owners[slot], []).append(slot)
    for owners in portions:
        routes = [Route(NodeId(""), owners, None, keyspace) for keyspace in keyspaces]
        needs_of[owners] = tuple(
            Need(
                route.keyspace.pattern,
                route.owners,
                quorum(route.n) if strong else route.absences,
            )
            for route in routes
        )
    return [
        Chunk(tuple(mine[at : at + CHUNK_SLOTS]), needs_of[owners], strong)
        for owners, mine in portions.items()
        for at in range(0, len(mine), CHUNK_SLOTS)
    ]
