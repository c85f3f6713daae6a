"""Everything around the panels: the verdict line, the context line, the footer and the frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from console.actions import ACTIONS, Action, blocked_reason, first_key
from console.formatting import (
    clip,
    clock,
    duration,
    escape_text,
    milliseconds,
    number,
    percent,
)
from console.painters.events import load_text
from console.painters.spans import Row, Span, fit, row_width
from console.view_models.scene import Glyphs, Scene

ERRORS_BAD: Final = 0.01
"""From this share of failed operations the figure is drawn as bad."""
ARRIVING: Final = ("joining", "booting", "outside", "leaving")
"""States of nodes that are not up and not in trouble either."""
FIRST_HINT: Final = (
    "x breaks things, H heals all, u undoes, ? shows every key: nothing here harms anything else"
)


def paint_header(scene: Scene, width: int) -> Row:
    """The verdict in one line; what matters least gives way first, the alarms never."""
    wide = width >= 110
    right = _header_alarms(scene, wide=wide)
    room = width - row_width(right)
    left: list[Span] = []
    for detail in (3, 2, 1, 0):
        left = _header_figures(scene, detail if wide else min(detail, 2))
        if row_width(left) <= room:
            break
    return fit((*fit(left, max(room, 0)), *right), width)


def _header_figures(scene: Scene, detail: int) -> list[Span]:
    """Detail 3: everything; 2: no vnodes, epoch and p50; 1: no title; 0: no hit ratio."""
    summary, snapshot = scene.model.summary, scene.model.snapshot
    parts: list[Span] = [Span(" RING ", "brand")]
    if detail >= 2:
        parts.append(Span(f" {escape_text(scene.title, 20)} ", "strong"))
    if not snapshot.sequence:
        return [*parts, Span("  waiting for the cluster", "muted")]
    unwell = [node for node in scene.model.rows if node.state not in (*ARRIVING, "up", "left")]
    style = "state-down+bold" if unwell else "state-up"
    parts.append(Span(f"  UP {summary.up}/{summary.total}", style))
    ring = f"   R{snapshot.replicas}" if snapshot.replicas is not None else ""
    if detail >= 3:
        ring += f" V{snapshot.vnodes}" if snapshot.vnodes is not None else ""
        ring += f" epoch {snapshot.epoch}" if snapshot.epoch is not None else ""
    hit = f"   hit {percent(summary.hit_ratio)}" if detail >= 1 else ""
    parts.append(Span(f"{ring}   {number(summary.ops)} op/s{hit}   "))
    bad = summary.errors_ratio is not None and summary.errors_ratio >= ERRORS_BAD
    parts.append(Span(f"err {percent(summary.errors_ratio)}", "state-down+bold" if bad else ""))
    p50 = f"p50 {milliseconds(summary.p50_ms)} " if detail >= 3 else ""
    parts.append(Span(f"   {p50}p99 {milliseconds(summary.p99_ms)}"))
    return parts


def _header_alarms(scene: Scene, *, wide: bool) -> list[Span]:
    """What is unusual, then refresh interval and time when there is room."""
    snapshot = scene.model.snapshot
    words: list[Span] = [Span(" ")]
    if scene.choices.frozen:
        words.append(Span(" FROZEN ", "alarm"))
    if snapshot.state == "joint":
        words.append(Span(" MOVING ", "brand"))
    if snapshot.problem:
        words.append(Span(" INCOMPLETE ", "alarm"))
    if scene.read_only:
        words.append(Span(" READ-ONLY ", "muted"))
    if snapshot.faults:
        count = len(snapshot.faults)
        text = f"{count} FAULT" if count == 1 else f"{count} FAULTS"
        words.append(Span(f"[{text}  H heal all]" if wide else f"[{text}]", "alarm"))
    if wide:
        words.append(Span(f"  refresh {scene.choices.interval_s:.1f}s", "muted"))
        if snapshot.at_wall_ms:
            words.append(Span(f"  {clock(snapshot.at_wall_ms, scene.look.offset_s)}", "muted"))
    words.append(Span(" "))
    return words


def paint_context(scene: Scene, width: int, note: str, hint: bool) -> Row:
    """About the node under the cursor; a note or a problem takes its place."""
    if note:
        return fit((Span(f" {note}", "note"),), width)
    problem = scene.model.snapshot.problem
    if problem:
        return fit((Span(f" {escape_text(problem, width)}", "state-suspect"),), width)
    if hint:
        return fit((Span(f" {FIRST_HINT}", "note"),), width)
    node = scene.model.row(scene.choices.cursor)
    if node is None:
        return fit((), width)
    parts = [f" {node.node_id} {node.state}"]
    if node.pid is not None:
        parts.append(f"pid {node.pid}")
    if node.exit_text:
        parts.append(escape_text(node.exit_text, 40))
    parts.extend(f"{door} {address}" for door, address in list(node.addresses.items())[:2])
    if node.uptime_s is not None:
        parts.append(f"up {duration(node.uptime_s)}")
    if node.suspected_by:
        parts.append(f"suspected by {' '.join(node.suspected_by)}")
    change = scene.model.snapshot.change
    if change is not None:
        reason = f" ({escape_text(change.reason, 40)})" if change.reason else ""
        parts.insert(
            0,
            f" {change.kind} {change.node_id}: {change.state}"
            + (f" {change.slots_done}/{change.slots_total} slots" if change.slots_total else "")
            + reason,
        )
    elif width >= 110:
        # The header has the latencies; what is offered and served is only here.
        parts.append(load_text(scene.model.snapshot.load, short=width < 140))
    return fit((Span(clip("   ".join(parts), width), "context"),), width)


def footer_actions() -> list[Action]:
    """Actions with a word in the footer, in the order in which they are listed."""
    return [action for action in ACTIONS if action.footer]


def paint_footer(scene: Scene, width: int, keymap: Mapping[str, str]) -> Row:
    """As many keys as fit, whole words only; what cannot work now is dimmed."""
    shown = {a.action_id: _footer_word(scene, a, keymap) for a in footer_actions()}
    kept: dict[str, None] = {}
    used = 1
    for action in sorted(footer_actions(), key=lambda entry: entry.footer_rank):
        needed = sum(len(part) for part in shown[action.action_id][:2]) + 2
        if used + needed > width:
            break
        kept[action.action_id] = None
        used += needed
    spans: list[Span] = [Span(" ")]
    for action in footer_actions():
        if action.action_id in kept:
            key, word, dim = shown[action.action_id]
            spans.append(Span(key, "muted" if dim else "key"))
            spans.append(Span(f"{word}  ", "muted" if dim else ""))
    return fit(spans, width)


def _footer_word(scene: Scene, action: Action, keymap: Mapping[str, str]) -> tuple[str, str, bool]:
    reason = blocked_reason(action, scene.capabilities, read_only=scene.read_only)
    if action.action_id == "nav.panel.1":
        return "1-5", " Panels", False
    dim = bool(reason)
    if action.action_id == "fault.undo" and not scene.undo_text:
        dim = True
    key = first_key(action, keymap)
    return key, f" {action.footer}", dim


def frame_top(
    title: str, right: str, width: int, glyphs: Glyphs, focused: bool, boxed: bool
) -> Row:
    """The upper edge of a panel with its title on the left and a remark on the right."""
    if width < 4:
        return fit((), width)
    line = glyphs.box[0]
    first, last = (glyphs.box[2], glyphs.box[3]) if boxed else (line, line)
    style = "frame-focus" if focused else "frame"
    head = f" {title} " if title else ""
    tail = f" {right} " if right else ""
    room = width - 4
    head = clip(head, room)
    tail = tail if len(head) + len(tail) + 1 <= room else ""
    gap = line * (room - len(head) - len(tail))
    return fit(
        (
            Span(first + line, style),
            Span(head, f"{style}+bold"),
            Span(gap, style),
            Span(tail, "muted"),
            Span(line + last, style),
        ),
        width,
    )


def frame_bottom(width: int, glyphs: Glyphs, focused: bool) -> Row:
    """The lower edge of a boxed panel."""
    style = "frame-focus" if focused else "frame"
    return fit((Span(glyphs.box[4] + glyphs.box[0] * (width - 2) + glyphs.box[5], style),), width)


def framed(rows: list[Row], width: int, height: int, glyphs: Glyphs, focused: bool) -> list[Row]:
    """Rows between the vertical edges of a box, padded to ``height``."""
    style = "frame-focus" if focused else "frame"
    side = Span(glyphs.box[1], style)
    padded = [*rows[:height], *[()] * (height - len(rows))]
    return [fit((side, *fit(line, width - 2), side), width) for line in padded]
