"""The consistent-hash ring: who owns each slot, and how evenly.

Slot s stands at s/16384 of a circle of 2**64 points. A node has ``vnodes x weight`` tokens at
H(node_id + "#" + index); the owners of a slot are the first distinct nodes clockwise from it, nodes
of zones not met yet before the others. Since tokens depend on the node alone, adding a node moves
slots only to it and removing one moves only what it had, in every zone layout.

The walk is done once per run of slots between two tokens; a look-up is then one index. Direct
assignment, for evenness, is in ``even``.

Sources: Karger et al., "Consistent hashing and random trees"; DeCandia et al., "Dynamo", 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from nodecore.ids import SLOTS_COUNT, NodeId
from nodecore.placement.hashing import RingHash
from nodecore.placement.topology import Member

Owners: TypeAlias = tuple[NodeId, ...]
OwnerTable: TypeAlias = tuple[Owners, ...]
"""16384 owner tuples, first owner first."""

_SLOT_SHIFT: Final = 64 - (SLOTS_COUNT - 1).bit_length()


def tokens_count(member: Member, vnodes: int) -> int:
    """Tokens of a member: at least one, so that every member can be found."""
    return max(1, round(vnodes * member.weight))


def make_tokens(
    members: Sequence[Member], vnodes: int, ring_hash: RingHash
) -> list[tuple[int, NodeId]]:
    """All tokens as (point, node), in order of the circle; equal points in order of the node ids."""
    tokens = [
        (ring_hash(f"{member.ring_name or member.node_id}#{index}".encode()), member.node_id)
        for member in members
        for index in range(tokens_count(member, vnodes))
    ]
    tokens.sort()
    return tokens


def assign(members: Sequence[Member], vnodes: int, ring_hash: RingHash, copies: int) -> OwnerTable:
    """Owners of every slot, ``copies`` of them or as many as there are members.

    A prefix of an owner tuple is what a smaller number of copies would give.
    """
    if not members or copies < 1:
        return ((),) * SLOTS_COUNT
    tokens = make_tokens(members, vnodes, ring_hash)
    nodes = [node for _, node in tokens]
    zone_of = {member.node_id: member.zone for member in members}
    zones = len(dict.fromkeys(zone_of.values()))
    wanted = min(copies, len(members))
    table: list[Owners] = []
    for index, (point, _) in enumerate(tokens):
        # A token serves the slots that stand behind the token before it, up to itself.
        run = (point >> _SLOT_SHIFT) + 1 - len(table)
        if run > 0:
            table.extend([_walk(nodes, index, wanted, zone_of, zones)] * run)
    if len(table) < SLOTS_COUNT:
        first = _walk(nodes, 0, wanted, zone_of, zones)
        table.extend([first] * (SLOTS_COUNT - len(table)))
    return tuple(table)


def _walk(
    nodes: Sequence[NodeId],
    start: int,
    wanted: int,
    zone_of: dict[NodeId, str],
    zones: int,
) -> Owners:
    """First ``wanted`` distinct nodes clockwise from a token, those of new zones before the rest."""
    heads: dict[NodeId, None] = {}
    others: dict[NodeId, None] = {}
    zones_met: dict[str, None] = {}
    heads_wanted = min(wanted, zones)
    size = len(nodes)
    for step in range(size):
        index = start + step
        node = nodes[index if index < size else index - size]
        if node in heads or node in others:
            continue
        zone = zone_of[node]
        if zone in zones_met:
            others[node] = None
        else:
            zones_met[zone] = None
            heads[node] = None
        if len(heads) >= heads_wanted and len(heads) + len(others) >= wanted:
            break
    return (*heads, *others)[:wanted]


@dataclass(frozen=True, slots=True)
class ShareStatistics:
    """How evenly a table spreads its slots."""

    primary_share: tuple[tuple[NodeId, float], ...]
    """Node, share of all slots as first owner; ordered by node id."""
    copies_share: tuple[tuple[NodeId, float], ...]
    """Node, share of all copies."""
    primary_max_over_mean: float
    """Worst node against its fair share by weight, as first owner; 1 = even."""
    copies_max_over_mean: float


def owners_in(table: OwnerTable) -> list[NodeId]:
    """Everybody who owns anything, in order of names."""
    return sorted(set().union(*set(table)))


def share_statistics(table: OwnerTable, members: Sequence[Member]) -> ShareStatistics:
    """Shares of every member and the worst excess over the fair share."""
    primaries = {member.node_id: 0 for member in members}
    copies = dict(primaries)
    for owners in table:
        if owners:
            primaries[owners[0]] += 1
        for node in owners:
            copies[node] += 1
    return ShareStatistics(
        primary_share=_shares(primaries),
        copies_share=_shares(copies),
        primary_max_over_mean=_excess(primaries, members),
        copies_max_over_mean=_excess(copies, members),
    )


def _shares(counts: dict[NodeId, int]) -> tuple[tuple[NodeId, float], ...]:
    total = max(1, sum(counts.values()))
    return tuple((node, counts[node] / total) for node in sorted(counts))


def _excess(counts: dict[NodeId, int], members: Sequence[Member]) -> float:
    total = sum(counts.values())
    weights = sum(member.weight for member in members)
    if total == 0 or weights <= 0:
        return 1.0
    return max(counts[m.node_id] / (total * m.weight / weights) for m in members)
