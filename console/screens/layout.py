"""Where panels stand at a size: a pure function from columns and rows to rectangles.

Four classes: *tiny* (under 80x24, from 60x20: no ring, no heat map), *narrow* (80x24), *wide*
(120x30: boxes, no tall event panel), *huge* (160x45: the wall). Zoom gives the whole body to one
panel. A bar covers the last rows of the body; the ring stays in view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from console.view_models.scene import Panel

WIDTH_MIN: Final = 60
HEIGHT_MIN: Final = 20


class Rect(NamedTuple):
    """A rectangle in cells."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Place:
    """A panel's rectangle and how it is framed."""

    rect: Rect
    frame: str
    """``box`` (all sides), ``rule`` (a line above), ``none``."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All places at a size."""

    size_class: str
    """``small`` (below the minimum), ``tiny``, ``narrow``, ``wide`` or ``huge``."""
    panels: dict[Panel, Place]
    bar: Rect
    """Where a bottom bar goes when one is open; over the end of the body."""
    context: Rect | None
    footer: Rect
    strip: Rect | None = None
    """Where a scenario's progress goes."""


def size_class(width: int, height: int) -> str:
    """The class of a size."""
    if width < WIDTH_MIN or height < HEIGHT_MIN:
        return "small"
    if width < 80 or height < 24:
        return "tiny"
    if width < 120 or height < 30:
        return "narrow"
    return "huge" if width >= 150 and height >= 42 else "wide"


STRIP_ROWS: Final = {"tiny": 3, "narrow": 3, "wide": 5, "huge": 6}
"""Rows of a scenario's strip by class of size."""


def plan(
    width: int, height: int, members: int, zoomed: Panel | None, *, scenario: bool = False
) -> Plan:
    """Places for a screen of ``width`` x ``height`` with ``members`` nodes."""
    kind = size_class(width, height)
    footer = Rect(0, height - 1, width, 1)
    has_context = kind in ("wide", "huge") or height >= 26
    context = Rect(0, height - 2, width, 1) if has_context else None
    bottom = height - (2 if has_context else 1)
    bar_rows = 6 if kind in ("wide", "huge") else 5
    bar = Rect(0, max(height - bar_rows - (1 if has_context else 0), 1), width, bar_rows)
    if kind == "small":
        return Plan(kind, {}, bar, None, footer)
    strip_rows = STRIP_ROWS[kind] if scenario else 0
    strip = Rect(0, 1, width, strip_rows) if scenario else None
    body = Rect(0, 1 + strip_rows, width, bottom - 1 - strip_rows)
    if zoomed is not None:
        frame = "box" if kind in ("wide", "huge") else "rule"
        panels = {zoomed: Place(body, frame)}
    elif kind == "tiny":
        panels = _tiny(body, members)
    elif kind == "narrow":
        panels = _narrow(body, members)
    elif kind == "wide":
        panels = _wide(body, members)
    else:
        panels = _huge(body, members)
    return Plan(kind, panels, bar, context, footer, strip)


def _tiny(body: Rect, members: int) -> dict[Panel, Place]:
    nodes = min(members + 2, max(body.height - 9, 4))
    events = 4 if body.height - nodes > 8 else 3
    breakers = body.height - nodes - events
    y = body.y + nodes
    return {
        Panel.NODES: Place(Rect(0, body.y, body.width, nodes), "rule"),
        Panel.BREAKERS: Place(Rect(0, y, body.width, breakers), "rule"),
        Panel.EVENTS: Place(Rect(0, y + breakers, body.width, events), "rule"),
    }


def _narrow(body: Rect, members: int) -> dict[Panel, Place]:
    ring_width = min(28, body.width // 3)
    events = 3 if body.height < 26 else 5
    heat = max((body.height - events) // 3 - 1, 6)
    top = body.height - events - heat
    # The table's foot gives way before a row of the matrix does.
    nodes = min(max(min(members + 2, top - members - 2), members + 1), max(top - 6, 3))
    right = body.width - ring_width
    return {
        Panel.RING: Place(Rect(0, body.y, ring_width, top), "none"),
        Panel.NODES: Place(Rect(ring_width, body.y, right, nodes), "none"),
        Panel.BREAKERS: Place(Rect(ring_width, body.y + nodes, right, top - nodes), "rule"),
        Panel.HEAT: Place(Rect(0, body.y + top, body.width, heat), "rule"),
        Panel.EVENTS: Place(Rect(0, body.y + top + heat, body.width, events), "rule"),
    }


def _wide(body: Rect, members: int) -> dict[Panel, Place]:
    events = 5
    heat = max((body.height - events) * 2 // 5, 8)
    top = body.height - events - heat
    ring_width = min(top * 2 + 2, body.width * 3 // 10)
    breakers = min(max(members * 3 + 12, 30), body.width * 3 // 10)
    nodes = body.width - ring_width - breakers
    return {
        Panel.RING: Place(Rect(0, body.y, ring_width, top), "box"),
        Panel.NODES: Place(Rect(ring_width, body.y, nodes, top), "box"),
        Panel.BREAKERS: Place(Rect(ring_width + nodes, body.y, breakers, top), "box"),
        Panel.HEAT: Place(Rect(0, body.y + top, body.width, heat), "box"),
        Panel.EVENTS: Place(Rect(0, body.y + top + heat, body.width, events), "box"),
    }


def _huge(body: Rect, members: int) -> dict[Panel, Place]:
    events_width = max(body.width * 22 // 100, 36)
    left = body.width - events_width
    heat = max(body.height * 35 // 100, 14)
    top = body.height - heat
    ring_width = min(top * 2 + 2, left * 42 // 100)
    middle = left - ring_width
    nodes = min(members + 5, max(top - 10, 6))
    return {
        Panel.RING: Place(Rect(0, body.y, ring_width, top), "box"),
        Panel.NODES: Place(Rect(ring_width, body.y, middle, nodes), "box"),
        Panel.BREAKERS: Place(Rect(ring_width, body.y + nodes, middle, top - nodes), "box"),
        Panel.HEAT: Place(Rect(0, body.y + top, left, heat), "box"),
        Panel.EVENTS: Place(Rect(left, body.y, events_width, body.height), "box"),
    }
