"""Tables and lists of figures as plain lines: what the sheets of storage and replication are made of.

Decides which columns a width has room for and where a list of facts breaks. Knows no figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from console.formatting import clip, escape_text, fill

NAME_WIDTH: Final = 8
_LABEL_WIDTH: Final = 11


class Column(NamedTuple):
    """One column of figures, set to the right."""

    title: str
    cells: int
    """Of its figures; a blank stands before them."""
    width_min: int = 0
    """Narrower sheets leave it out."""


class Line(NamedTuple):
    """One node of a table."""

    letter: str
    name: str
    chosen: bool
    figures: Sequence[str]
    """As many as there are columns."""


def table_lines(columns: Sequence[Column], lines: Sequence[Line], width: int) -> list[str]:
    """Head and rows, none wider than ``width``; the chosen one begins with ``>``."""
    shown = [index for index, column in enumerate(columns) if width >= column.width_min]
    head = fill("  NODE", 4 + NAME_WIDTH)
    head += "".join(f" {columns[index].title:>{columns[index].cells}}" for index in shown)
    table = [clip(head, width)]
    for line in lines:
        name = fill(escape_text(line.name, 100), NAME_WIDTH)
        text = f"{'>' if line.chosen else ' '} {line.letter} {name}"
        for index in shown:
            cells = columns[index].cells
            text += f" {clip(line.figures[index], cells):>{cells}}"
        table.append(clip(text, width))
    return table


def fact_lines(label: str, facts: Sequence[str], width: int) -> list[str]:
    """``label`` and its facts, two blanks between them, broken between facts where they can be."""
    lines: list[str] = []
    text = fill(label, _LABEL_WIDTH)
    empty = True
    for fact in facts:
        if not empty and len(text) + 2 + len(fact) > width:
            lines.append(clip(text, width))
            text, empty = " " * _LABEL_WIDTH, True
        text += f"{' ' if empty else '  '}{fact}"
        empty = False
    return [*lines, clip(text, width)]
