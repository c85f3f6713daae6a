"""Reads a log as it grows, through rotation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

POLL_S: Final = 0.2


def log_size(path: Path) -> int:
    """Bytes in a log now; 0 when there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def follow_lines(
    path: Path, position: int, pause: Callable[[float], None] = time.sleep
) -> Iterator[str]:
    """Lines that are added behind ``position``, without end; a rotated file is read to its end, then
    its successor from the start.
    """
    file = _open(path)
    if file is not None:
        file.seek(position)
    partial = b""
    try:
        while True:
            # Looked up before reading: what comes into a file that is rotated later is not missed.
            current = file is not None and _is_at(file, path)
            chunk = file.read() if file is not None else b""
            *lines, partial = (partial + chunk).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in lines)
            if current:
                if not chunk:
                    pause(POLL_S)
                continue
            successor = _open(path)
            if successor is None:
                pause(POLL_S)
                continue
            if file is not None:
                file.close()
            file = successor
    finally:
        if file is not None:
            file.close()


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except OSError:
        return None


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether this open file is still the one of that name; a missing one has no successor yet."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False
