"""The help sheet, generated from the registry of actions; no line is wider than the sheet."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Final

from console.actions import ACTIONS, GROUPS, blocked_reason, key_words
from console.source import Capability

SIGNS: Final = (
    ("ring", "letter = owner of the slots; dots = no live owner, or just moved; hatched, a small "
             "letter or + = goes to another owner; ? = peers suspect the owner"),
    ("breakers", "row = caller, column = callee; . closed  ~ half-open  x open, with its trips"),
    ("heat", "dark = cold, bright = hot; letter = owner; a hot line is a key, a block a node"),
    ("faults", "everything that you broke ends with H, with u one by one, and with the console"),
)  # fmt: skip
FAULT_MENU: Final = (
    ("page 1", "x kill -9, t terminate, p pause, o restart, v leave, l latency, c cut, b bandwidth, "
               "r reset peer, d drop, s slow close, z slicer, m limit, e edit active faults"),
    ("tab", "packet loss, corruption, disk and clock faults"),
)  # fmt: skip
_KEYS_WIDTH: Final = 18
_TITLE_WIDTH: Final = 19
_INDENT: Final = 6
_ONE_LINE_WIDTH: Final = 110
"""From here on keys, title and sentence of every action fit on one line."""


def help_lines(
    keymap: Mapping[str, str], capabilities: Capability, *, read_only: bool, width: int
) -> list[str]:
    """All actions by group, then the signs."""
    lines: list[str] = []
    for group in GROUPS:
        lines.append(group)
        for action in ACTIONS:
            if action.group != group:
                continue
            keys = key_words(keymap.get(action.action_id, action.keys))
            reason = blocked_reason(action, capabilities, read_only=read_only)
            blocked = f"  [{reason}]" if reason else ""
            head = f"  {keys:<{_KEYS_WIDTH - 2}} {action.title}"
            lines += _entry(head, f"{action.help}{blocked}", width)
        lines.append("")
    for title, entries in (("Fault menu (x)", FAULT_MENU), ("Signs", SIGNS)):
        lines.append(title)
        for word, text in entries:
            lines += _hanging(f"  {word:<11}", text, width)
        lines.append("")
    return lines


def _entry(head: str, text: str, width: int) -> list[str]:
    if width >= _ONE_LINE_WIDTH:
        return _hanging(f"{head:<{_KEYS_WIDTH + _TITLE_WIDTH}}", text, width)
    return [head[:width], *_hanging(" " * _INDENT, text, width)]


def _hanging(head: str, text: str, width: int) -> list[str]:
    """``head`` and the text beside it, further lines under the text."""
    pieces = textwrap.wrap(text, max(width - len(head), 10)) or [""]
    blank = " " * len(head)
    return [(head if index == 0 else blank) + piece for index, piece in enumerate(pieces)]
