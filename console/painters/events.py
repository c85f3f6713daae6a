"""The event log, the active faults and the load, newest events first."""

from __future__ import annotations

import textwrap
from typing import Final

from console.formatting import clip, clock, duration, escape_text, milliseconds, number, percent
from console.painters.spans import Row, Span, fit, row, text_of
from console.source import ActiveFault, Capability, LoadState
from console.view_models.events import LogLine
from console.view_models.scene import Scene

LOG_ROWS_MAX: Final = 3
"""Rows that one line of the log may take in a tall panel."""
LOG_CELLS_MAX: Final = 300
SEVERITY_STYLES: Final = {"warning": "state-suspect", "error": "state-down"}
STATE_WORDS: Final = {
    "pending": " ...",
    "ok": "",
    "failed": "",
    "unknown": "  not acknowledged",
}


def log_row(scene: Scene, line: LogLine, width: int) -> Row:
    """``12:03:41 n3 text (x4)``."""
    who = f"{line.source}: " if line.source else ""
    count = f" (x{line.count})" if line.count > 1 else ""
    style = SEVERITY_STYLES.get(line.severity, "")
    if line.state in ("failed", "unknown"):
        style = "state-down"
    elif line.state == "pending":
        style = "strong"
    text = f"{who}{line.text}{STATE_WORDS.get(line.state, '')}{count}"
    spans = (Span(f" {clock(line.at_wall_ms, scene.look.offset_s)} ", "muted"), Span(text, style))
    return fit(spans, width)


def wrapped_log_rows(scene: Scene, line: LogLine, width: int) -> list[Row]:
    """One line of the log on as many rows as it needs, at most LOG_ROWS_MAX."""
    whole = log_row(scene, line, LOG_CELLS_MAX)
    stamp, words = whole[0], text_of(whole[1:]).rstrip()
    style = whole[1].style if len(whole) > 1 else ""
    indent = " " * len(stamp.text)
    room = max(width - len(indent), 8)
    pieces = textwrap.wrap(words, room, max_lines=LOG_ROWS_MAX, placeholder=" ~") or [""]
    return [
        fit((stamp if index == 0 else Span(indent), Span(piece, style)), width)
        for index, piece in enumerate(pieces)
    ]


def event_rows(scene: Scene, width: int, height: int, *, wrap: bool = False) -> list[Row]:
    """The newest lines first, from where the operator scrolled to."""
    lines = list(scene.model.log.lines)
    end = max(len(lines) - scene.choices.scroll, min(len(lines), 1))
    shown = lines[max(end - height, 0) : end]
    if not shown:
        return [fit(row(Span(" nothing happened yet", "muted")), width)]
    if not wrap:
        return [log_row(scene, line, width) for line in reversed(shown)]
    rows: list[Row] = []
    for line in reversed(shown):
        rows.extend(wrapped_log_rows(scene, line, width))
    return rows[:height]


def fault_text(fault: ActiveFault, now_wall_ms: int) -> str:
    """``kill n3  by you  14s left  8 hits``."""
    words = escape_text(fault.text or fault.kind)
    target = fault.target
    text = words if target in words else f"{words} {target}"
    left = ""
    if fault.ends_wall_ms:
        left = f"  {duration(max(fault.ends_wall_ms - now_wall_ms, 0) / 1000)} left"
    hits = f"  {number(fault.hits)} hits" if fault.hits else ""
    return f"{text}  by {escape_text(fault.owner, 12)}{left}{hits}"


def load_text(load: LoadState | None, *, short: bool = False) -> str:
    """The load generator in one line, a short one without skew and latency."""
    if load is None:
        return "no load generator"
    if not load.running:
        return "load stopped   o starts it"
    if short:
        rates = f"{number(load.rate)}/{number(load.rate_target)} op/s"
        return f"load {rates}  err {number(load.errors_per_s)}/s"
    return (
        f"load {number(load.rate)}/{number(load.rate_target)} op/s  reads {percent(load.reads_ratio)}"
        f"  zipf {load.zipf:.1f}  err {number(load.errors_per_s)}/s  p99 {milliseconds(load.p99_ms)}"
    )


def fault_rows(scene: Scene, width: int, count: int) -> list[Row]:
    """Active faults, newest first, in at most ``count`` lines."""
    faults = sorted(
        scene.model.snapshot.faults, key=lambda fault: (-fault.since_wall_ms, fault.fault_id)
    )
    rows: list[Row] = []
    now = scene.model.snapshot.at_wall_ms
    for index, fault in enumerate(faults):
        if len(rows) == count - 1 and len(faults) - index > 1:
            rows.append(fit(row(Span(f" and {len(faults) - index} more", "fault")), width))
            break
        rows.append(fit(row(Span(f" {fault_text(fault, now)}", "fault")), width))
    if not rows:
        rows.append(fit(row(Span(" none", "muted")), width))
    return rows[:count]


def paint_events(scene: Scene, width: int, height: int) -> list[Row]:
    """Events alone in a short panel; events, active faults and load in a tall one."""
    if height < 12:
        rows = event_rows(scene, width, height)
        return rows[:height]
    faults = fault_rows(scene, width, max(height // 4, 2))
    foot: list[Row] = [
        (),
        fit(row(Span(" ACTIVE FAULTS", "muted+bold"), Span(_undo_hint(scene), "muted")), width),
        *faults,
        (),
    ]
    load = scene.model.snapshot.load
    can_load = load is None and Capability.LOAD in scene.capabilities
    text = "no load   o makes some" if can_load else load_text(load)
    style = "muted" if load is None else ""
    foot.extend(fit(row(Span(f" {line}", style)), width) for line in _wrapped(text, width - 2))
    events = event_rows(scene, width, height - len(foot), wrap=True)
    blank: list[Row] = [()] * (height - len(foot) - len(events))
    return [*events, *blank, *foot][:height]


def _undo_hint(scene: Scene) -> str:
    return f"   u undo {clip(scene.undo_text, 24)}" if scene.undo_text else ""


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for part in text.split("  "):
        joined = f"{lines[-1]}  {part}" if lines[-1] else part
        if len(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(part)
    return [clip(line, width) for line in lines]
