"""A bar with one line of text: the filter, or a key to be found."""

from __future__ import annotations

from typing import Final

from console.bars.base import CLOSE, STAY, Outcome, Press, text_row
from console.formatting import escape_text
from console.painters.spans import Row, Span, fit
from console.view_models.scene import Glyphs

TEXT_LENGTH_MAX: Final = 256


class TextBar:
    """Enter accepts, escape closes, ctrl+u empties."""

    def __init__(self, title: str, hint: str, text: str = "") -> None:
        self.title = title
        self.hint = hint
        self.text = text
        self.painted_at_s: float | None = None

    def press(self, press: Press) -> Outcome:
        if press.key == "escape":
            return CLOSE
        if press.key == "enter":
            return Outcome(close=True, text=self.text)
        if press.key in ("backspace", "ctrl+h"):
            self.text = self.text[:-1]
        elif press.key == "ctrl+u":
            self.text = ""
        elif len(press.character) == 1 and press.character.isprintable():
            self.text = (self.text + press.character)[:TEXT_LENGTH_MAX]
        return STAY

    def paste(self, text: str) -> None:
        """Take pasted text; its first line only."""
        line = text.splitlines()[0] if text else ""
        printable = "".join(character for character in line if character.isprintable())
        self.text = (self.text + printable)[:TEXT_LENGTH_MAX]

    def confirm(self, now_s: float) -> Outcome:
        return STAY

    def rows(self, width: int, glyphs: Glyphs) -> list[Row]:
        shown = escape_text(self.text, TEXT_LENGTH_MAX * 4)[-(width - 4) :]
        return [
            fit((Span(" > ", "key"), Span(shown, "strong"), Span("_", "key")), width),
            text_row(self.hint, width, "muted"),
        ]
