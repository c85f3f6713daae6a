"""The ring: slices, tokens or ribbon, with letters, dots for slots without a live owner, and marks.

Drawn with half-block pixels in the owners' colours where the terminal has them, with letters
elsewhere. Letters always stand at the middle of an arc, so no fact hangs on a hue.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from console.formatting import clip, escape_text, percent, plural
from console.painters.ring_arcs import Arc, letter_cells, ring_arcs
from console.painters.spans import Row, Span, centred, fit, row
from console.view_models.heat import band_of, group_bands, level, scale_top
from console.view_models.ring import NOBODY, RingGeometry, ring_geometry
from console.view_models.scene import SHADES, Scene
from nodecore.ids import SLOTS_COUNT

RIBBON_ROWS_MAX: Final = 8
TROUBLES_MAX: Final = 2
"""Nodes that are not well and are named in the ring's centre."""
SUSPECT: Final = "?"
NEWCOMER: Final = "+"
"""Stands for an owner to be that is no member yet."""


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
    if mode != "slices":
        return _paint_circle(scene, geometry, arcs, width, height)
    # Without heat in it the circle seldom changes, and it is made of a thousand cells.
    key = _slices_key(scene, arcs, width, height)
    kept = scene.slices_kept
    if kept is None or kept[0] != key:
        kept = scene.slices_kept = (key, _paint_circle(scene, geometry, arcs, width, height))
    return list(kept[1])


def _slices_key(scene: Scene, arcs: list[Arc], width: int, height: int) -> tuple[object, ...]:
    """All that a circle of slices shows."""
    members = [(member.node_id, member.letter) for member in scene.model.snapshot.members]
    return (
        width,
        height,
        scene.look,
        scene.choices.cursor,
        scene.choices.located,
        members,
        arcs,
        centre_lines(scene),
    )


def _paint_circle(
    scene: Scene, geometry: RingGeometry, arcs: list[Arc], width: int, height: int
) -> list[Row]:
    rows = geometry.rows
    if scene.look.pixels:
        lettered = letter_cells(geometry, arcs)
        lines = [_pixel_line(scene, geometry, arcs, lettered, y) for y in range(rows)]
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
            line.append(letter_cell(scene, arcs[arc], (x + y) % 2 == 0))
    return line


def _shade_cell(scene: Scene, geometry: RingGeometry, x: int, y: int) -> Span:
    arc = geometry.inner[2 * y][x]
    if arc < 0:
        arc = geometry.inner[2 * y + 1][x]
    if arc < 0 or scene.choices.ring_mode_name == "slices":
        return Span(" ")
    return Span(SHADES[_heat_level(scene, arc, geometry.arcs, len(SHADES))], "muted")


def letter_cell(scene: Scene, arc: Arc, even: bool) -> Span:
    """One cell as a letter; ``even`` spaces the signs of a suspect."""
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
    if arc.suspect and even:
        return Span(SUSPECT, style)
    if arc.next_owner != NOBODY:
        known = arc.next_owner < len(members)
        return Span(members[arc.next_owner].letter.lower() if known else NEWCOMER, style)
    return Span(members[arc.owner].letter, style)


def _pixel_style(scene: Scene, arc: Arc | None) -> str:
    if arc is None or arc.owner == NOBODY:
        return "none"
    if arc.located:
        return "located"
    return scene.owner_style(arc.owner)


def _pixel_line(
    scene: Scene,
    geometry: RingGeometry,
    arcs: list[Arc],
    lettered: Container[tuple[int, int]],
    y: int,
) -> list[Span]:
    """One line of half-block pixels; letters and dots where a cell says something."""
    line: list[Span] = []
    for x in range(geometry.columns):
        upper, lower = geometry.outer[2 * y][x], geometry.outer[2 * y + 1][x]
        if upper < 0 and lower < 0:
            line.append(_heat_cell(scene, geometry, x, y))
            continue
        first = arcs[upper] if upper >= 0 else None
        second = arcs[lower] if lower >= 0 else None
        letter = (x, y) in lettered
        line.append(pixel_cell(scene, first, second, letter, (x + y) % 2 == 0))
    return line


