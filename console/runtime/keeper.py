"""The keeper: ends one node when a console is gone that is not its parent.

Run as ``python -m console.runtime.keeper NODE_PID NODE_BORN OWNER_PID OWNER_BORN``. Nodes of a console
die with it: those that it started are children of its warden. A node that somebody else starts for
that console's cluster, such as ``ringdeck chaos restart`` or a second console that is attached, has no
pipe to it; its keeper looks for the console instead, resumes and kills the node when there is none,
and ends with the node. Standard library only, no imports that could fail late.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import Final

from console.runtime.processes import RunState, send, state_of

POLL_S: Final = 0.5
"""Looking costs two reads of ``/proc``."""


def keep(node: tuple[int, str], owner: tuple[int, str]) -> None:
    """Wait until the node is gone; see to it once the owner is."""
    while state_of(*node) is not RunState.GONE:
        if state_of(*owner) is RunState.GONE:
            send(*node, signal.SIGCONT)
            send(*node, signal.SIGKILL)
        time.sleep(POLL_S)


def main(arguments: list[str]) -> None:
    """Keep the node and the owner that the arguments name."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    node_pid, node_born, owner_pid, owner_born = arguments
    keep((int(node_pid), node_born), (int(owner_pid), owner_born))


if __name__ == "__main__":
    main(sys.argv[1:])
