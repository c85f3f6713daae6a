"""The ring: slices, tokens or ribbon, with letters, dots for slots without a live owner, and marks.

Drawn with half-block pixels in the owners' colours where the terminal has them, with letters
elsewhere. Letters always stand at the middle of an arc, so no fact hangs on a hue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from console.formatting import clip, escape_text, percent
from console.painters.spans import Row, Span, centred, fit, row
from console.view_models.heat import band_of, group_bands, level, scale_top
from console.view_models.ring import (
    NOBODY,
    RingGeometry,
    arc_owners,
    ring_geometry,
    slice_owners,
    slot_position,
    slot_to_slice,
)
from console.view_models.scene import SHADES, Scene
from nodecore.ids import SLOTS_COUNT

RIBBON_ROWS_MAX: Final = 8


@dataclass(slots=True)
class Arc:
    """One arc of the circle, as it is drawn."""

    owner: int
    dotted: bool = False
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
    if mode == "slices":
        arcs = [Arc(owner) for owner in slice_owners(ring.shares, count)]
    else:
        arcs = [Arc(owner) for owner in ring.arcs(count)]
    for arc in arcs:
        arc.dotted = arc.owner != NOBODY and arc.owner not in scene.model.live
    if mode != "slices":
        _dot_moved(scene, arcs)
        if snapshot.owners_next is not None:
            coming = arc_owners(snapshot.owners_next, count)
            for arc, owner in zip(arcs, coming, strict=True):
                arc.next_owner = owner if owner != arc.owner else NOBODY
    elif scene.model.snapshot.owners_next is not None:
        _hatch_slices(scene, arcs)
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


def _hatch_slices(scene: Scene, arcs: list[Arc]) -> None:
    """In slices mode the end of a giver's slice is hatched, as long as what it gives."""
    snapshot = scene.model.snapshot
    assert snapshot.owners is not None
    assert snapshot.owners_next is not None
    gives: dict[tuple[int, int], int] = {}
    for now, then in zip(snapshot.owners, snapshot.owners_next, strict=True):
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
            if index - start >= 3:
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