def pixel_cell(
    scene: Scene, first: Arc | None, second: Arc | None, letter: bool, even: bool
) -> Span:
    """One cell of two pixels; ``even`` spaces the letters of the cursor's node, and a suspect's signs."""
    glyphs = scene.look.glyphs
    members = scene.model.snapshot.members
    arc = first or second
    assert arc is not None
    if any(part is not None and part.located for part in (first, second)):
        return Span(glyphs.mark, "located")
    if arc.owner == NOBODY or arc.owner >= len(members):
        return Span(glyphs.moved, "muted")
    style = scene.owner_style(arc.owner)
    member = members[arc.owner]
    if arc.dotted:
        return Span(member.letter, f"{style}+bold") if letter else Span(glyphs.moved, style)
    whole = first is not None and second is not None
    chosen = whole and even and member.node_id == scene.choices.cursor
    if arc.suspect and even and not letter:
        return Span(SUSPECT, f"on-{style}+bold")
    if letter or chosen:
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
    """The health summary in the ring's centre: what is wrong or moves before what is well."""
    model = scene.model
    lines = [f"{model.summary.up} of {model.summary.total} up", *_trouble_lines(scene)]
    change = model.snapshot.change
    if change is not None:
        lines.append(f"{change.kind} {change.node_id}")
        slots = f"{change.slots_done}/{change.slots_total} slots"
        lines.append(slots if change.slots_total else change.state)
    elif scene.preview is not None:
        gained = sum(max(share, 0.0) for _, share in scene.preview.share_from)
        lines.append(f"{percent(gained, 1)} would move")
    elif model.ring.moved_age(model.snapshot.at_wall_ms) is not None:
        lines.append(f"{percent(len(model.ring.moved) / SLOTS_COUNT)} of ring moved")
    balance = model.ring.balance()
    if balance is not None:
        lines.append(f"max/min {balance:.2f}x")
    located = scene.choices.located
    if located is not None:
        letters = [model.letter_of(node_id) for node_id in located.owners]
        lines.append(f"key {escape_text(located.key, 14)}")
        lines.append(f"{located.slot}: {' '.join(letters)}")
    return lines


def _trouble_lines(scene: Scene) -> list[str]:
    """``C n3 DOWN (4 peers)``: state, and how many peers think so by themselves."""
    troubled = [row for row in scene.model.rows if row.state not in ("up", "left")]
    lines = []
    for node in troubled[:TROUBLES_MAX]:
        peers = f" ({plural(len(node.suspected_by), 'peer')})" if node.suspected_by else ""
        lines.append(f"{node.letter} {node.node_id} {node.state}{peers}")
    if len(troubled) > TROUBLES_MAX:
        lines[-1] = f"and {len(troubled) - TROUBLES_MAX + 1} more"
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
                spans.append(letter_cell(scene, arcs[start + x], x % 2 == 0))
            else:
                at = start + 2 * x
                spans.append(_ribbon_cell(scene, arcs[at], arcs[at + 1], x % 2 == 0))
        rows.append(fit(spans, width))
    summary = "   ".join(centre_lines(scene))
    rows.append(fit(row(Span(clip(" " * margin + summary, width), "muted")), width))
    return rows[:height]


def _ribbon_cell(scene: Scene, left: Arc, right: Arc, even: bool) -> Span:
    glyphs = scene.look.glyphs
    members = scene.model.snapshot.members
    if left.located or right.located:
        return Span(glyphs.mark, "located")
    if left.owner == NOBODY or left.owner >= len(members):
        return Span(glyphs.moved, "muted")
    style = scene.owner_style(left.owner)
    if left.dotted:
        return Span(glyphs.moved, style)
    letter = left.letter or (right.letter and right.owner == left.owner)
    if left.suspect and even and not letter:
        return Span(SUSPECT, f"on-{style}+bold")
    if letter or members[left.owner].node_id == scene.choices.cursor:
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
