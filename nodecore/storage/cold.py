"""What memory knows of records on disk: the size of the filter of their keys, counts per slot, and entries
read from there.

The filter (``table.key_filter``) answers "surely not there" for most keys that are not, so that a write
or a miss seldom has to ask the disk. It only ever gathers; a walk over all records makes a new one. A
cold entry looks like an entry of the table and is none: nothing that is done to it lasts.
"""

from __future__ import annotations

from array import array
from typing import Final, final

from xxhash import xxh3_64_digest

from nodecore.ids import SLOTS_COUNT
from nodecore.storage.paging import HASH_BITS
from nodecore.storage.records import Record
from nodecore.table.interface import ENTRY_OVERHEAD_BYTES, Entry, Kind

_HASH_BYTES: Final = HASH_BITS // 8
PREFIX_BYTES: Final = 2 + _HASH_BYTES + 1
"""What stands before the key: slot, hash, and a zero that lets a walk begin before the empty key."""
BITS_MIN: Final = 1 << 12


def place_of(slot: int, key: bytes) -> bytes:
    """Where a record of the cache lies: by slot, then in the order in which slots are walked."""
    # The digest is the hash, high bytes first.
    return slot.to_bytes(2, "big") + xxh3_64_digest(key)[:_HASH_BYTES] + b"\0" + key


def place_from(slot: int, least: int) -> bytes:
    """The place just below every key of the slot whose hash is at least ``least``."""
    return ((slot << HASH_BITS) | least).to_bytes(PREFIX_BYTES - 1, "big")


def key_at(place: bytes) -> bytes:
    """Key of a place."""
    return place[PREFIX_BYTES:]


def hash_at(place: bytes) -> int:
    """Hash of a place, see ``paging``."""
    return int.from_bytes(place[2 : 2 + _HASH_BYTES], "big")


def slot_at(place: bytes) -> int:
    """Slot of a place, as far as damaged bytes can tell one."""
    return int.from_bytes(place[:2], "big") % SLOTS_COUNT


@final
class ColdEntry:
    """An entry that is on disk only, in the shape of ``Entry``."""

    __slots__ = ("_record", "bare", "counter", "generation", "queue", "slot")

    def __init__(self, record: Record, slot: int) -> None:
        self._record = record
        self.slot = slot
        self.bare = False
        self.counter = 0
        self.queue = 0
        self.generation = 0

    @property
    def record(self) -> Record:
        return self._record

    @property
    def key(self) -> bytes:
        return self._record.key

    @property
    def value(self) -> bytes:
        return self._record.value

    @property
    def reply(self) -> bytes:
        """As ``Entry.reply``."""
        if self._record.kind == Kind.TOMBSTONE:
            return b"$-1\r\n"
        return b"$%d\r\n%b\r\n" % (len(self._record.value), self._record.value)

    @property
    def hlc(self) -> int:
        return self._record.version.hlc

    @property
    def node(self) -> int:
        return self._record.version.node

    @property
    def expires_ms(self) -> int:
        return self._record.expires_ms

    @property
    def kind(self) -> int:
        return self._record.kind

    @property
    def size(self) -> int:
        """What it would cost in memory."""
        return len(self.key) + len(self.value) + ENTRY_OVERHEAD_BYTES

    def snapshot(self) -> Entry:
        """Itself: it never changes."""
        return self

    def release(self) -> None:
        """Nothing holds on to it."""


def filter_bits(bytes_max: int, disk_bytes_max: int) -> int:
    """Size of a filter: four bits for a record of 256 bytes, within a sixty-fourth of the memory."""
    wanted = min(disk_bytes_max >> 6, bytes_max >> 3)
    bits = BITS_MIN
    while bits * 2 <= wanted:
        bits *= 2
    return bits


@final
class ColdCounts:
    """Keys that are on disk and not in memory, by slot."""

    def __init__(self) -> None:
        self._counts = array("l", bytes(array("l").itemsize * SLOTS_COUNT))
        self.total = 0

    def __getitem__(self, slot: int) -> int:
        return self._counts[slot]

    def add(self, slot: int, count: int) -> None:
        """Count keys in or out; a slot never has fewer than none."""
        count = max(count, -self._counts[slot])
        self._counts[slot] += count
        self.total += count

    def clear(self) -> None:
        """None anywhere."""
        self._counts = array("l", bytes(array("l").itemsize * SLOTS_COUNT))
        self.total = 0
