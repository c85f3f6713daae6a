"""Which start of the machine this is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

_LINUX: Final = Path("/proc/sys/kernel/random/boot_id")
_MACOS: Final = ("sysctl", "-n", "kern.bootsessionuuid")
_ANSWER_S_MAX: Final = 5.0


def boot_id() -> str:
    """Tells one start of the machine from the next.

    Where the system does not say, no two calls agree: a start that can't be recognised is a new one.
    """
    try:
        return _LINUX.read_text().strip()
    except OSError:
        return _from_sysctl() or os.urandom(16).hex()


def _from_sysctl() -> str:
    try:
        told = subprocess.run(
            _MACOS, capture_output=True, text=True, check=False, timeout=_ANSWER_S_MAX
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""
