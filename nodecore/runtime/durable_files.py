"""Replacing a file so that a power failure leaves the old one or the new one, and nothing between."""

from __future__ import annotations

import os
from pathlib import Path


def write_durably(target: Path, body: bytes) -> None:
    """Let ``body`` be what a file holds; readable by its owner only.

    Raises:
        OSError: the disk refused.
    """
    temporary = target.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    replace_durably(temporary, target)


def replace_durably(source: Path, target: Path) -> None:
    """Rename over a file, and flush the folder that says so. The source must be flushed already.

    Raises:
        OSError: the disk refused.
    """
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
