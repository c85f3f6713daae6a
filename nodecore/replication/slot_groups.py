"""Groups of slots, as the comparison of digests speaks of them: encoded as runs, split into parts.

A group is a list of slots in ascending order. On the wire it is a string of runs, each the first
slot and the number of slots in four bytes: the slots that one owner leads lie side by side, so a
group of hundreds takes a few runs. What comes from a peer is checked here.
"""

from __future__ import annotations

import struct
from typing import Final

from nodecore.ids import SLOTS_COUNT

FAN_OUT: Final = 8
"""Parts of a group that differs: 512 slots are narrowed to one in three steps."""
SMALL_GROUP: Final = 2 * FAN_OUT
"""Groups up to this many slots are split into single ones: one step less for a few digests more."""
_RUN: Final = struct.Struct(">HH")


def encode_group(slots: list[int]) -> bytes:
    """As runs; ``slots`` ascend."""
    runs: list[bytes] = []
    first = last = -2
    for slot in slots:
        if slot != last + 1:
            if first >= 0:
                runs.append(_RUN.pack(first, last - first + 1))
            first = slot
        last = slot
    if first >= 0:
        runs.append(_RUN.pack(first, last - first + 1))
    return b"".join(runs)


def decode_group(plain: object) -> list[int]:
    """The slots of a group from a peer; empty when it is malformed, or empty."""
    if (
        not isinstance(plain, bytes)
        or len(plain) % _RUN.size
        or len(plain) > _RUN.size * SLOTS_COUNT
    ):
        return []
    slots: list[int] = []
    end = 0
    for first, count in _RUN.iter_unpack(plain):
        if first < end or not 0 < count <= SLOTS_COUNT - first:
            return []
        end = first + count
        slots.extend(range(first, end))
    return slots


def split_group(slots: list[int]) -> list[list[int]]:
    """Parts of nearly equal size, none empty: single slots of a small group, else ``FAN_OUT``."""
    parts = len(slots) if len(slots) <= SMALL_GROUP else FAN_OUT
    return [
        slots[len(slots) * part // parts : len(slots) * (part + 1) // parts]
        for part in range(parts)
    ]
