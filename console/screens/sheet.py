"""A sheet of text over the overview: help, a node's details, a node's log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

SHARE_PERCENT: Final = 96
"""Of the terminal's width, as the style sheet says."""
EDGES: Final = 4


class Sheet(ModalScreen[None]):
    """Scrolls; escape, q and enter close it. ``produce`` is asked again at each refresh.

    Left and right call ``walk``, where a sheet has something to walk through.
    """

    BINDINGS: ClassVar = [
        Binding("escape,q,enter,question_mark", "close", "Close", show=False),
        Binding("j", "down", "Down", show=False),
        Binding("k", "up", "Up", show=False),
        Binding("G", "bottom", "End", show=False),
        Binding("g", "top", "Start", show=False),
        Binding("left", "walk(-1)", "Before", show=False),
        Binding("right", "walk(1)", "Next", show=False),
    ]

    def __init__(
        self,
        title: str,
        produce: Callable[[], Sequence[str]],
        *,
        at_end: bool = False,
        walk: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__()
        self._heading = title
        self._produce = produce
        self._at_end = at_end
        self._walk = walk
        self._shown: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        walks = "left, right: another node; " if self._walk is not None else ""
        yield Static(Text(f" {self._heading}   ({walks}esc closes)"), id="sheet-title")
        with VerticalScroll(id="sheet-body"):
            yield Static("", id="sheet-text", markup=False)

    def on_mount(self) -> None:
        self.refresh_lines()
        body = self.query_one("#sheet-body", VerticalScroll)
        body.focus()
        if self._at_end:
            self.call_after_refresh(body.scroll_end, animate=False)

    def on_resize(self) -> None:
        """Lines may depend on the width."""
        if self._shown:
            self.refresh_lines()

    def refresh_lines(self) -> None:
        """Ask for the lines again; draw only if they changed."""
        lines = tuple(self._produce())
        if lines != self._shown:
            self._shown = lines
            self.query_one("#sheet-text", Static).update(Text("\n".join(lines)))

    @property
    def columns(self) -> int:
        """Cells of a line that show at once: the terminal's, less frame, padding and scroll bar."""
        return self.app.size.width * SHARE_PERCENT // 100 - EDGES

    @property
    def lines(self) -> tuple[str, ...]:
        """What is shown."""
        return self._shown

    def action_close(self) -> None:
        """Back to the overview."""
        self.dismiss(None)

    def action_down(self) -> None:
        """One line down."""
        self.query_one("#sheet-body", VerticalScroll).scroll_down(animate=False)

    def action_up(self) -> None:
        """One line up."""
        self.query_one("#sheet-body", VerticalScroll).scroll_up(animate=False)

    def action_bottom(self) -> None:
        """The end."""
        self.query_one("#sheet-body", VerticalScroll).scroll_end(animate=False)

    def action_top(self) -> None:
        """The beginning."""
        self.query_one("#sheet-body", VerticalScroll).scroll_home(animate=False)

    def action_walk(self, steps: int) -> None:
        """Another node, where the sheet is about one."""
        if self._walk is not None:
            self._walk(steps)
            self.refresh_lines()
