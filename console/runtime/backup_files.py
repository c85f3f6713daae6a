"""Backup files on disk: written beside their name and renamed when whole; read and checked in pieces.

A file of the final name is always a whole backup: it is synced before it gets the name, and its
folder after. What can't be written or read becomes an error for the person; what is damaged is
refused with its position.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from console.errors import ConsoleError, UsageError
from nodecore.backup.file_format import BadBackup, Decoder, Encoder, Header, Trailer
from nodecore.storage.records import Record

PIECE_BYTES: Final = 1024 * 1024

OnPiece = Callable[[int, int], None]
"""(bytes read, bytes of the file)."""


@dataclass(slots=True)
class SpaceFigures:
    """What a backup holds of one keyspace."""

    pattern: str
    mode: str
    keys: int = 0
    bytes: int = 0
    expiring: int = 0


@dataclass(slots=True)
class Summary:
    """What a checked backup is."""

    header: Header
    trailer: Trailer
    file_bytes: int
    spaces: dict[str, SpaceFigures] = field(default_factory=dict)


@final
class BackupWriter:
    """A backup in the making; nothing has its name until ``finish``."""

    def __init__(self, path: Path, *, force: bool) -> None:
        self._path, self._force = path, force
        self._refuse_existing()
        self._temporary = path.with_name(f"{path.name}.tmp")
        self._encoder = Encoder()
        with _told(path):
            self._file = self._temporary.open("wb", buffering=PIECE_BYTES)

    def _refuse_existing(self) -> None:
        if self._path.is_dir():
            raise UsageError(f"{self._path} is a folder")
        if not self._force and self._path.exists():
            raise UsageError(f"{self._path} exists", hint="--force replaces it")

    @property
    def records(self) -> int:
        """Written so far."""
        return self._encoder.records

    @property
    def payload_bytes(self) -> int:
        """Keys and values written so far."""
        return self._encoder.payload_bytes

    def header(self, header: Header) -> None:
        """Write the beginning."""
        with _told(self._path):
            self._file.write(self._encoder.header(header))

    def add(self, records: Sequence[Record]) -> None:
        """Write entries."""
        with _told(self._path):
            for record in records:
                self._file.write(self._encoder.record(record))

    def finish(self, ended_ms: int) -> int:
        """Write the end, make it durable and give it its name; returns the size in bytes."""
        self._refuse_existing()
        with _told(self._path):
            self._file.write(self._encoder.trailer(ended_ms))
            self._file.flush()
            os.fsync(self._file.fileno())
            size = self._file.tell()
            self._file.close()
            self._temporary.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return size

    def abandon(self) -> None:
        """Leave nothing behind; harmless after ``finish``."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(FileNotFoundError):
            self._temporary.unlink()


def read_backup(path: Path, on_piece: OnPiece) -> Iterator[tuple[Decoder, list[Record]]]:
    """The records of a backup in pieces, each checked; the last piece says that the whole is sound.

    Raises:
        ConsoleError: it can't be read, or is not a whole backup.
    """
    decoder, done = Decoder(), 0
    try:
        with path.open("rb") as file:
            # A pipe has no size.
            size = max(1, os.fstat(file.fileno()).st_size)
            while piece := file.read(PIECE_BYTES):
                done += len(piece)
                records = decoder.feed(piece)
                on_piece(done, size)
                yield decoder, records
        decoder.finish()
    except FileNotFoundError:
        raise UsageError(f"no file {path}") from None
    except OSError as error:
        raise ConsoleError(f"{path}: {error.strerror or error}") from None
    except BadBackup as error:
        raise ConsoleError(f"{path}: {error}", hint="nothing of it was used") from None


def verify(path: Path, on_piece: OnPiece) -> Summary:
    """Read a backup from end to end.

    Raises:
        ConsoleError: it can't be read, or is not a whole backup.
    """
    spaces: dict[str, SpaceFigures] = {}
    last: Decoder | None = None
    for decoder, records in read_backup(path, on_piece):
        last = decoder
        header = decoder.header
        for record in records:
            assert header is not None
            pattern, mode = header.space_of(record.key)
            figures = spaces.setdefault(pattern, SpaceFigures(pattern, mode))
            figures.keys += 1
            figures.bytes += len(record.key) + len(record.value)
            figures.expiring += record.expires_ms > 0
    assert last is not None
    assert last.header is not None
    assert last.trailer is not None
    return Summary(last.header, last.trailer, last.offset, dict(sorted(spaces.items())))


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Trouble with the disk as an error for the person."""
    try:
        yield
    except OSError as error:
        raise ConsoleError(f"{path} can't be written: {error.strerror or error}") from None
