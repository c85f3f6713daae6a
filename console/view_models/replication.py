"""How well the copies of the cluster's keys agree: hints, repairs, conflicts, and slots by live copies.

A slot's health is counted from the slot table and from who can serve now: it says how many owners
could answer, not that each of them holds every key. Figures of a node that is down or silent are
unknown, never zero. Decides nothing about drawing.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from console.source import ClusterSnapshot, MemberRow
from console.view_models.storage import current_statistics

NONE_LIVE: Final = 0
SOME_LIVE: Final = 1
ALL_LIVE: Final = 2


@dataclass(frozen=True, slots=True)
class ReplicationRow:
    """One node; None: unknown."""

    node_id: str
    letter: str
    hints: int | None
    """Writes that it keeps for owners that did not answer."""
    oldest_hint_s: float | None
    """How long the oldest of them has waited; None without any."""
    hints_sent: int | None
    hints_dropped: int | None
    repairs: int | None
    conflicts: int | None
    sloppy_writes: int | None
    degraded_reads: int | None
    slots_compared: int | None
    slots_differed: int | None

    @property
    def agreement(self) -> float | None:
        """Share of the compared slots whose digests were equal; None: none was compared."""
        if not self.slots_compared or self.slots_differed is None:
            return None
        return max(0.0, 1 - self.slots_differed / self.slots_compared)


@dataclass(frozen=True, slots=True)
class SlotHealth:
    """Slots by how many of their copies have an owner that can serve."""

    states: bytes
    """One of the three states for each slot."""
    all_live: int
    some_live: int
    none_live: int
    least: int
    """Live copies of the slot that has fewest."""
    moving: int
    """Slots whose owners change in the joint epoch."""

    def bands(self, count: int) -> tuple[int, ...]:
        """The worst state in each of ``count`` equal bands of slots, 1 up to as many as slots."""
        total = len(self.states)
        cuts = [index * total // count for index in range(count + 1)]
        return tuple(min(self.states[first:last]) for first, last in pairwise(cuts))


def replication_rows(snapshot: ClusterSnapshot) -> list[ReplicationRow]:
    """All members in the snapshot's order."""
    return [_row(member) for member in snapshot.members]


def slot_health(snapshot: ClusterSnapshot, live: Container[int]) -> SlotHealth | None:
    """None while no slot table is known."""
    owners = snapshot.owners
    if not owners:
        return None
    counted: dict[tuple[int, ...], tuple[int, int]] = {}
    states = bytearray(len(owners))
    least = len(snapshot.members)
    for slot, holders in enumerate(owners):
        found = counted.get(holders)
        if found is None:
            found = counted[holders] = _standing(holders, live, snapshot.replicas)
        states[slot], copies = found
        least = min(least, copies)
    following = snapshot.owners_next
    moving = 0
    if following is not None:
        moving = sum(now != then for now, then in zip(owners, following, strict=False))
    return SlotHealth(
        states=bytes(states),
        all_live=states.count(ALL_LIVE),
        some_live=states.count(SOME_LIVE),
        none_live=states.count(NONE_LIVE),
        least=least,
        moving=moving,
    )


def _standing(
    holders: Sequence[int], live: Container[int], replicas: int | None
) -> tuple[int, int]:
    """(state, live copies) of a slot with these owners."""
    copies = sum(holder in live for holder in holders)
    if copies == 0:
        return NONE_LIVE, 0
    wanted = max(len(holders), replicas or 0)
    return (ALL_LIVE if copies >= wanted else SOME_LIVE), copies


def _row(member: MemberRow) -> ReplicationRow:
    node = current_statistics(member)
    counters = node.counters if node is not None else {}
    return ReplicationRow(
        node_id=member.node_id,
        letter=member.letter,
        hints=node.hints_queued if node else None,
        oldest_hint_s=node.hints_oldest_s if node and node.hints_queued else None,
        hints_sent=node.hints_sent if node else None,
        hints_dropped=node.hints_dropped if node else None,
        repairs=node.repairs if node else None,
        conflicts=node.conflicts if node else None,
        sloppy_writes=node.sloppy_writes if node else None,
        degraded_reads=node.degraded_reads if node else None,
        slots_compared=counters.get("sync_slots_compared"),
        slots_differed=counters.get("sync_slots_differed"),
    )
