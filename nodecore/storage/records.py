"""The form in which an entry is kept on disk and in backup files, and how damage to it is found.

A record is a header (magic, format version, kind, flags, rank, version of the entry, expiry, lengths),
the key, the value, and a checksum (XXH3, 128 bits) over all of that. Every length is checked before
anything is cut, so that no bytes whatever make decoding fail in another way than ``BadRecord``.

It decides what is a whole record and what is not. It reads and writes no medium, and gives the rank
no meaning.

Sources: XXH3 (Collet) for the checksum: it finds accidents, it does not keep forgers out.
"""

from __future__ import annotations

from enum import StrEnum
from struct import Struct
from typing import Final, NamedTuple

import xxhash

from nodecore.ids import Version
from nodecore.limits import KEY_BYTES_MAX, VALUE_BYTES_MAX
from nodecore.table.interface import HLC_MAX, Entry, Kind

MAGIC: Final = b"RR"
FORMAT_VERSION: Final = 1
RANK_MAX: Final = 15
FLAG_DURABLE: Final = 1
"""Flag: an acknowledged write of a keyspace that promises to keep it; no copy in memory replaces it."""

_HEADER: Final = Struct(">2sBBBBQIQII")
_RANK_AT: Final = 5
_CHECKSUM_BYTES: Final = 16
OVERHEAD_BYTES: Final = _HEADER.size + _CHECKSUM_BYTES
"""What a record is longer than its key and its value."""
RECORD_BYTES_MAX: Final = KEY_BYTES_MAX + VALUE_BYTES_MAX + OVERHEAD_BYTES
_FLAGS: Final = FLAG_DURABLE
_KINDS: Final = frozenset(int(kind) for kind in Kind)
_NODE_MAX: Final = 2**32 - 1
_EXPIRY_MAX: Final = 2**53


class Defect(StrEnum):
    """Why bytes are no record."""

    SHORT = "short"
    MAGIC = "magic"
    FORMAT = "format"
    LENGTHS = "lengths"
    CHECKSUM = "checksum"
    FIELDS = "fields"
    """The checksum holds and a field is out of range: it was written so."""
    MISPLACED = "misplaced"
    """A whole record, under another key."""


class BadRecord(Exception):  # noqa: N818 - the name says what it is
    """Bytes that are no whole record.

    Args:
        defect: why.
        text: one line for a person.
    """

    def __init__(self, defect: Defect, text: str) -> None:
        super().__init__(text)
        self.defect = defect


class Record(NamedTuple):
    """An entry as it is kept."""

    key: bytes
    kind: int
    value: bytes
    version: Version
    expires_ms: int
    """Wall-clock milliseconds; 0 = never."""
    rank: int = 0
    """How often it was used when it was written, 0..RANK_MAX."""
    flags: int = 0

    @property
    def durable(self) -> bool:
        """Whether a promise rests on it."""
        return bool(self.flags & FLAG_DURABLE)


class RecordHead(NamedTuple):
    """What stands before key and value: believed only by those who can bear an error."""

    kind: int
    flags: int
    rank: int
    version: Version
    expires_ms: int
    record_bytes: int


def encode(record: Record) -> bytes:
    """The bytes of a record.

    Raises:
        ValueError: a field is outside its range.
    """
    key, kind, value, version, expires_ms, rank, flags = record
    if not _in_range(kind, flags, rank, version, expires_ms):
        raise ValueError(f"a field of {record!r} is out of range")
    if len(key) > KEY_BYTES_MAX or len(value) > VALUE_BYTES_MAX:
        raise ValueError(f"key of {len(key)} and value of {len(value)} bytes")
    head = _HEADER.pack(
        MAGIC, FORMAT_VERSION, kind, flags, rank, *version, expires_ms, len(key), len(value)
    )
    body = head + key + value
    return body + xxhash.xxh3_128_digest(body)


