"""The ring as the screen knows it: who owns which slot, what just moved, and where pixels stand.

Ownership comes from the snapshot's slot table, never from a second computation of the ring. Pixel
geometry (pixel -> slot) depends on the size alone and is cached, so that a frame is table look-ups.
Slot s stands at s/16384 of the circle, clockwise from the top.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from console.source import ClusterSnapshot
from nodecore.ids import SLOTS_COUNT

MODES: Final = ("slices", "tokens", "ribbon")
MOVED_SHOWN_MS: Final = 10_000
"""How long slots that changed hands stay dotted."""
NOBODY: Final = -1
ARCS_KEPT_MAX: Final = 8
"""Different numbers of arcs remembered: ring, ribbon and heat map at one or two sizes."""


@dataclass(slots=True)
class RingModel:
    """Ownership of the slots and its last change."""

    owners: tuple[tuple[int, ...], ...] | None = None
    primaries: tuple[str, ...] = ()
    """Node id of the first owner per slot; empty while unknown."""
    shares: tuple[float, ...] | None = None
    """Per member of the current snapshot, share of slots as first owner."""
    epoch: int | None = None
    moved: frozenset[int] = frozenset()
    """Slots whose first owner changed at the last change of epoch."""
    moved_at_ms: int = 0
    moved_to: tuple[tuple[str, float], ...] = ()
    """(node id, share it gained), largest first, of the last change."""
    tokens_count: int = 0
    """Arcs of one first owner: how finely the circle is cut."""
    member_ids: tuple[str, ...] = ()
    arcs_kept: dict[int, list[int]] = field(default_factory=dict)
    """Arcs by count, computed once per ownership."""

    def apply(self, snapshot: ClusterSnapshot) -> None:
        """Take a snapshot; cheap while ownership is the same object."""
        ids = tuple(member.node_id for member in snapshot.members)
        if snapshot.owners is None:
            return
        if snapshot.owners is self.owners and ids == self.member_ids:
            return
        primaries = tuple(
            ids[owners[0]] if owners and owners[0] < len(ids) else "" for owners in snapshot.owners
        )
        if self.primaries and primaries != self.primaries:
            self._note_move(primaries, snapshot.at_wall_ms)
        if primaries != self.primaries:
            self.tokens_count = sum(
                primaries[slot] != primaries[slot - 1] for slot in range(len(primaries))
            )
        self.arcs_kept = {}
        self.owners = snapshot.owners
        self.primaries = primaries
        self.epoch = snapshot.epoch
        self.member_ids = ids
        counts = dict.fromkeys(ids, 0)
        for node_id in primaries:
            if node_id:
                counts[node_id] += 1
        total = max(len(primaries), 1)
        self.shares = tuple(counts[node_id] / total for node_id in ids)

    def _note_move(self, primaries: tuple[str, ...], at_wall_ms: int) -> None:
        moved = [slot for slot, now in enumerate(primaries) if now != self.primaries[slot]]
        gains: dict[str, int] = {}
        for slot in moved:
            gains[primaries[slot]] = gains.get(primaries[slot], 0) + 1
        self.moved = frozenset(moved)
        self.moved_at_ms = at_wall_ms
        self.moved_to = tuple(
            (node_id, count / len(primaries))
            for node_id, count in sorted(gains.items(), key=lambda item: (-item[1], item[0]))
        )

    def arcs(self, count: int) -> list[int]:
        """First owners of ``count`` equal arcs; empty while ownership is unknown."""
        if self.owners is None:
            return []
        if count not in self.arcs_kept:
            if len(self.arcs_kept) >= ARCS_KEPT_MAX:
                self.arcs_kept.clear()
            self.arcs_kept[count] = arc_owners(self.owners, count)
        return self.arcs_kept[count]

    def moved_age(self, at_wall_ms: int) -> float | None:
        """0..1 of the fading time of the last move; None once it is over."""
        if not self.moved:
            return None
        age = (at_wall_ms - self.moved_at_ms) / MOVED_SHOWN_MS
        return age if 0 <= age < 1 else None

    def balance(self) -> float | None:
        """Largest over smallest share of those that own anything; None without owners."""
        owning = [share for share in self.shares or () if share > 0]
        return max(owning) / min(owning) if owning else None

    def clone(self) -> RingModel:
        """A copy that later snapshots do not reach."""
        return RingModel(
            self.owners,
            self.primaries,
            self.shares,
            self.epoch,
            self.moved,
            self.moved_at_ms,
            self.moved_to,
            self.tokens_count,
            self.member_ids,
        )


def owners_by_name(
    first_owners: Sequence[str], member_ids: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    """First owners as indexes into ``member_ids``; nodes that are still to come stand after them."""
    index = {node_id: position for position, node_id in enumerate(member_ids)}
    known = {
        node_id: (index.setdefault(node_id, len(index)),)
        for node_id in dict.fromkeys(first_owners)
        if node_id
    }
    return tuple(known.get(node_id, ()) for node_id in first_owners)


def arc_owners(owners: Sequence[Sequence[int]], arcs: int) -> list[int]:
    """First owner of the largest part of each of ``arcs`` equal arcs of the circle."""
    result = []
    total = len(owners)
    for arc in range(arcs):
        low = arc * total // arcs
        high = max((arc + 1) * total // arcs, low + 1)
        counts: dict[int, int] = {}
        for slot in range(low, high):
            first = owners[slot][0] if owners[slot] else NOBODY
            counts[first] = counts.get(first, 0) + 1
        result.append(max(counts, key=lambda owner: (counts[owner], -owner)))
    return result


def slice_owners(shares: Sequence[float], arcs: int) -> list[int]:
    """Arcs in the order of the members, each as long as its share: the *slices* mode."""
    result: list[int] = []
    reached = 0.0
    for index, share in enumerate(shares):
        reached += share
        target = round(reached * arcs)
        result.extend([index] * (target - len(result)))
    while len(result) < arcs:
        result.append(result[-1] if result else NOBODY)
    return result[:arcs]


def slot_to_slice(
    primary: int, slot: int, owners: Sequence[Sequence[int]], shares: Sequence[float]
) -> float:
    """Where a slot stands (0..1) when the circle is drawn as slices: inside its owner's slice."""
    start = sum(shares[:primary])
    before = sum(1 for other in owners[:slot] if other and other[0] == primary)
    return start + before / max(len(owners), 1)


