"""A topology document compiled for use: the owners of every slot, now and next.

Compiled once per document; documents that place alike (another keyspace TTL, a flush) share the
tables. It decides where copies live, not how many of them a request needs (see ``replication``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, final

from nodecore.config import Addresses
from nodecore.errors import InvalidTopology
from nodecore.ids import SLOTS_COUNT, Epoch, NodeId
from nodecore.placement import assignment
from nodecore.placement.alike import Groups, group, mark, merge
from nodecore.placement.hashing import Resolver, make_hash
from nodecore.placement.ring import (
    Owners,
    OwnerTable,
    ShareStatistics,
    assign,
    owners_in,
    share_statistics,
)
from nodecore.placement.topology import Keyspace, Member, RingSettings, Topology
from nodecore.table.interface import SLOT_CLOSED, SLOT_FIRST, SLOT_READ, SLOT_SOLE

DEFAULT_PATTERN: Final = "*"


@final
class SlotMap:
    """Owners by slot at one epoch. Immutable; make it with :meth:`compile`."""

    __slots__ = (
        "copies",
        "copies_max",
        "epoch",
        "groups",
        "members",
        "members_next",
        "merged",
        "owners",
        "owners_next",
    )

    epoch: Epoch
    members: tuple[Member, ...]
    """Those that own slots now."""
    members_next: tuple[Member, ...] | None
    """In a joint document those that will."""
    owners: OwnerTable
    """Per slot up to ``copies_max`` owners, first owner first; a prefix serves a smaller N."""
    owners_next: OwnerTable | None
    """In a joint document the owners to be."""
    copies: int
    """N of the default keyspace, not capped by the number of members."""
    copies_max: int
    """Greatest N of any keyspace."""
    groups: Groups
    """Slots that have the same owners, now and to be."""
    merged: tuple[SlotMap, Groups] | None
    """The last answer of :func:`alike`, which several rooms ask for."""

    def __init__(self, topology: Topology, resolver: Resolver | None) -> None:
        self.epoch = topology.epoch
        self.members = topology.members
        self.members_next = None
        self.owners_next = None
        self.copies = _default_keyspace(topology.keyspaces).n
        self.copies_max = max(keyspace.n for keyspace in topology.keyspaces)
        self.owners = place(
            topology.members, topology.ring, topology.assignment, self.copies_max, resolver
        )
        change = topology.change
        if change is not None:
            self.members_next = change.members_next
            self.owners_next = place(
                change.members_next,
                change.ring_next or topology.ring,
                change.assignment_next,
                self.copies_max,
                resolver,
            )
        self.groups = group(self.owners, self.owners_next)
        self.merged = None

    @classmethod
    def compile(cls, topology: Topology, resolver: Resolver | None = None) -> SlotMap:
        """The map of a document; the same object for equal documents, as long as they are the newest.

        Raises:
            InvalidTopology: the ring hash or the assignment can't be used.
        """
        return _compile(topology, resolver)

    def owners_of(self, slot: int, copies: int) -> Owners:
        """The first ``copies`` owners now; fewer when the cluster is smaller."""
        owners = self.owners[slot]
        return owners if len(owners) <= copies else owners[:copies]

    def next_owners_of(self, slot: int, copies: int) -> Owners:
        """The first ``copies`` owners to be; empty in a stable document."""
        if self.owners_next is None:
            return ()
        return self.owners_next[slot][:copies]

    def slots_of(self, node: NodeId, copies: int) -> list[int]:
        """Slots of which ``node`` is among the first ``copies`` owners now."""
        return [slot for slot in range(SLOTS_COUNT) if node in self.owners[slot][:copies]]

    def primary_counts(self) -> dict[NodeId, int]:
        """Slots per member as first owner, ordered by node id."""
        counts = {member.node_id: 0 for member in self.members}
        for owners in self.owners:
            if owners:
                counts[owners[0]] += 1
        return counts

    def shares(self, *, following: bool = False) -> ShareStatistics:
        """How even the default keyspace lies; ``following``: in the map to be, if there is one."""
        table, members = self.owners, self.members
        if following and self.owners_next is not None and self.members_next is not None:
            table, members = self.owners_next, self.members_next
        return share_statistics(trim(table, self.copies), members)

    def ranges(self, copies: int | None = None) -> list[tuple[int, int, Owners]]:
        """Runs of slots with equal owners as (first, last, owners): CLUSTER SLOTS, client routes.

        ``copies`` None: N of the default keyspace.
        """
        table = trim(self.owners, self.copies if copies is None else copies)
        runs: list[tuple[int, int, Owners]] = []
        first = 0
        for slot in range(1, SLOTS_COUNT + 1):
            if slot == SLOTS_COUNT or table[slot] != table[first]:
                runs.append((first, slot - 1, table[first]))
                first = slot
        return runs

    def indexes(self, order: Sequence[NodeId]) -> tuple[tuple[int, ...], ...]:
        """Owners now as positions in ``order``, which must name every owner."""
        position = {node: index for index, node in enumerate(order)}
        cache: dict[Owners, tuple[int, ...]] = {}
        for owners in self.owners:
            if owners not in cache:
                cache[owners] = tuple(position[node] for node in owners[: self.copies])
        return tuple(cache[owners] for owners in self.owners)

    def flags(self, node: NodeId, copies: int | None = None) -> bytes:
        """16384 bytes for ``Table.set_slots``: what ``node`` may answer inline.

        A slot is SOLE only while no other node is to get its writes: in a joint document the
        owners to be count too. ``copies`` None: N of the default keyspace.
        """
        wanted = self.copies if copies is None else copies
        alone = (node,)
        flags = bytearray(SLOTS_COUNT)
        for slots in self.groups:
            slot = slots[0]
            owners = self.owners[slot]
            following = owners if self.owners_next is None else self.owners_next[slot]
            flag = SLOT_CLOSED
            if node in owners[:wanted]:
                flag = SLOT_READ | (SLOT_FIRST if owners[0] == node else 0)
                if owners[:wanted] == alone and following[:wanted] == alone:
                    flag |= SLOT_SOLE
            mark(flags, slots, flag)
        return bytes(flags)


@lru_cache(maxsize=4)
def _compile(topology: Topology, resolver: Resolver | None) -> SlotMap:
    """Remembered, because several rooms of a node ask for the map of the document in force."""
    return SlotMap(topology, resolver)


def alike(before: SlotMap | None, now: SlotMap) -> Groups:
    """Slots that have the same owners in both maps."""
    if before is None or before is now:
        return now.groups
    if now.merged is None or now.merged[0] is not before:
        now.merged = before, merge(before.groups, now.groups)
        # One step back is all that is asked for: older maps must not be kept alive.
        before.merged = None
    return now.merged[1]


def trim(table: OwnerTable, copies: int) -> OwnerTable:
    """The table for a smaller number of copies; the same object when nothing is cut."""
    if all(len(owners) <= copies for owners in table):
        return table
    cache: dict[Owners, Owners] = {}
    return tuple(cache.setdefault(owners, owners[:copies]) for owners in table)


def place(
    members: Sequence[Member],
    ring: RingSettings,
    assigned: bytes,
    copies: int,
    resolver: Resolver | None = None,
) -> OwnerTable:
    """Owners by the ring, or those that the document assigns directly (``assigned`` not empty).

    Raises:
        InvalidTopology: the ring hash or the assignment can't be used.
    """
    if assigned:
        table = assignment.decode(assigned)
        _check_owners(table, members)
        return table
    placed = tuple((m.node_id, m.zone, m.weight, m.ring_name) for m in members)
    return _place_on_ring(placed, ring.vnodes, ring.hash, copies, resolver)


@lru_cache(maxsize=8)
def _place_on_ring(
    placed: tuple[tuple[NodeId, str, float, str], ...],
    vnodes: int,
    hash_name: str,
    copies: int,
    resolver: Resolver | None,
) -> OwnerTable:
    members = [_placed_member(*entry) for entry in placed]
    return assign(members, vnodes, make_hash(hash_name, resolver), copies)


def _placed_member(node_id: NodeId, zone: str, weight: float, ring_name: str) -> Member:
    """A member as far as placement cares; addresses and voting don't change owners."""
    return Member(node_id, Addresses("", "", ""), zone, weight, ring_name=ring_name)


def _check_owners(table: OwnerTable, members: Iterable[Member]) -> None:
    known = {member.node_id for member in members}
    strangers = sorted(set(owners_in(table)) - known)
    if strangers:
        raise InvalidTopology(f"slots are assigned to {', '.join(strangers)}: not a member")


def _default_keyspace(keyspaces: Sequence[Keyspace]) -> Keyspace:
    for keyspace in keyspaces:
        if keyspace.pattern == DEFAULT_PATTERN:
            return keyspace
    raise InvalidTopology("no default keyspace (pattern *)")
