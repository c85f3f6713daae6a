"""The sheet of keyspaces: a row for each policy, and how to change it.

Rows stand from the default to the longest pattern; of all that match a key the longest governs it.
Fits the sheet of an 80-column terminal; longer patterns are cut with a sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from console.formatting import escape_text
from console.keyspace_text import ttl_text
from nodecore.placement.topology import Keyspace

_PATTERN_WIDTH: Final = 18
"""Without the sign that it was cut."""
_ROW: Final = "{:<19} {:<8} {:>5} {:>7} {:<8} {:<9} {}"
_HEAD: Final = _ROW.format("pattern", "mode", "N/W/R", "ttl", "durable", "partition", "disk")
_FACTS: Final = (
    "N copies of each key, W acknowledge a write, R owners answer a read.",
    "In a partition, on the side with few voters: available goes on and",
    "merges later, read-only takes no writes, refuse answers nothing.",
)


def keyspace_lines(keyspaces: Sequence[Keyspace], cluster: str, *, read_only: bool) -> list[str]:
    """The sheet's lines; without a known topology one that says so."""
    if not keyspaces:
        return ["The policies are not known: no node has told its topology yet."]
    ordered = sorted(keyspaces, key=lambda keyspace: (len(keyspace.pattern), keyspace.pattern))
    lines = [_HEAD, *(_row(keyspace) for keyspace in ordered), "", *_FACTS, ""]
    lines += [_memory_line(keyspace) for keyspace in ordered if keyspace.w_past]
    if not read_only:
        lines += [
            "To change them, in another terminal (what is not named stays):",
            f"  ringdeck keyspace set 'session:*' --ttl 30s --name {cluster}",
            f"  ringdeck keyspace set '*' --n 3 --w 2 --preview --name {cluster}",
            "  ringdeck keyspace set --help",
        ]
    return lines


def _row(keyspace: Keyspace) -> str:
    return _ROW.format(
        escape_text(keyspace.pattern, _PATTERN_WIDTH),
        keyspace.mode,
        f"{keyspace.n}/{keyspace.w}/{keyspace.r}",
        ttl_text(keyspace.ttl_ms),
        keyspace.durability,
        keyspace.on_partition,
        "through" if keyspace.write_through else "-",
    )


def _memory_line(keyspace: Keyspace) -> str:
    asked = keyspace.n - keyspace.w_past + 1
    pattern = escape_text(keyspace.pattern, _PATTERN_WIDTH)
    return f"{pattern}: W was {keyspace.w_past} once, so a miss needs {asked} owners."
