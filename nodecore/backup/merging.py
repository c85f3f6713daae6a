"""Merges the pages of several owners: of each key the newest version, as far as all pages reach.

Pages of one walk begin at the same place and end at different ones; beyond the nearest end an owner
may know more, so the merge stops there and the next pages begin there. Deleted and expired keys are
left out only after they have been compared. Order and ties are the store's.

It asks nobody, and believes no shape: pages come from other processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from nodecore.ids import Version
from nodecore.limits import KEY_BYTES_MAX, VALUE_BYTES_MAX
from nodecore.storage.paging import hash_of
from nodecore.storage.records import Record
from nodecore.table.interface import HLC_MAX, Kind
from nodecore.table.tie import tie_wins

Position: TypeAlias = tuple[int, int, bytes]
"""(index of the slot, place in its order, key): where a walk has come to, inclusive."""
Order: TypeAlias = Callable[[bytes], int]
"""Place of a key in the order of its slot, before the key itself."""

_KINDS: Final = frozenset(int(kind) for kind in Kind)
_NODE_MAX: Final = 2**32 - 1
_EXPIRY_MAX: Final = 2**53


class MalformedPage(ValueError):  # noqa: N818 - the name says what it is
    """Plain data that is no page of entries."""


class Page(NamedTuple):
    """What one owner holds, from where it was asked to ``end``."""

    entries: list[tuple[Position, Record]]
    end: Position
    finished: bool
    """There is no more in the slots that were asked about."""
    incomplete: frozenset[int]
    """Slots of which the owner does not hold everything that it should."""
    wall_ms: int
    """Its wall clock."""


def by_hash(key: bytes) -> int:
    """The order in which stores are walked."""
    return hash_of(key)


def by_name(_key: bytes) -> int:
    """The order in which strong keys are walked."""
    return 0


def before(index: int) -> Position:
    """The position before all keys of a slot."""
    return index, -1, b""


def page_of(plain: object, slots: Sequence[int], order: Order) -> Page:
    """Parse the result of the verb ``backup.entries``.

    Raises:
        MalformedPage: the shape is wrong, or it does not get on.
    """
    match plain:
        case {
            "entries": list(entries),
            "counts": list(counts),
            "done": int(done),
            "after": bytes() | None as after,
            "incomplete": list(incomplete),
            "wall_ms": int(wall_ms),
        }:
            if not all(type(count) is int and count >= 0 for count in counts):
                raise MalformedPage("counts of a page make no sense")
            if sum(counts) != len(entries) or not done <= len(counts) <= min(done + 1, len(slots)):
                raise MalformedPage("a page counts other entries than it brings")
        case _:
            raise MalformedPage("not a page of entries")
    if done == 0 and after is None:
        raise MalformedPage("a page ends where it began")
    found: list[tuple[Position, Record]] = []
    rows = iter(entries)
    for index, count in enumerate(counts):
        for _number in range(count):
            record = _record(next(rows))
            found.append(((index, order(record.key), record.key), record))
    end = before(done) if after is None else (done, order(after), after)
    if any(position > end for position, _record in found):
        raise MalformedPage("entries lie behind the end of their page")
    return Page(
        found,
        end,
        done >= len(slots),
        frozenset(slot for slot in incomplete if isinstance(slot, int)),
        wall_ms,
    )


def merge(pages: Sequence[Page]) -> tuple[list[tuple[Position, Record]], Position]:
    """The live entries that all pages reach, in order, and up to where that is."""
    end = min(page.end for page in pages)
    wall_ms = max(page.wall_ms for page in pages)
    newest: dict[Position, Record] = {}
    for page in pages:
        for position, record in page.entries:
            if position > end:
                continue
            there = newest.get(position)
            if there is None or _wins(record, there):
                newest[position] = record
    live = [
        (position, record)
        for position, record in newest.items()
        if record.kind != Kind.TOMBSTONE and not 0 < record.expires_ms <= wall_ms
    ]
    live.sort(key=lambda found: found[0])
    return live, end


def _wins(record: Record, there: Record) -> bool:
    if record.version != there.version:
        return record.version > there.version
    return tie_wins(record.kind, record.value, there.kind, there.value)


def _record(plain: object) -> Record:
    match plain:
        case [bytes(key), int(kind), bytes(value), int(hlc), int(node), int(expires_ms)]:
            if (
                kind in _KINDS
                and len(key) <= KEY_BYTES_MAX
                and len(value) <= VALUE_BYTES_MAX
                and 0 <= hlc <= HLC_MAX
                and 0 <= node <= _NODE_MAX
                and 0 <= expires_ms <= _EXPIRY_MAX
            ):
                return Record(key, kind, value, Version(hlc, node), expires_ms)
    raise MalformedPage("an entry of a page is malformed")
