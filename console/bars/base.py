"""What a bar is: keys in, an outcome out, rows to draw.

A bar never runs anything. It answers a key with an :class:`Outcome`: stay, close, submit commands,
open another bar, or hand a text back. Escape always closes without effect, and Enter does nothing
harmful that the bar has not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from console.intents import Command
from console.painters.spans import Row, Span, fit, row
from console.view_models.scene import Glyphs


class Press(NamedTuple):
    """One key."""

    key: str
    """Textual's name of the key."""
    character: str
    """The printable character, or empty."""
    now_s: float
    """Monotonic time of the press."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a key led to."""

    close: bool = False
    commands: tuple[Command, ...] = ()
    open_bar: Bar | None = None
    text: str | None = None
    """Of a text bar that was accepted."""
    note: str = ""
    """A remark for the context line."""
    confirm_after_s: float | None = None
    """Ask the bar again (``confirm``) after this time, if no key came in between."""
    quit: str = ""
    """``stop`` (stop the nodes and leave) or empty."""
    remove: str = ""
    """A node whose leaving is to be previewed."""
    ask: str = ""
    """An action id to be run after closing."""


STAY = Outcome()
TOO_SOON = Outcome(note="too soon: press it again")
"""A key that can do harm came before its bar could be read, or by being held."""
CLOSE = Outcome(close=True)


class Bar(Protocol):
    """A bottom bar."""

    painted_at_s: float | None
    """When the bar was first drawn; keys that can harm count only after that."""

    @property
    def title(self) -> str:
        """What the bar is about; its frame shows it."""

    def press(self, press: Press) -> Outcome:
        """Take a key."""

    def confirm(self, now_s: float) -> Outcome:
        """The time that ``confirm_after_s`` asked for has passed."""

    def rows(self, width: int, glyphs: Glyphs) -> list[Row]:
        """The lines under the title, 1 to 4 of them."""


class Choice(NamedTuple):
    """One entry of a menu."""

    key: str
    label: str
    enabled: bool = True


def choice_rows(choices: Sequence[Choice], width: int, lines_max: int) -> list[Row]:
    """Entries in lines of whole entries; disabled ones are dimmed."""
    rows: list[list[Span]] = [[Span(" ")]]
    used = 1
    for choice in choices:
        needed = len(choice.key) + len(choice.label) + 4
        if used + needed > width and used > 1:
            rows.append([Span(" ")])
            used = 1
        rows[-1].append(Span(choice.key, "key" if choice.enabled else "muted"))
        rows[-1].append(Span(f" {choice.label}   ", "" if choice.enabled else "muted"))
        used += needed
    return [fit(line, width) for line in rows[:lines_max]]


def text_row(text: str, width: int, style: str = "") -> Row:
    """One line of one style."""
    return fit(row(Span(f" {text}", style)), width)
