"""The event log: what happened, newest last, what belongs together folded into one line.

Folded are repeats, what several nodes say in the same words, and links between many nodes that come
up or go down at once. Events of the nodes and the operator's own commands share the log, so that
cause and effect stand under each other. A command's line is *pending* until its result arrives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from console.formatting import escape_text
from console.view_models.event_folding import folded, part_of
from nodecore.statistics import EventRecord

LOG_LINES_MAX: Final = 500
"""Lines kept; older ones stay in the nodes' own logs."""
COALESCE_LOOKBACK: Final = 8
MARKS_MAX: Final = 64
MARK_KINDS: Final = ("member", "topology", "epoch", "kill", "process", "exit", "join")
"""Beginnings of event kinds that are worth a mark on the time axis of the heat map."""


@dataclass(slots=True)
class LogLine:
    """One line of the log."""

    at_wall_ms: int
    text: str
    severity: str = "info"
    """``info``, ``warning``, ``error``."""
    source: str = ""
    """Who says so: node ids, ``4 nodes``, ``you``, ``console``; empty when the text names them."""
    kind: str = ""
    count: int = 1
    """How often the same was said by the same."""
    state: str = ""
    """Of a command: ``pending``, ``ok``, ``failed``, ``unknown``; empty for events."""
    pairs: dict[tuple[str, str], int] = field(default_factory=dict)
    """(node, target) -> how often; of events only."""
    shared: str = ""
    """What further events must have in common with this line to join it."""
    first_text: str = ""


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
        """Take an event of a node; it joins a recent line that it belongs to."""
        part = part_of(event)
        for line in self._recent(event.at_wall_ms, part.window_ms):
            if line.kind == event.kind and line.shared == part.shared and line.pairs:
                _join(line, event.node_id, part.target)
                return line
        line = LogLine(event.at_wall_ms, part.text, event.severity, event.node_id, event.kind)
        line.pairs[event.node_id, part.target] = 1
        line.shared, line.first_text = part.shared, part.text
        self.lines.append(line)
        if event.kind.startswith(MARK_KINDS):
            self.mark(event.at_wall_ms, part.text)
        return line

    def _recent(self, at_wall_ms: int, window_ms: int) -> Iterator[LogLine]:
        for index in range(min(COALESCE_LOOKBACK, len(self.lines))):
            line = self.lines[-1 - index]
            if abs(at_wall_ms - line.at_wall_ms) <= window_ms:
                yield line

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
        copy.lines.extend(replace(line, pairs=dict(line.pairs)) for line in self.lines)
        copy.marks.extend(self.marks)
        return copy


def _join(line: LogLine, node_id: str, target: str) -> None:
    pair = (node_id, target)
    line.pairs[pair] = line.pairs.get(pair, 0) + 1
    line.count = max(line.pairs.values())
    line.source, line.text = folded(line.kind, line.first_text, list(line.pairs))
