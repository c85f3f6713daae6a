"""Two questions: leave, and do what was asked of a node that is up."""

from __future__ import annotations

from console.bars.base import CLOSE, STAY, TOO_SOON, Choice, Outcome, Press, choice_rows, text_row
from console.formatting import plural
from console.painters.spans import Row
from console.view_models.scene import Glyphs


class QuitBar:
    """Enter stops this console's nodes and leaves: the one bar whose default is not Cancel."""

    def __init__(self, owns_nodes: bool, faults_count: int) -> None:
        self.title = "QUIT"
        self.painted_at_s: float | None = None
        self._owns_nodes = owns_nodes
        self._faults_count = faults_count

    def press(self, press: Press) -> Outcome:
        if press.key == "escape" or press.key in ("n", "c"):
            return CLOSE
        if press.key == "enter":
            shown = self.painted_at_s is not None
            return Outcome(close=True, quit="stop") if shown else TOO_SOON
        return STAY

    def confirm(self, now_s: float) -> Outcome:
        return STAY

    def rows(self, width: int, glyphs: Glyphs) -> list[Row]:
        what = "stop the nodes and quit" if self._owns_nodes else "leave; the cluster goes on"
        faults = f"; {plural(self._faults_count, 'fault')} lifted" if self._faults_count else ""
        keys = (Choice("enter", what), Choice("esc", "stay"), Choice("ctrl+c", "at once"))
        return [
            *choice_rows(keys, width, 1),
            text_row(f"Enter: {what}{faults}", width, "muted"),
        ]
