"""Reads a recorded trace from a file or standard input, unpacked by its extension.

``.gz`` and ``.zst`` (``.zstd``) are unpacked as they are read; several packed parts in a row count as
one. What the bytes mean is decided by ``nodecore.storage.policy_sim.decoding``.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import zstandard

from console.errors import UsageError
from nodecore.storage.policy_sim.decoding import DECODERS, BadTrace
from nodecore.storage.policy_sim.trace import Trace

STANDARD_INPUT: Final = "-"
_CHUNK_BYTES: Final = 64 * 1024
_GZIP: Final = 16 + zlib.MAX_WBITS
Progress = Callable[[int, int], None]
"""(bytes read, bytes in all or 0 when that is unknown)."""


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def _unpackers(name: str) -> Callable[[], _Unpacker] | None:
    suffix = Path(name).suffix.lower()
    if suffix == ".gz":
        return lambda: zlib.decompressobj(_GZIP)
    if suffix in (".zst", ".zstd"):
        return lambda: zstandard.ZstdDecompressor().decompressobj()
    return None


def _unpacked(chunks: Iterator[bytes], make: Callable[[], _Unpacker], name: str) -> Iterator[bytes]:
    unpacker: _Unpacker | None = None
    for chunk in chunks:
        data = chunk
        while data:
            if unpacker is None:
                unpacker = make()
            try:
                yield unpacker.decompress(data)
            except (zlib.error, zstandard.ZstdError) as error:
                raise UsageError(
                    f"{name}: damaged or not packed as its name says: {error}"
                ) from None
            data = b""
            if unpacker.eof:
                data, unpacker = unpacker.unused_data, None
    if unpacker is not None:
        raise UsageError(f"{name}: cut off: the packed data ends in the middle")


def _chunks(file: BinaryIO, bytes_all: int, progress: Progress) -> Iterator[bytes]:
    done = 0
    while chunk := file.read(_CHUNK_BYTES):
        done += len(chunk)
        progress(done, bytes_all)
        yield chunk


def read_trace(name: str, format_: str, progress: Progress) -> Trace:
    """Read a whole trace.

    Args:
        name: path, or ``-`` for standard input.
        format_: one of ``DECODERS``.
        progress: told after every piece.

    Raises:
        UsageError: it can't be read or unpacked, or is malformed; says where.
    """
    shown = "standard input" if name == STANDARD_INPUT else name
    decoder = DECODERS[format_]()
    try:
        if name == STANDARD_INPUT:
            for chunk in _chunks(sys.stdin.buffer, 0, progress):
                decoder.feed(chunk)
            return decoder.end()
        make = _unpackers(name)
        with open(name, "rb") as file:
            chunks = _chunks(file, os.fstat(file.fileno()).st_size, progress)
            for chunk in chunks if make is None else _unpacked(chunks, make, shown):
                decoder.feed(chunk)
        return decoder.end()
    except BadTrace as error:
        raise UsageError(f"{shown}: {error}", hint=f"--format is {format_}") from None
    except OSError as error:
        raise UsageError(f"{shown}: {error.strerror or error}") from None
