"""Rows of styled text: what painters return and panels draw.

A style is a name of the theme's vocabulary (``owner-a``, ``state-down``), optionally with
attributes joined by ``+`` (``state-down+bold``), or a pair of heat levels (``heat:12:31``: upper
and lower half). Painters never name a colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from console.formatting import clip


class Span(NamedTuple):
    """A run of text in one style."""

    text: str
    style: str = ""


Row = tuple[Span, ...]
"""One line of the screen."""

BLANK: Row = ()


def row(*parts: Span | str) -> Row:
    """A row of spans; plain strings have no style."""
    return tuple(Span(part) if isinstance(part, str) else part for part in parts)


def row_width(spans: Iterable[Span]) -> int:
    """Cells that a row takes; every character drawn here is one cell wide."""
    return sum(len(span.text) for span in spans)


def fit(spans: Sequence[Span], width: int) -> Row:
    """The row cut or padded to exactly ``width`` cells; neighbours of one style are joined."""
    result: list[Span] = []
    left = width
    for span in spans:
        if left <= 0:
            break
        text = span.text
        if len(text) > left:
            # Blanks that fall off the edge are no loss worth a sign.
            text = clip(text, left) if text[left:].strip() else text[:left]
        if not text:
            continue
        left -= len(text)
        if result and result[-1].style == span.style:
            result[-1] = Span(result[-1].text + text, span.style)
        else:
            result.append(Span(text, span.style))
    if left > 0:
        if result and not result[-1].style:
            result[-1] = Span(result[-1].text + " " * left)
        else:
            result.append(Span(" " * left))
    return tuple(result)


def beside(left: Sequence[Row], right: Sequence[Row], left_width: int, width: int) -> list[Row]:
    """Two columns of rows as one."""
    rows = []
    for index in range(max(len(left), len(right))):
        first = left[index] if index < len(left) else BLANK
        second = right[index] if index < len(right) else BLANK
        rows.append(fit((*fit(first, left_width), *second), width))
    return rows


def text_of(spans: Iterable[Span]) -> str:
    """The row without styles."""
    return "".join(span.text for span in spans)


def centred(text: str, width: int) -> str:
    """``text`` in the middle of ``width`` cells."""
    return clip(text, width).center(width)
