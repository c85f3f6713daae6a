"""Adding and removing nodes: a preview of what would move, then Enter.

The preview is asked of the source and arrives later. Enter before it arrived is never lost: adding
does no harm, so it is taken and done once the preview is here; a removal says that it must be
pressed again, because nobody should commit to a loss that was not shown.
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
COMPUTING: Final = "computing what would move ..."


def preview_lines(preview: AddPreview) -> list[str]:
    """What would move, from whom, and how it compares with the least possible."""
    moved = [f"{plural(preview.slots_moved, 'slot')} get another owner"]
    moved.append(f"{number(preview.copies_moved)} slot copies")
    if preview.keys_moved is not None:
        moved.append(f"{number(preview.keys_moved)} keys")
    if preview.bytes_moved is not None:
        moved.append(f"{size(preview.bytes_moved)}B")
    if preview.seconds is not None:
        moved.append(f"about {duration(preview.seconds)}")
    shares = "  ".join(
        f"{node} {'+' if share > 0 else ''}{percent(share, 1)}"
        for node, share in preview.share_from
    )
    least = f"least possible share {percent(preview.minimum_share, 1)}"
    return [", ".join(moved), f"{least}   first owners: {shares}"]


class AddBar:
    """Digits choose how many nodes, Enter commits."""

    def __init__(self, present: tuple[str, ...]) -> None:
        self.painted_at_s: float | None = None
        self.present = present
        self.count = 1
        self.preview: AddPreview | None = None
        """For ``count`` nodes; None while it is being computed."""
        self.problem = ""
        """Why there is no preview for ``count`` nodes."""
        self._asked_count = 0
        self._committed = False

    @property
    def title(self) -> str:
        return f"ADD {plural(self.count, 'NODE').replace('NODEs', 'NODES')}"

    def press(self, press: Press) -> Outcome:
        if press.key == "escape":
            return CLOSE
        if press.character.isdigit() and press.character != "0":
            self._choose(min(int(press.character), COUNT_MAX))
        elif press.key in ("up", "down"):
            step = 1 if press.key == "up" else -1
            self._choose(min(max(self.count + step, 1), COUNT_MAX))
        elif press.key == "enter":
            if self.preview is not None or self.problem:
                return self._commit()
            self._committed = True
        return STAY

    def _choose(self, count: int) -> None:
        """Another number: what is known of the old one, and an Enter meant for it, are void."""
        if count != self.count:
            self.count, self.preview, self.problem, self._committed = count, None, "", False

    def _commit(self) -> Outcome:
        return Outcome(close=True, commands=(intents.add_nodes(self.count, self.present),))

    def question(self) -> int:
        """For how many nodes a preview is to be asked now; 0: it has been asked already."""
        if self._asked_count == self.count:
            return 0
        self._asked_count = self.count
        return self.count

    def take_preview(self, preview: AddPreview | None, problem: str, count: int) -> Outcome:
        """The preview for ``count`` nodes has arrived, or why there is none.

        An Enter that waited for it counts now. Without a preview committing blindly stays possible,
        but has to be asked for anew.
        """
        if count != self.count:
            return STAY
        self.preview, self.problem = preview, problem
        committed, self._committed = self._committed, False
        return self._commit() if committed and preview is not None else STAY

    def confirm(self, now_s: float) -> Outcome:
        return STAY

    def rows(self, width: int, glyphs: Glyphs) -> list[Row]:
        keys = (Choice("enter", "add"), Choice("1-9", "how many"), Choice("esc", "cancel"))
        if self.problem:
            lines = [f"no preview: {self.problem}", "enter adds all the same"]
        elif self.preview is not None:
            lines = preview_lines(self.preview)
        elif self._committed:
            lines = [COMPUTING, "adding as soon as it is known; esc cancels"]
        else:
            lines = [COMPUTING, ""]
        return [*(text_row(line, width) for line in lines), *choice_rows(keys, width, 1)]


class RemoveBar:
    """A graceful leave after a preview."""

    def __init__(self, node_id: str, reason: str = "") -> None:
        self.node_id = node_id
        self.title = f"REMOVE {node_id}{reason}"
        self.painted_at_s: float | None = None
        self.preview: AddPreview | None = None
        self.problem = ""
        self._early = False

    def press(self, press: Press) -> Outcome:
        if press.key == "escape":
            return CLOSE
        if press.key == "enter":
            if self.preview is None and not self.problem:
                self._early = True
                return STAY
            return Outcome(close=True, commands=(intents.remove_node(self.node_id),))
        return STAY

    def take_preview(self, preview: AddPreview | None, problem: str) -> None:
        """The preview has arrived, or why there is none."""
        self.preview, self.problem = preview, problem

    def confirm(self, now_s: float) -> Outcome:
        return STAY

    def rows(self, width: int, glyphs: Glyphs) -> list[Row]:
        if self.problem:
            lines = [f"no preview: {self.problem}", "enter removes all the same"]
        elif self.preview is None:
            early = "not yet: look at what would move, then press enter" if self._early else ""
            lines = [COMPUTING, early]
        else:
            lines = preview_lines(self.preview)
        keys = (Choice("enter", "hand its slots over, then leave"), Choice("esc", "cancel"))
        return [*(text_row(line, width) for line in lines), *choice_rows(keys, width, 1)]
