"""The backup file: header, checksummed records, trailer; encoded and decoded piece by piece.

    prologue  16 bytes that name the format, format version (2), length of the header (4)
    header    plain data (see ``Header``), XXH3-128 of everything before the checksum
    record    length (4), then a record as the disk tier keeps it, with a checksum of its own
    trailer   a length of 0, records (8), bytes of keys and values (8), end of the walk (8),
              XXH3-128 of the whole file before the digest

All numbers are big-endian. The decoder takes any pieces and holds at most one record; whatever is
not exactly such a file ends in ``BadBackup``, which says what is wrong, at which byte and in which
record. The checksums find accidents; they do not keep forgers out.

It reads and writes no medium and judges no record's meaning.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple, final

import xxhash

from nodecore.storage.records import (
    OVERHEAD_BYTES,
    RECORD_BYTES_MAX,
    BadRecord,
    Record,
    decode,
    encode,
)
from transport.codec import pack_plain, unpack_plain
from transport.errors import TransportError

MAGIC: Final = b"ringdeck backup\n"
FORMAT_VERSION: Final = 1
HEADER_BYTES_MAX: Final = 1024 * 1024
"""Thousands of keyspaces; nothing longer is waited for."""

_PROLOGUE: Final = Struct(">16sHI")
_LENGTH: Final = Struct(">I")
_TRAILER: Final = Struct(">QQQ")
_DIGEST_BYTES: Final = 16


class BadBackup(Exception):  # noqa: N818 - the name says what it is
    """Bytes that are no whole backup.

    Args:
        text: why, for a person.
        offset: byte of the file at which the damaged part begins.
        record: number of the damaged record, from 1; 0 outside of the records.
    """

    def __init__(self, text: str, offset: int, record: int = 0) -> None:
        where = f"byte {offset}" + (f", record {record}" if record else "")
        super().__init__(f"{text} (at {where})")
        self.text = text
        self.offset = offset
        self.record = record


class Space(NamedTuple):
    """One keyspace of the cluster that was backed up."""

    pattern: str
    mode: str
    """``eventual`` or ``strong``: versions of strong keys mean nothing to other clusters."""


class Header(NamedTuple):
    """Where a backup comes from."""

    cluster_id: str
    epoch: int
    """Of the topology when the walk began."""
    created_hlc: int
    """A clock value of a node when the walk began."""
    created_ms: int
    """Wall-clock milliseconds of the same moment."""
    nodes: int
    """Members at that moment."""
    spaces: tuple[Space, ...]

    def space_of(self, key: bytes) -> Space:
        """The keyspace of a key: the longest pattern that it begins with."""
        found = [s for s in self.spaces if key.startswith(s.pattern.rstrip("*").encode())]
        return max(found, key=lambda space: len(space.pattern), default=Space("*", "eventual"))


class Trailer(NamedTuple):
    """How a backup ends."""

    records: int
    payload_bytes: int
    """Of all keys and values."""
    ended_ms: int
    """Wall-clock milliseconds when the last entry had been read."""
    digest: bytes


@final
class Encoder:
    """Makes the bytes of one backup, in order: header, records, trailer."""

    def __init__(self) -> None:
        self._digest = xxhash.xxh3_128()
        self.records = 0
        self.payload_bytes = 0
        self.file_bytes = 0

    def header(self, header: Header) -> bytes:
        """The first bytes."""
        plain = [*header[:-1], [list(space) for space in header.spaces]]
        body = pack_plain(plain)
        if len(body) > HEADER_BYTES_MAX:
            raise ValueError(f"header of {len(body)} bytes exceeds {HEADER_BYTES_MAX}")
        head = _PROLOGUE.pack(MAGIC, FORMAT_VERSION, len(body)) + body
        return self._count(head + xxhash.xxh3_128_digest(head))

    def record(self, record: Record) -> bytes:
        """One entry.

        Raises:
            ValueError: a field is outside its range.
        """
        packed = encode(record)
        self.records += 1
        self.payload_bytes += len(record.key) + len(record.value)
        return self._count(_LENGTH.pack(len(packed)) + packed)

    def trailer(self, ended_ms: int) -> bytes:
        """The last bytes."""
        self._count(_LENGTH.pack(0))
        figures = self._count(_TRAILER.pack(self.records, self.payload_bytes, ended_ms))
        return _LENGTH.pack(0) + figures + self._digest.digest()

    def _count(self, data: bytes) -> bytes:
        self._digest.update(data)
        self.file_bytes += len(data)
        return data


@final
class Decoder:
    """Takes a backup apart; call ``feed`` until the file ends, then ``finish``."""

    def __init__(self) -> None:
        self._digest = xxhash.xxh3_128()
        self._held = bytearray()
        self._payload_bytes = 0
        self.offset = 0
        """Bytes of the file that have been understood."""
        self.records = 0
        self.header: Header | None = None
        self.trailer: Trailer | None = None

    def feed(self, data: bytes) -> list[Record]:
        """The records that are complete now.

        Raises:
            BadBackup: this is no backup, or a damaged one.
        """
        self._held += data
        if self.header is None and not self._take_header():
            return []
        found: list[Record] = []
        at = 0
        held = bytes(self._held)
        while self.trailer is None and len(held) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(held, at)
            end = at + _LENGTH.size + (length or _TRAILER.size + _DIGEST_BYTES)
            if length and not OVERHEAD_BYTES <= length <= RECORD_BYTES_MAX:
                raise self._damaged(f"a record of {length} bytes can't be", at)
            if len(held) < end:
                break
            if length:
                found.append(self._record(held[at + _LENGTH.size : end], at))
                self._digest.update(held[at:end])
            else:
                self._take_trailer(held[at:end], at)
            at = end
        self.offset += at
        del self._held[:at]
        if self.trailer is not None and self._held:
            text = "bytes follow behind the end of the backup"
            raise BadBackup(text, self.offset)
        return found

    def finish(self) -> Trailer:
        """The file has ended.

        Raises:
            BadBackup: in the middle of a backup.
        """
        if self.header is None:
            held = bytes(self._held)
            if not held or not MAGIC.startswith(held[: len(MAGIC)]):
                self._check_magic(held)
            raise BadBackup(f"truncated: the file ends after {len(held)} bytes", self.offset)
        if self.trailer is None:
            size = self.offset + len(self._held)
            text = f"truncated: the file ends after {size} bytes"
            raise BadBackup(text, self.offset, self.records + 1)
        return self.trailer

    # -- parts -------------------------------------------------------------------------------

    def _check_magic(self, held: bytes) -> None:
        if held[: len(MAGIC)] != MAGIC:
            text = f"not a ringdeck backup: it begins with {held[: len(MAGIC)]!r}"
            raise BadBackup(text if held else "not a ringdeck backup: the file is empty", 0)

    def _take_header(self) -> bool:
        held = bytes(self._held[: _PROLOGUE.size + HEADER_BYTES_MAX + _DIGEST_BYTES])
        if len(held) >= len(MAGIC):
            self._check_magic(held)
        if len(held) < _PROLOGUE.size:
            return False
        _magic, version, length = _PROLOGUE.unpack_from(held)
        if version != FORMAT_VERSION:
            text = f"backup format {version}, this program knows {FORMAT_VERSION}"
            raise BadBackup(text, len(MAGIC))
        if length > HEADER_BYTES_MAX:
            raise BadBackup(f"a header of {length} bytes can't be", len(MAGIC))
        end = _PROLOGUE.size + length
        if len(held) < end + _DIGEST_BYTES:
            return False
        if xxhash.xxh3_128_digest(held[:end]) != held[end : end + _DIGEST_BYTES]:
            raise BadBackup("the checksum of the header differs", 0)
        self.header = _parse_header(held[_PROLOGUE.size : end])
        end += _DIGEST_BYTES
        self._digest.update(held[:end])
        self.offset = end
        del self._held[:end]
        return True

    def _record(self, packed: bytes, at: int) -> Record:
        try:
            record = decode(packed)
        except BadRecord as error:
            raise self._damaged(str(error), at) from None
        self.records += 1
        self._payload_bytes += len(record.key) + len(record.value)
        return record

    def _take_trailer(self, packed: bytes, at: int) -> None:
        digest_at = _LENGTH.size + _TRAILER.size
        self._digest.update(packed[:digest_at])
        if self._digest.digest() != packed[digest_at:]:
            raise self._damaged("the digest of the whole backup differs", at)
        records, payload_bytes, ended_ms = _TRAILER.unpack_from(packed, _LENGTH.size)
        if records != self.records or payload_bytes != self._payload_bytes:
            text = f"{self.records} records of {self._payload_bytes} bytes, not {records} of {payload_bytes}"
            raise self._damaged(text, at)
        self.trailer = Trailer(records, payload_bytes, ended_ms, packed[digest_at:])

    def _damaged(self, text: str, at: int) -> BadBackup:
        return BadBackup(text, self.offset + at, self.records + 1)


def _parse_header(body: bytes) -> Header:
    """Plain data that a checksum has vouched for: only another program can have shaped it badly."""
    try:
        plain = unpack_plain(body)
    except TransportError as error:
        raise BadBackup(f"the header can't be read: {error}", _PROLOGUE.size) from None
    match plain:
        case [str(cluster_id), int(epoch), int(hlc), int(created_ms), int(nodes), list(rows)]:
            spaces = tuple(Space(*row) for row in rows if _is_space(row))
            if len(spaces) == len(rows) and min(epoch, hlc, created_ms, nodes) >= 0:
                return Header(cluster_id, epoch, hlc, created_ms, nodes, spaces)
    raise BadBackup("the header is not one of a backup", _PROLOGUE.size)


def _is_space(row: object) -> bool:
    return isinstance(row, list) and len(row) == 2 and all(isinstance(text, str) for text in row)
