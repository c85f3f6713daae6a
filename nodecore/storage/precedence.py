"""Which of two records of one key stands: the one with the greater version."""

from __future__ import annotations

from nodecore.ids import Version
from nodecore.table.interface import Entry
from nodecore.table.tie import tie_wins


def is_newer(version: Version, kind: int, value: bytes, there: Entry) -> bool:
    """Whether an arriving record replaces the one that is there; ``tie_wins`` settles equal versions."""
    known = (there.hlc, there.node)
    if version != known:
        return version > known
    return tie_wins(kind, value, there.kind, there.value)
