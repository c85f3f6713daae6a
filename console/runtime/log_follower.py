"""Follows a log as it grows, through rotation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

POLL_S: Final = 0.2


def follow_lines(path: Path) -> Iterator[str]:
    """Lines that are added from now on, without end; a rotated file is taken up from its start."""
    file = None
    inode = 0
    partial = ""
    try:
        while True:
            try:
                current = path.stat().st_ino
            except OSError:
                current = 0
            if file is None or current not in (0, inode):
                first = file is None
                if file is not None:
                    file.close()
                    file = None
                if current:
                    file = path.open(encoding="utf-8", errors="replace")
                    inode = current
                    if first:
                        file.seek(0, 2)
            chunk = file.read() if file is not None else ""
            *lines, partial = (partial + chunk).split("\n")
            yield from lines
            if not chunk:
                time.sleep(POLL_S)
    finally:
        if file is not None:
            file.close()
