"""The circle cut into arcs: who owns each, what moves, where letters stand; and which cells carry letters.

Decides what is drawn, not how. Letters stand at the middle of a run of arcs of one owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from console.view_models.ring import (
    NOBODY,
    RingGeometry,
    arc_owners,
    ring_geometry,
    slice_owners,
    slot_position,
    slot_to_slice,
)
from console.view_models.scene import Scene
from nodecore.ids import SLOTS_COUNT

LETTERED_ARCS_MIN: Final = 3
"""A shorter run of one owner has no room for its letter."""
ROWS_PER_LETTER: Final = 12

Owners = Sequence[Sequence[int]]
"""Per slot its owners as indexes into the members."""


@dataclass(slots=True)
class Arc:
    """One arc of the circle, as it is drawn."""

    owner: int
    dotted: bool = False
    suspect: bool = False
    """Its owner is suspected by peers, and still serves as far as anybody knows."""
    next_owner: int = NOBODY
    """Owner to be, when it differs."""
    letter: bool = False
    """The middle of a run of one owner."""
    located: bool = False


def ring_arcs(scene: Scene, count: int, mode: str) -> list[Arc]:
    """The circle cut into ``count`` arcs, in the given mode."""
    snapshot, ring = scene.model.snapshot, scene.model.ring
    if snapshot.owners is None or ring.shares is None:
        return []
    following = scene.owners_next()
    if mode == "slices":
        arcs = [Arc(owner) for owner in slice_owners(ring.shares, count)]
    else:
        arcs = [Arc(owner) for owner in ring.arcs(count)]
    suspects = {i for i, node in enumerate(scene.model.rows) if node.state == "suspect"}
    for arc in arcs:
        arc.dotted = arc.owner != NOBODY and arc.owner not in scene.model.live
        arc.suspect = arc.owner in suspects
    if mode != "slices":
        _dot_moved(scene, arcs)
        if following is not None:
            coming = arc_owners(following, count)
            for arc, owner in zip(arcs, coming, strict=True):
                arc.next_owner = owner if owner != arc.owner else NOBODY
    elif following is not None:
        _hatch_slices(snapshot.owners, following, arcs)
    _place_letters(arcs)
    _place_key(scene, arcs, mode)
    return arcs


def _dot_moved(scene: Scene, arcs: list[Arc]) -> None:
    age = scene.model.ring.moved_age(scene.model.snapshot.at_wall_ms)
    if age is None:
        return
    total = len(arcs)
    # Fading: first all moved arcs are dotted, then every second, then every fourth.
    stride = 1 if age < 0.4 else 2 if age < 0.7 else 4
    touched = dict.fromkeys(slot * total // SLOTS_COUNT for slot in sorted(scene.model.ring.moved))
    for arc in touched:
        if arc % stride == 0:
            arcs[arc].dotted = True


def _hatch_slices(owners: Owners, following: Owners, arcs: list[Arc]) -> None:
    """In slices mode the end of a giver's slice is hatched, as long as what it gives."""
    gives: dict[tuple[int, int], int] = {}
    for now, then in zip(owners, following, strict=True):
        if now and then and now[0] != then[0]:
            gives[now[0], then[0]] = gives.get((now[0], then[0]), 0) + 1
    for (giver, taker), slots in sorted(gives.items()):
        wanted = round(slots * len(arcs) / SLOTS_COUNT)
        for arc in reversed(arcs):
            if wanted > 0 and arc.owner == giver and arc.next_owner == NOBODY:
                arc.next_owner = taker
                wanted -= 1


def _place_letters(arcs: list[Arc]) -> None:
    start = 0
    for index in range(1, len(arcs) + 1):
        if index == len(arcs) or arcs[index].owner != arcs[start].owner:
            if index - start >= LETTERED_ARCS_MIN:
                arcs[(start + index) // 2].letter = True
            start = index


def _place_key(scene: Scene, arcs: list[Arc], mode: str) -> None:
    located = scene.choices.located
    owners = scene.model.snapshot.owners
    shares = scene.model.ring.shares
    if located is None or not arcs or owners is None or shares is None:
        return
    turn = slot_position(located.slot)
    first = owners[located.slot]
    if mode == "slices" and first:
        turn = slot_to_slice(first[0], located.slot, owners, shares)
    arcs[min(int(turn * len(arcs)), len(arcs) - 1)].located = True


@lru_cache(maxsize=32)
def _whole_cells(rows: int) -> tuple[tuple[int, int, int, int], ...]:
    """(x, y, upper arc, lower arc) of the cells that lie on the ring with both pixels."""
    geometry = ring_geometry(rows)
    return tuple(
        (x, y, geometry.outer[2 * y][x], geometry.outer[2 * y + 1][x])
        for y in range(geometry.rows)
        for x in range(geometry.columns)
        if geometry.outer[2 * y][x] >= 0 and geometry.outer[2 * y + 1][x] >= 0
    )


def letter_cells(geometry: RingGeometry, arcs: Sequence[Arc]) -> set[tuple[int, int]]:
    """(x, y) of the cells next to the middle of each run: a pixel of its own has no room for a letter."""
    middle_of: dict[int, int] = {}
    """Arc -> the middle of its run."""
    middle = None
    start = 0
    for index in range(len(arcs) + 1):
        if index == len(arcs) or arcs[index].owner != arcs[start].owner:
            if middle is not None:
                middle_of.update(dict.fromkeys(range(start, index), middle))
            start, middle = index, None
        if index < len(arcs) and arcs[index].letter:
            middle = index
    found: dict[int, list[tuple[int, int, int]]] = {}
    for x, y, upper, lower in _whole_cells(geometry.rows):
        centre = middle_of.get(upper)
        if centre is not None and centre == middle_of.get(lower):
            distance = abs(upper - centre) + abs(lower - centre)
            found.setdefault(centre, []).append((distance, x, y))
    count = 1 + geometry.rows // ROWS_PER_LETTER
    return {(x, y) for cells in found.values() for _, x, y in sorted(cells)[:count]}
