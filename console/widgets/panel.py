"""A panel: rows of spans drawn by Textual's Line API, each row's Strip kept until it changes.

Everything on the overview is a panel; what differs is the painter that made its rows. A panel
redraws only rows that differ from the last ones, and nothing when none does.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from console.painters.spans import Row, fit
from console.widgets.stylist import Stylist


class Panel(Widget):
    """Shows rows."""

    ALLOW_SELECT = False

    class Pointed(Message):
        """The mouse was used on a panel."""

        def __init__(self, panel_id: str, y: int, steps: int) -> None:
            super().__init__()
            self.panel_id = panel_id
            self.y = y
            """Row of the panel."""
            self.steps = steps
            """0: a click; else the wheel, positive towards the end."""

    def __init__(self, panel_id: str) -> None:
        super().__init__(id=panel_id)
        self._rows: list[Row] = []
        self._strips: dict[int, Strip] = {}
        self._stylist: Stylist | None = None
        self.redrawn = 0
        """Rows redrawn so far: what a test of idleness counts."""

    def show_rows(self, rows: Sequence[Row], stylist: Stylist) -> None:
        """Draw these rows; those equal to the last ones are left alone."""
        if stylist is not self._stylist:
            self._stylist = stylist
            self._rows = list(rows)
            self._strips.clear()
            self.redrawn += len(rows)
            self.refresh()
            return
        changed = [
            y
            for y in range(max(len(rows), len(self._rows)))
            if y >= len(rows) or y >= len(self._rows) or rows[y] != self._rows[y]
        ]
        if not changed:
            return
        self._rows = list(rows)
        for y in changed:
            self._strips.pop(y, None)
        self.redrawn += len(changed)
        width = self.size.width
        self.refresh(*(Region(0, y, width, 1) for y in changed))

    def notify_style_update(self) -> None:
        """Styles changed: every Strip is stale."""
        self._strips.clear()
        super().notify_style_update()

    def on_resize(self) -> None:
        """Strips are as wide as the panel was."""
        self._strips.clear()

    def on_click(self, event: events.Click) -> None:
        """A click chooses."""
        self.post_message(self.Pointed(self.id or "", event.y, 0))

    def on_mouse_scroll_down(self, _: events.MouseScrollDown) -> None:
        """The wheel moves towards the end."""
        self.post_message(self.Pointed(self.id or "", 0, 1))

    def on_mouse_scroll_up(self, _: events.MouseScrollUp) -> None:
        """The wheel moves towards the beginning."""
        self.post_message(self.Pointed(self.id or "", 0, -1))

    def render_line(self, y: int) -> Strip:
        """One row as a Strip, the same object while the row is unchanged."""
        width = self.size.width
        kept = self._strips.get(y)
        if kept is not None and kept.cell_length == width:
            return kept
        base = self.rich_style
        if self._stylist is None or y >= len(self._rows):
            return Strip([Segment(" " * width, base)], width)
        segments = [
            Segment(span.text, base + self._stylist.style(span.style) if span.style else base)
            for span in fit(self._rows[y], width)
        ]
        strip = Strip(segments, width)
        self._strips[y] = strip
        return strip

    def text_lines(self) -> list[str]:
        """What is shown, without styles, as wide as the panel."""
        width, height = self.size
        rows: list[Row] = [*self._rows[:height], *[()] * (height - len(self._rows))]
        return ["".join(span.text for span in fit(line, width)) for line in rows]