def paint_ring(scene: Scene, width: int, height: int) -> list[Row]:
    """The ring in a rectangle."""
    if scene.model.ring.shares is None:
        text = "waiting for the ring" if not scene.model.snapshot.problem else "ring unknown"
        return [fit(row(centred(text, width)), width) for _ in range(1)]
    mode = scene.choices.ring_mode_name
    if mode == "ribbon":
        return paint_ribbon(scene, width, height)
    rows = min(height, width // 2)
    if rows < 5:
        return paint_ribbon(scene, width, height)
    geometry = ring_geometry(rows)
    arcs = ring_arcs(scene, geometry.arcs, mode)
    if scene.look.pixels:
        lines = [_pixel_line(scene, geometry, arcs, y) for y in range(rows)]
    else:
        lines = [_letter_line(scene, geometry, arcs, y) for y in range(rows)]
    _write_centre(scene, geometry, lines)
    margin = " " * max((width - geometry.columns) // 2, 0)
    top = (height - rows) // 2
    painted: list[Row] = [fit((), width) for _ in range(top)]
    painted.extend(fit((Span(margin), *line), width) for line in lines)
    return painted


def _letter_line(scene: Scene, geometry: RingGeometry, arcs: list[Arc], y: int) -> list[Span]:
    line = []
    for x in range(geometry.columns):
        arc = geometry.outer[2 * y][x]
        if arc < 0:
            arc = geometry.outer[2 * y + 1][x]
        if arc < 0:
            line.append(_shade_cell(scene, geometry, x, y))
        else:
            line.append(letter_cell(scene, arcs[arc]))
    return line


def _shade_cell(scene: Scene, geometry: RingGeometry, x: int, y: int) -> Span:
    arc = geometry.inner[2 * y][x]
    if arc < 0:
        arc = geometry.inner[2 * y + 1][x]
    if arc < 0 or scene.choices.ring_mode_name == "slices":
        return Span(" ")
    return Span(SHADES[_heat_level(scene, arc, geometry.arcs, len(SHADES))], "muted")


def letter_cell(scene: Scene, arc: Arc) -> Span:
    """One cell as a letter."""
    glyphs = scene.look.glyphs
    members = scene.model.snapshot.members
    if arc.located:
        return Span(glyphs.mark, "located")
    if arc.owner == NOBODY or arc.owner >= len(members):
        return Span(glyphs.moved, "muted")
    if arc.dotted:
        return Span(glyphs.moved, scene.owner_style(arc.owner))
    style = scene.owner_style(arc.owner)
    if members[arc.owner].node_id == scene.choices.cursor:
        style += "+bold"
    if arc.next_owner != NOBODY and arc.next_owner < len(members):
        return Span(members[arc.next_owner].letter.lower(), style)
    return Span(members[arc.owner].letter, style)


def _pixel_style(scene: Scene, arc: Arc | None) -> str:
    if arc is None or arc.owner == NOBODY:
        return "none"
    if arc.located:
        return "located"
    return scene.owner_style(arc.owner)


def _pixel_line(scene: Scene, geometry: RingGeometry, arcs: list[Arc], y: int) -> list[Span]:
    """One line of half-block pixels; letters and dots where a cell says something."""
    line: list[Span] = []
    for x in range(geometry.columns):
        upper, lower = geometry.outer[2 * y][x], geometry.outer[2 * y + 1][x]
        if upper < 0 and lower < 0:
            line.append(_heat_cell(scene, geometry, x, y))
            continue
        first = arcs[upper] if upper >= 0 else None
        second = arcs[lower] if lower >= 0 else None
        line.append(pixel_cell(scene, first, second, (x + y) % 2 == 0))
    return line


def pixel_cell(scene: Scene, first: Arc | None, second: Arc | None, even: bool) -> Span:
    """One cell of two pixels; ``even`` spaces the letters of the node under the cursor."""
    glyphs = scene.look.glyphs
    members = scene.model.snapshot.members
    arc = first or second
    assert arc is not None
    if any(part is not None and part.located for part in (first, second)):
        return Span(glyphs.mark, "located")
    if arc.owner == NOBODY or arc.owner >= len(members):
        return Span(glyphs.moved, "muted")
    style = scene.owner_style(arc.owner)
    if arc.dotted:
        return Span(glyphs.moved, style)
    whole = first is not None and second is not None
    member = members[arc.owner]
    chosen = member.node_id == scene.choices.cursor and even
    if whole and first is not None and (first.letter or chosen):
        return Span(member.letter, f"on-{style}+bold")
    if whole and arc.next_owner != NOBODY:
        return Span(glyphs.hatch, f"pair:{style}:{scene.owner_style(arc.next_owner)}")
    upper, lower = _pixel_style(scene, first), _pixel_style(scene, second)
    if lower == "none":
        return Span("▀", upper)
    if upper == "none":
        return Span("▄", lower)
    return Span("█", upper) if upper == lower else Span("▀", f"pair:{upper}:{lower}")


def _heat_level(scene: Scene, arc: int, arcs: int, levels: int) -> int:
    columns = scene.model.heat.columns
    if not columns or not columns[-1].bands:
        return 0
    bands = columns[-1].bands
    value = bands[band_of(arc * SLOTS_COUNT // arcs)]
    top = scene.choices.heat_top or scale_top([group_bands(bands, len(bands))])
    return level(value, top, levels)


def _heat_cell(scene: Scene, geometry: RingGeometry, x: int, y: int) -> Span:
    """The inner ring of heat; only where arcs stand for slots, which slices do not."""
    upper, lower = geometry.inner[2 * y][x], geometry.inner[2 * y + 1][x]
    if (upper < 0 and lower < 0) or scene.choices.ring_mode_name == "slices":
        return Span(" ")
    levels = scene.look.levels
    top = _heat_level(scene, upper, geometry.arcs, levels) if upper >= 0 else 0
    bottom = _heat_level(scene, lower, geometry.arcs, levels) if lower >= 0 else 0
    return Span("▀", f"heat:{top}:{bottom}")


def centre_lines(scene: Scene) -> list[str]:
    """The health summary in the ring's centre."""
    model = scene.model
    lines = [f"{model.summary.up} of {model.summary.total} up"]
    balance = model.ring.balance()
    if balance is not None:
        lines.append(f"max/min {balance:.2f}x")
    change = model.snapshot.change
    if change is not None:
        lines.append(f"{change.kind} {change.node_id}")
        slots = f"{change.slots_done}/{change.slots_total} slots"
        lines.append(slots if change.slots_total else change.state)
    elif model.ring.moved_age(model.snapshot.at_wall_ms) is not None:
        lines.append(f"{percent(len(model.ring.moved) / SLOTS_COUNT)} of ring moved")
    located = scene.choices.located
    if located is not None:
        letters = [model.letter_of(node_id) for node_id in located.owners]
        lines.append(f"key {escape_text(located.key, 14)}")
        lines.append(f"{located.slot}: {' '.join(letters)}")
    return lines


def _write_centre(scene: Scene, geometry: RingGeometry, lines: list[list[Span]]) -> None:
    texts = centre_lines(scene)
    room = max(geometry.rows // 2 - 1, 1)
    texts = texts[-room:] if scene.choices.located else texts[:room]
    start = (geometry.rows - len(texts)) // 2
    for offset, text in enumerate(texts):
        y = start + offset
        line = lines[y]
        free = [
            x
            for x in range(geometry.columns)
            if geometry.outer[2 * y][x] < 0
            and geometry.outer[2 * y + 1][x] < 0
            and geometry.inner[2 * y][x] < 0
            and geometry.inner[2 * y + 1][x] < 0
            and geometry.columns * 0.1 < x < geometry.columns * 0.9
        ]
        if not free:
            continue
        low, high = free[0], free[-1] + 1
        shown = clip(text, high - low)
        left = low + (high - low - len(shown)) // 2
        for position, character in enumerate(shown):
            line[left + position] = Span(character, "strong" if offset == 0 else "")


def paint_ribbon(scene: Scene, width: int, height: int) -> list[Row]:
    """The circle unrolled: every row continues the one above."""
    if height <= 0:
        return []
    rows_count = max(min(height - 1, RIBBON_ROWS_MAX), 1)
    margin = 6 if width >= 40 else 0
    cells = max(width - margin - 1, 1)
    pixels = 2 if scene.look.pixels else 1
    arcs = ring_arcs(scene, cells * rows_count * pixels, "tokens")
    rows: list[Row] = []
    for y in range(rows_count):
        start = y * cells * pixels
        slot = start * SLOTS_COUNT // max(len(arcs), 1)
        label = Span(f"{slot:>5} " if margin else "", "muted")
        spans = [label]
        for x in range(cells):
            if pixels == 1:
                spans.append(letter_cell(scene, arcs[start + x]))
            else:
                at = start + 2 * x
                spans.append(_ribbon_cell(scene, arcs[at], arcs[at + 1]))
        rows.append(fit(spans, width))
    summary = "   ".join(centre_lines(scene))
    rows.append(fit(row(Span(clip(" " * margin + summary, width), "muted")), width))
    return rows[:height]


def _ribbon_cell(scene: Scene, left: Arc, right: Arc) -> Span:
    glyphs = scene.look.glyphs
    members = scene.model.snapshot.members
    if left.located or right.located:
        return Span(glyphs.mark, "located")
    if left.owner == NOBODY or left.owner >= len(members):
        return Span(glyphs.moved, "muted")
    style = scene.owner_style(left.owner)
    if left.dotted:
        return Span(glyphs.moved, style)
    if left.letter or members[left.owner].node_id == scene.choices.cursor:
        return Span(members[left.owner].letter, f"on-{style}+bold")
    if left.next_owner != NOBODY:
        return Span(glyphs.hatch, f"pair:{style}:{scene.owner_style(left.next_owner)}")
    if right.owner == left.owner or right.owner == NOBODY:
        return Span("█", style)
    return Span("▌", f"pair:{style}:{scene.owner_style(right.owner)}")


def ring_title(scene: Scene, arcs: int) -> str:
    """What the panel's frame says on the right."""
    mode = scene.choices.ring_mode_name
    tokens = scene.model.ring.tokens_count
    if mode == "slices":
        return "v: slices"
    return (
        f"v: {mode}, {tokens} arcs in {arcs} px"
        if mode == "tokens"
        else f"v: {mode}, {tokens} arcs"
    )


def legend(scene: Scene) -> Sequence[Span]:
    """Letters in the owners' colours."""
    spans: list[Span] = []
    for index, member in enumerate(scene.model.snapshot.members):
        spans.append(Span(member.letter, scene.owner_style(index)))
        spans.append(Span(f" {member.node_id}  "))
    return spans