@dataclass(frozen=True, slots=True)
class RingGeometry:
    """Pixels of a ring ``rows`` cells high: two pixels a cell, one above the other."""

    rows: int
    columns: int
    arcs: int
    """Arcs that the pixels tell apart."""
    outer: tuple[tuple[int, ...], ...]
    """[pixel row][column] -> arc, or -1 outside of the band."""
    inner: tuple[tuple[int, ...], ...]
    """The same for the one-pixel ring of heat inside; all -1 when there is no room."""


@lru_cache(maxsize=32)
def ring_geometry(rows: int) -> RingGeometry:
    """The geometry of a ring of a height; at least 5 rows."""
    rows = max(rows, 5)
    pixels = rows * 2
    radius = pixels / 2
    thickness = max(2.0, radius * 0.22)
    inner_radius = radius - thickness - 1.6
    arcs = max(16, round(2 * math.pi * (radius - thickness / 2)))
    outer: list[tuple[int, ...]] = []
    inner: list[tuple[int, ...]] = []
    for y in range(pixels):
        outer_row, inner_row = [], []
        for x in range(pixels):
            dx, dy = x + 0.5 - radius, y + 0.5 - radius
            distance = math.hypot(dx, dy)
            turn = (math.atan2(dx, -dy) / (2 * math.pi)) % 1.0
            arc = min(int(turn * arcs), arcs - 1)
            outer_row.append(arc if radius - thickness <= distance < radius else -1)
            on_heat = rows >= 15 and inner_radius - 0.5 <= distance < inner_radius + 0.5
            inner_row.append(arc if on_heat else -1)
        outer.append(tuple(outer_row))
        inner.append(tuple(inner_row))
    return RingGeometry(rows, pixels, arcs, tuple(outer), tuple(inner))


def slot_position(slot: int) -> float:
    """Where a slot stands on the circle, 0..1 clockwise from the top."""
    return slot / SLOTS_COUNT


def owner_letters(slot: int, owners: Sequence[Sequence[int]], letters: Sequence[str]) -> str:
    """Letters of all owners of a slot, the first one first."""
    return " ".join(letters[index] for index in owners[slot] if index < len(letters))
