"""How much of mapped files stands in this process's resident memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_SHARED: Final = 2
"""Position of the resident pages that belong to files."""


def resident_file_bytes() -> int | None:
    """Resident bytes that are pages of files, programs and libraries included; None: not told here."""
    try:
        return int(_STATM.read_bytes().split()[_SHARED]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None
