"""Numbers, times and foreign text as short words for a screen.

Decides how many digits a person needs. Knows no time zone: the caller gives the offset. Text that
comes from keys or nodes goes through :func:`escape_text` before it reaches a terminal.
"""

from __future__ import annotations

from typing import Final

MISSING: Final = "-"
"""What is drawn where a figure is unknown."""

SUFFIXES: Final = ("", "k", "M", "G", "T", "P")


def escape_text(text: str | bytes, width_max: int = 200) -> str:
    r"""Make foreign text safe and one line long.

    C0 and C1 controls, line separators, bidirectional overrides and other unprintable characters
    become visible escapes; bytes that are not UTF-8 become ``\\xNN``. At most ``width_max``
    characters, cut with ``~``.
    """
    if isinstance(text, bytes):
        text = text[: width_max * 4].decode("utf-8", "backslashreplace")
    pieces: list[str] = []
    length = 0
    for character in text:
        piece = character if character.isprintable() else _escape(character)
        if length + len(piece) > width_max:
            pieces.append("~")
            break
        pieces.append(piece)
        length += len(piece)
    return "".join(pieces)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def number(value: float | None) -> str:
    """At most five characters: ``7``, ``412``, ``3.1k``, ``12k``, ``1.2M``."""
    if value is None:
        return MISSING
    sign = "-" if value < 0 else ""
    value = abs(value)
    if 0 < value < 9.95 and value != round(value):
        return f"{sign}{value:.1f}"
    step = 0
    while value >= 999.5 and step < len(SUFFIXES) - 1:
        value /= 1000
        step += 1
    if step and value < 9.95:
        return f"{sign}{value:.1f}{SUFFIXES[step]}"
    return f"{sign}{value:.0f}{SUFFIXES[step]}"


def size(count: int | None) -> str:
    """Bytes in binary units: ``512``, ``3.1K``, ``41M``."""
    if count is None:
        return MISSING
    value = float(count)
    for suffix in ("", "K", "M", "G"):
        if value < 1000:
            return f"{value:.1f}{suffix}" if suffix and value < 9.95 else f"{value:.0f}{suffix}"
        value /= 1024
    return f"{value:.1f}T"


def percent(ratio: float | None, digits: int = 0) -> str:
    """A ratio of 0..1 as per cent; a small one that would read 0 keeps a digit."""
    if ratio is None:
        return MISSING
    value = ratio * 100
    if digits == 0 and 0 < value < 9.95:
        digits = 1
    return f"{value:.{digits}f}%"


def milliseconds(value: float | None) -> str:
    """``0.4ms``, ``9ms``, ``1.2s``."""
    if value is None:
        return MISSING
    if value >= 999.5:
        return f"{value / 1000:.1f}s"
    return f"{value:.1f}ms" if 0 < value < 0.95 else f"{value:.0f}ms"


def duration(seconds: float | None) -> str:
    """``0.4s``, ``14s``, ``2m46s``, ``3h05m``, ``4d02h``."""
    if seconds is None:
        return MISSING
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02d}h"


def clock(wall_ms: int, offset_s: int = 0) -> str:
    """``12:03:46`` of a moment, ``offset_s`` east of Greenwich."""
    seconds = (wall_ms // 1000 + offset_s) % 86_400
    return f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"


def plural(count: int, word: str) -> str:
    """``1 node``, ``3 nodes``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def clip(text: str, width: int) -> str:
    """``text`` cut to ``width`` characters, the cut shown by ``~``."""
    if len(text) <= width:
        return text
    return text[: width - 1] + "~" if width > 0 else ""


def fill(text: str, width: int) -> str:
    """``text`` clipped and padded on the right to exactly ``width`` characters."""
    return clip(text, width).ljust(width)
