"""What the operating system says about this process, and allows it."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from pathlib import Path
from typing import Final, NamedTuple

from nodecore.limits import CONNECTIONS_MAX, CONNECTIONS_RESERVED

FILES_SPARE: Final = 256
"""Descriptors beside accepted connections: own links to peers, records, log, the disk tier."""
FILES_WANTED: Final = 2 * CONNECTIONS_MAX + CONNECTIONS_RESERVED + FILES_SPARE
"""The client doors and the native door are bounded apart."""
CONNECTIONS_MIN: Final = 16
"""Let in even where next to nothing is allowed: operators must get through."""


class ProcessFigures(NamedTuple):
    """This process and its use of resources."""

    pid: int
    rss_bytes: int
    cpu_s: float


_STATM = Path("/proc/self/statm")
_PAGE_BYTES = resource.getpagesize()


def read_process() -> ProcessFigures:
    """Resident memory (the peak where the system tells no better) and processor seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = usage.ru_utime + usage.ru_stime
    try:
        rss_bytes = int(_STATM.read_bytes().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        rss_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return ProcessFigures(os.getpid(), rss_bytes, cpu_s)


def resident_file_bytes() -> int | None:
    """Resident bytes that are pages of files, programs and libraries included; None: not told here."""
    try:
        return int(_STATM.read_bytes().split()[2]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return None


def allow_connections() -> int:
    """Ask for the descriptors that full doors need, and say how many connections each may have.

    A process that has run out of descriptors can't write its records and would have to stop, so the
    doors are bounded below what is allowed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Some systems cap it below what they report as allowed: then the old bound stays.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= FILES_WANTED:
        return CONNECTIONS_MAX
    return max(CONNECTIONS_MIN, (soft - FILES_SPARE - CONNECTIONS_RESERVED) // 2)
