"""What the storage of each node looks like: memory, disk, what was given up and why.

Figures are those of the last statistics of a node that answers; those of a node that is down or has
fallen silent are unknown, never zero. Ratios are over the time since the node's process started.
Decides nothing about drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from console.source import ClusterSnapshot, MemberRow
from console.view_models.nodes import DOWN_STATES, STATISTICS_STALE_S, state_word
from nodecore.statistics import NodeStatistics

LOST_CAUSES: Final = ("size", "ordered", "forced", "disk")
"""Causes by which a node loses entries for want of room; the others age, or live on elsewhere."""


@dataclass(frozen=True, slots=True)
class StorageRow:
    """One node; None: unknown, or it has no disk tier."""

    node_id: str
    letter: str
    keys: int | None
    memory_bytes: int | None
    memory_bytes_max: int | None
    hit_ratio: float | None
    """Of the reads that this node answered, on whatever tier the value was."""
    lost: int | None
    """Entries given up for want of room."""
    policy: str
    keys_cold: int | None
    disk_bytes: int | None
    disk_hit_ratio: float | None
    """Of the lookups that went to the disk."""
    promotions: int | None
    write_backs: int | None
    damaged: int | None
    """Records that did not match their checksum."""


def current_statistics(member: MemberRow) -> NodeStatistics | None:
    """A member's statistics while they describe it as it is now."""
    age_s = member.statistics_age_s
    if state_word(member) in DOWN_STATES or (age_s is not None and age_s > STATISTICS_STALE_S):
        return None
    return member.statistics


def ratio(part: int, rest: int) -> float | None:
    """``part`` of both; None without either."""
    return part / (part + rest) if part + rest > 0 else None


def lost_entries(evictions: dict[str, int]) -> int:
    """Those that were given up for want of room."""
    return sum(evictions.get(cause, 0) for cause in LOST_CAUSES)


def storage_rows(snapshot: ClusterSnapshot) -> list[StorageRow]:
    """All members in the snapshot's order."""
    return [_row(member, current_statistics(member)) for member in snapshot.members]


def chosen_member(members: Sequence[MemberRow], node_id: str) -> MemberRow | None:
    """The one under the cursor, else the first."""
    found = next((member for member in members if member.node_id == node_id), None)
    return found or (members[0] if members else None)


def _row(member: MemberRow, node: NodeStatistics | None) -> StorageRow:
    disk = node.disk if node is not None else None
    counted = disk.counters if disk is not None else None
    return StorageRow(
        node_id=member.node_id,
        letter=member.letter,
        keys=node.keys if node else None,
        memory_bytes=node.memory_bytes if node else None,
        memory_bytes_max=node.memory_bytes_max if node else None,
        hit_ratio=ratio(node.hits, node.misses) if node else None,
        lost=lost_entries(node.evictions) if node else None,
        policy=node.eviction_policy if node else "",
        keys_cold=disk.keys_cold if disk else None,
        disk_bytes=disk.bytes_used if disk else None,
        disk_hit_ratio=(
            ratio(counted.get("hits", 0), counted.get("misses", 0)) if counted is not None else None
        ),
        promotions=counted.get("promotions") if counted is not None else None,
        write_backs=counted.get("write_backs") if counted is not None else None,
        damaged=counted.get("checksum_failures") if counted is not None else None,
    )
