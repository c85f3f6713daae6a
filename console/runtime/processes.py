"""Processes of this machine by pid: begin, signal, look at, without ever hitting the wrong one.

A pid alone is not an identity: it may be given to another program. Together with the moment when
the process began it is. Zombies (ended, not yet reaped by their parent) count as ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Final

PACKAGE_ROOT: Final = Path(__file__).resolve().parent.parent.parent
_STAT_BYTES_MAX: Final = 4096


class RunState(Enum):
    """What a process is doing."""

    RUNNING = "running"
    STOPPED = "stopped"
    """Suspended by a signal."""
    GONE = "gone"


def look(pid: int) -> tuple[RunState, str]:
    """State of a process and when it began; the text is empty when it is gone."""
    if pid <= 0:
        return RunState.GONE, ""
    if sys.platform == "linux":
        try:
            text = _read_stat(pid)
        except OSError:
            return RunState.GONE, ""
        fields = text.rpartition(b")")[2].decode().split()
        code, born = fields[0], fields[19]
    else:
        code, born = _ask_ps(pid)
    if code[:1] in ("Z", "X", ""):
        return RunState.GONE, ""
    return (RunState.STOPPED if code[:1] == "T" else RunState.RUNNING), born


def _read_stat(pid: int) -> bytes:
    """The kernel's line on a process, by bare calls: the console reads it several times a second for
    every node.
    """
    descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _STAT_BYTES_MAX)
    finally:
        os.close(descriptor)


def _ask_ps(pid: int) -> tuple[str, str]:
    command = ["ps", "-o", "state=,lstart=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    code, _, born = done.stdout.strip().partition(" ")
    return code, born.strip()


def state_of(pid: int, born: str) -> RunState:
    """State of the process that began at ``born``; GONE when the pid is another's now."""
    state, began = look(pid)
    return state if began == born else RunState.GONE


def send(pid: int, born: str, number: signal.Signals) -> bool:
    """Signal a process; False when it is gone."""
    if state_of(pid, born) is RunState.GONE:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def spawn_detached(
    arguments: Sequence[str], environment: Mapping[str, str], output_path: Path
) -> int:
    """Begin a process in a session of its own, its output appended to a file; returns its pid.

    It survives the end of this process and of the terminal.

    Raises:
        OSError: the program or the file can't be opened.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(output_path), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    defaults = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD]
    return os.posix_spawn(
        arguments[0],
        list(arguments),
        dict(environment),
        file_actions=actions,
        setsid=True,
        setsigdef=defaults,
        setsigmask=[],
    )


def reap(pid: int) -> int | None:
    """Collect an ended child: its wait status; None while it runs or when it is no child of ours."""
    with contextlib.suppress(ChildProcessError):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done == pid:
            return status
    return None


def exit_text(status: int) -> str:
    """``exit 2`` or ``exit -9`` from a wait status."""
    return f"exit {os.waitstatus_to_exitcode(status)}"


def python_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a child finds the product's packages from any folder."""
    prepared = dict(environment)
    known = [part for part in prepared.get("PYTHONPATH", "").split(os.pathsep) if part]
    if str(PACKAGE_ROOT) not in known:
        known.insert(0, str(PACKAGE_ROOT))
    prepared["PYTHONPATH"] = os.pathsep.join(known)
    return prepared
