"""What the operating system says about this process."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import NamedTuple


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
