"""Whether an LMDB environment that was not closed can be walked without harm.

LMDB maps its file and believes it: a damaged page can kill whoever reads it. So a child process goes
through every record first, within a deadline; the parent looks at how the child ended. It does not
judge the records themselves, and repairs nothing.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Callable
from typing import Final

CHECK_S_MAX: Final = 120.0
"""A child that takes longer over a small file is lost in a loop of damaged pages."""
SLOWEST_BYTES_PER_S: Final = 10 << 20
"""A disk that gives its pages more slowly than that is of no use."""
_POLL_S: Final = 0.002


def survives(walk: Callable[[], None], timeout_s: float = CHECK_S_MAX) -> bool:
    """Whether ``walk`` runs to its end in a child process of its own.

    Raises:
        OSError: no child could be made.
    """
    child = os.fork()
    if not child:
        status = 1
        faulthandler.disable()
        try:
            walk()
            status = 0
        finally:
            # Whatever happened: nothing of the parent's clean-up may run here.
            os._exit(status)
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0
        time.sleep(_POLL_S)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False