def encode_entry(entry: Entry, rank: int) -> bytes:
    """As ``encode`` of an entry of a table, which has looked at the other fields when it took them.

    Raises:
        ValueError: the expiry or the rank is outside its range.
    """
    key, value, expires_ms = entry.key, entry.value, entry.expires_ms
    if expires_ms > _EXPIRY_MAX or not 0 <= rank <= RANK_MAX:
        raise ValueError(f"rank {rank} or expiry {expires_ms} is out of range")
    head = _HEADER.pack(
        MAGIC, FORMAT_VERSION, entry.kind, 0, rank, entry.hlc, entry.node, expires_ms,
        len(key), len(value),
    )  # fmt: skip
    body = head + key + value
    return body + xxhash.xxh3_128_digest(body)


def decode(data: bytes, key: bytes | None = None) -> Record:
    """The record that ``data`` is, checked in full.

    Args:
        data: exactly one record.
        key: the key that it was kept under; None: whichever it says.

    Raises:
        BadRecord: it is none, or another key's.
    """
    kind, flags, rank, hlc, node, expires_ms, key_end = _fields(data)
    if xxhash.xxh3_128_digest(data[:-_CHECKSUM_BYTES]) != data[-_CHECKSUM_BYTES:]:
        raise BadRecord(Defect.CHECKSUM, "the checksum differs")
    version = Version(hlc, node)
    if not _in_range(kind, flags, rank, version, expires_ms):
        fields = (kind, flags, rank, version, expires_ms)
        raise BadRecord(Defect.FIELDS, f"a field is out of range: {fields!r}")
    own_key = data[_HEADER.size : key_end]
    if key is not None and key != own_key:
        raise BadRecord(Defect.MISPLACED, "the record belongs to another key")
    value = data[key_end:-_CHECKSUM_BYTES]
    return Record(own_key, kind, value, version, expires_ms, rank, flags)


def peek(data: bytes) -> tuple[bytes, RecordHead]:
    """Key and header without the checksum, where a wrong answer costs a comparison and no data.

    Raises:
        BadRecord: the form alone shows that it is no record.
    """
    kind, flags, rank, hlc, node, expires_ms, key_end = _fields(data)
    head = RecordHead(kind, flags, rank, Version(hlc, node), expires_ms, len(data))
    return data[_HEADER.size : key_end], head


def peek_rank(data: bytes) -> int:
    """As ``peek``, the rank alone: of what is no record anything."""
    return data[_RANK_AT] if len(data) > _RANK_AT else 0


def _fields(data: bytes) -> tuple[int, int, int, int, int, int, int]:
    """Kind, flags, rank, clock value, node, expiry, and where the key ends."""
    if len(data) < OVERHEAD_BYTES:
        raise BadRecord(Defect.SHORT, f"{len(data)} bytes are no record")
    magic, version, kind, flags, rank, hlc, node, expires_ms, key_bytes, value_bytes = (
        _HEADER.unpack_from(data)
    )
    if magic != MAGIC:
        raise BadRecord(Defect.MAGIC, f"begins with {magic.hex()}")
    if version != FORMAT_VERSION:
        raise BadRecord(Defect.FORMAT, f"format {version}, this program knows {FORMAT_VERSION}")
    key_end = _HEADER.size + key_bytes
    if key_end + value_bytes + _CHECKSUM_BYTES != len(data):
        text = f"key of {key_bytes} and value of {value_bytes} bytes in {len(data)}"
        raise BadRecord(Defect.LENGTHS, text)
    return kind, flags, rank, hlc, node, expires_ms, key_end


def _in_range(kind: int, flags: int, rank: int, version: Version, expires_ms: int) -> bool:
    return (
        kind in _KINDS
        and not flags & ~_FLAGS
        and 0 <= rank <= RANK_MAX
        and 0 <= version.hlc <= HLC_MAX
        and 0 <= version.node <= _NODE_MAX
        and 0 <= expires_ms <= _EXPIRY_MAX
    )
