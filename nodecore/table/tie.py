"""Settles a tie: two writes of one key with the same clock value and the same node tag.

Both replicas must keep the same bytes whichever arrived first. A tombstone wins over a value (an
expired entry keeps its version when it becomes a tombstone, so the tombstone knows more); of two
values the one with the greater hash wins. It decides nothing about versions that differ.
"""

from __future__ import annotations

import xxhash

from nodecore.table.interface import Kind


def tie_wins(kind: int, value: bytes, kind_there: int, value_there: bytes) -> bool:
    """Whether the arriving record replaces the one that is there; False for equal records."""
    if kind_there == Kind.TOMBSTONE:
        return False
    if kind == Kind.TOMBSTONE:
        return True
    arriving = (xxhash.xxh3_64_intdigest(value), kind)
    return arriving > (xxhash.xxh3_64_intdigest(value_there), kind_there)
