"""Slots that are alike: what depends on owners alone is decided once for all that have the same.

On a ring neighbours mostly share their owners: groups are ranges, and flags of theirs are set range by
range. Where owners are assigned directly they alternate from slot to slot: groups are lists then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import compress, pairwise
from operator import is_not
from typing import Final, TypeAlias, TypeVar

from nodecore.ids import SLOTS_COUNT

Slots: TypeAlias = "range | list[int]"
"""Ascending."""
Groups: TypeAlias = "tuple[Slots, ...]"
"""Of all slots."""

Entry = TypeVar("Entry")

_RANGES_MAX: Final = 2_048
"""With more of them lists cost less."""


def group(*tables: Sequence[object] | None) -> Groups:
    """Slots whose entries are equal in each of these tables of 16,384 (None: it has no say)."""
    known = [table for table in tables if table is not None]
    starts: dict[int, None] = {0: None}
    for table in known:
        # Equal entries of neighbours are mostly the same object; a range too many harms nobody.
        different = map(is_not, table[1:], table[:-1])
        starts |= dict.fromkeys(compress(range(1, SLOTS_COUNT), different))
    if len(starts) <= _RANGES_MAX:
        return _ranges(starts)
    return _lists(zip(*known, strict=True))


def merge(one: Groups, other: Groups) -> Groups:
    """Slots that are alike in both."""
    ranges = [slots for slots in (*one, *other) if isinstance(slots, range)]
    if len(ranges) == len(one) + len(other) <= _RANGES_MAX:
        return _ranges(dict.fromkeys(slots.start for slots in ranges))
    return _lists(zip(_numbers(one), _numbers(other), strict=True))


def _lists(keys: Iterable[object]) -> Groups:
    found: defaultdict[object, list[int]] = defaultdict(list)
    for slot, key in enumerate(keys):
        found[key].append(slot)
    return tuple(found.values())


def _ranges(starts: dict[int, None]) -> Groups:
    return tuple(range(low, high) for low, high in pairwise((*sorted(starts), SLOTS_COUNT)))


def _numbers(groups: Groups) -> list[int]:
    numbers = [0] * SLOTS_COUNT
    for number, slots in enumerate(groups):
        for slot in slots:
            numbers[slot] = number
    return numbers


def mark(flags: bytearray, slots: Slots, value: int) -> None:
    """Set the flag of each of these slots."""
    if isinstance(slots, range):
        flags[slots.start : slots.stop] = bytes((value,)) * len(slots)
    else:
        for slot in slots:
            flags[slot] = value


def fill(entries: list[Entry], slots: Slots, entry: Entry) -> None:
    """Make this the entry of each of these slots."""
    if isinstance(slots, range):
        entries[slots.start : slots.stop] = [entry] * len(slots)
    else:
        for slot in slots:
            entries[slot] = entry


def count(flags: bytearray, slots: Slots, value: int) -> int:
    """How many of these slots have this flag."""
    if isinstance(slots, range):
        return flags.count(value, slots.start, slots.stop)
    return bytes(map(flags.__getitem__, slots)).count(value)


def exchange(flags: bytearray, slots: Slots, before: int, after: int) -> None:
    """Where the flag is one, make it the other."""
    if count(flags, slots, before):
        mark_those = [slot for slot in slots if flags[slot] == before]
        mark(flags, mark_those, after)
