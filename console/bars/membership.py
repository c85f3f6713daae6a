"""Adding and removing nodes: a preview of what would move, then Enter.

The preview is asked of the source and arrives later; Enter before it arrived does nothing, so that
nobody commits to what was not shown.
"""

from __future__ import annotations

from typing import Final

from console import intents
from console.bars.base import CLOSE, STAY, Choice, Outcome, Press, choice_rows, text_row
from console.formatting import duration, number, percent, plural, size
from console.painters.spans import Row
from console.source import AddPreview
from console.view_models.scene import Glyphs

COUNT_MAX: Final = 9


def preview_lines(preview: AddPreview) -> list[str]:
    """What would move, from whom, and how it compares with the least possible."""
    moved = [f"{plural(preview.slots_moved, 'slot')} change owner"]
    moved.append(f"{number(preview.copies_moved)} slot copies")
    if preview.keys_moved is not None:
        moved.append(f"{number(preview.keys_moved)} keys")
    if preview.bytes_moved is not None:
        moved.append(f"{size(preview.bytes_moved)}B")
    if preview.seconds is not None:
        moved.append(f"about {duration(preview.seconds)}")
    shares = "  ".join(f"{node} {percent(share, 1)}" for node, share in preview.share_from)
    least = f"least possible share {percent(preview.minimum_share, 1)}"
    return [", ".join(moved), f"{shares}   {least}"]


class AddBar:
    """Digits choose how many nodes, Enter commits."""

    def __init__(self, present: tuple[str, ...]) -> None:
        self.painted_at_s: float | None = None
        self.present = present
        self.count = 1
        self.preview: AddPreview | None = None
        self.preview_count = 0
        self.problem = ""

    @property
    def title(self) -> str:
        return f"ADD {plural(self.count, 'NODE').replace('NODEs', 'NODES')}"

    def press(self, press: Press) -> Outcome:
        if press.key == "escape":
            return CLOSE
        if press.character.isdigit() and press.character != "0":
            self.count = min(int(press.character), COUNT_MAX)
        elif press.key in ("up", "down"):
            step = 1 if press.key == "up" else -1
            self.count = min(max(self.count + step, 1), COUNT_MAX)
        elif press.key == "enter":
            if self.preview_count != self.count and not self.problem:
                return Outcome(note="waiting for the preview")
            command = intents.add_nodes(self.count, self.present)
            return Outcome(close=True, commands=(command,))
        return STAY

    def show(self, preview: AddPreview, count: int) -> None:
        """The preview for ``count`` nodes has arrived."""
        self.preview, self.preview_count, self.problem = preview, count, ""

    def show_problem(self, text: str) -> None:
        """There is no preview; committing blindly stays possible, and the bar says so."""
        self.problem = text

    def confirm(self, now_s: float) -> Outcome:
        return STAY

    def rows(self, width: int, glyphs: Glyphs) -> list[Row]:
        keys = (Choice("enter", "add"), Choice("1-9", "how many"), Choice("esc", "cancel"))
        if self.problem:
            lines = [f"no preview: {self.problem}", "enter adds all the same"]
        elif self.preview is None or self.preview_count != self.count:
            lines = ["computing what would move ...", ""]
        else:
            lines = preview_lines(self.preview)
        return [*(text_row(line, width) for line in lines), *choice_rows(keys, width, 1)]


class RemoveBar:
    """A graceful leave after a preview."""

    def __init__(self, node_id: str, reason: str = "") -> None:
        self.node_id = node_id
        self.title = f"REMOVE {node_id}{reason}"
        self.painted_at_s: float | None = None
        self.preview: AddPreview | None = None
        self.problem = ""

    def press(self, press: Press) -> Outcome:
        if press.key == "escape":
            return CLOSE
        if press.key == "enter":
            if self.preview is None and not self.problem:
                return Outcome(note="waiting for the preview")
            return Outcome(close=True, commands=(intents.remove_node(self.node_id),))
        return STAY

    def show(self, preview: AddPreview) -> None:
        """The preview has arrived."""
        self.preview = preview

    def show_problem(self, text: str) -> None:
        """There is no preview."""
        self.problem = text

    def confirm(self, now_s: float) -> Outcome:
        return STAY

    def rows(self, width: int, glyphs: Glyphs) -> list[Row]:
        if self.problem:
            lines = [f"no preview: {self.problem}", "enter removes all the same"]
        elif self.preview is None:
            lines = ["computing what would move ...", ""]
        else:
            lines = preview_lines(self.preview)
        keys = (Choice("enter", "hand its slots over, then leave"), Choice("esc", "cancel"))
        return [*(text_row(line, width) for line in lines), *choice_rows(keys, width, 1)]
