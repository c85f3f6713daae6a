"""The event log: what happened, newest last, repeats folded into one line.

Events of the nodes and the operator's own commands share the log, so that cause and effect stand
under each other. A command's line is *pending* until its result arrives.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from console.formatting import escape_text
from nodecore.statistics import EventRecord

LOG_LINES_MAX: Final = 500
"""Lines kept; older ones stay in the nodes' own logs."""
COALESCE_MS: Final = 5_000
"""A repeat of one of the last lines within this time raises its count."""
COALESCE_LOOKBACK: Final = 8
MARKS_MAX: Final = 64
MARK_KINDS: Final = ("fault", "member", "topology", "epoch", "kill", "process", "exit", "join")
"""Beginnings of event kinds that are worth a mark on the time axis of the heat map."""


@dataclass(slots=True)
class LogLine:
    """One line of the log."""

    at_wall_ms: int
    text: str
    severity: str = "info"
    """``info``, ``warning``, ``error``."""
    source: str = ""
    """Node id, or ``you``."""
    kind: str = ""
    count: int = 1
    state: str = ""
    """Of a command: ``pending``, ``ok``, ``failed``, ``unknown``; empty for events."""


@dataclass(frozen=True, slots=True)
class AxisMark:
    """A moment on the time axis."""

    at_wall_ms: int
    text: str


class EventLog:
    """Bounded, coalescing log."""

    def __init__(self) -> None:
        self.lines: deque[LogLine] = deque(maxlen=LOG_LINES_MAX)
        self.marks: deque[AxisMark] = deque(maxlen=MARKS_MAX)

    def add_event(self, event: EventRecord) -> LogLine:
        """Take an event of a node; a recent repeat is folded."""
        text = escape_text(event.text)
        recent = [self.lines[-1 - i] for i in range(min(COALESCE_LOOKBACK, len(self.lines)))]
        for line in recent:
            same = line.kind == event.kind and line.text == text and not line.state
            near = abs(event.at_wall_ms - line.at_wall_ms) <= COALESCE_MS
            if same and near and line.source == event.node_id:
                line.count += 1
                return line
        line = LogLine(event.at_wall_ms, text, event.severity, event.node_id, event.kind)
        self.lines.append(line)
        if event.kind.startswith(MARK_KINDS):
            self.mark(event.at_wall_ms, text)
        return line

    def add_command(self, at_wall_ms: int, text: str) -> LogLine:
        """A command was given: a pending line."""
        line = LogLine(at_wall_ms, escape_text(text), "info", "you", "command", 1, "pending")
        self.lines.append(line)
        return line

    def add_note(self, at_wall_ms: int, text: str, severity: str = "info") -> LogLine:
        """A remark of the console itself."""
        line = LogLine(at_wall_ms, escape_text(text), severity, "console", "note")
        self.lines.append(line)
        return line

    def mark(self, at_wall_ms: int, text: str) -> None:
        """Put a mark on the time axis; one per moment and text."""
        if not any(m.at_wall_ms == at_wall_ms and m.text == text for m in self.marks):
            self.marks.append(AxisMark(at_wall_ms, text))

    def clone(self) -> EventLog:
        """A copy that later lines do not reach."""
        copy = EventLog()
        copy.lines.extend(self.lines)
        copy.marks.extend(self.marks)
        return copy
