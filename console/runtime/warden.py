"""The warden: a small process that starts a console's nodes and never outlives it with them.

Run as ``python -m console.runtime.warden``. Commands come as JSON lines on standard input, events
leave as JSON lines on standard output. When standard input closes (the console quit, crashed or
was killed), every child is resumed and killed, paused ones too, and the warden ends. That is why
nodes are the warden's children and not the console's: a paused node can't notice an end of file,
and the parent-death signal follows the thread that spawned, not the process.

Commands: ``{"id": 1, "do": "spawn", "arguments": [...], "environment": {...}, "output": PATH}``,
``{"id": 2, "do": "signal", "pid": 1234, "signal": 9}``. Answers: ``{"id": 1, "pid": 1234}`` or
``{"id": 1, "error": "..."}``. Event: ``{"exited": 1234, "status": 9}``.

Standard library only, one thread, no imports that could fail late.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

from console.runtime.processes import spawn_detached

LINE_BYTES_MAX: Final = 1024 * 1024
CHILDREN_MAX: Final = 256
REAP_DEADLINE_S: Final = 5.0


class Warden:
    """Holds the children; knows nothing of what they are."""

    def __init__(self, commands: int, events: int) -> None:
        self._commands = commands
        self._events = events
        self._children: set[int] = set()
        self._buffer = b""

    def run(self, wake: int) -> None:
        """Serve until the console's end of the pipe closes; then end every child."""
        try:
            while True:
                ready, _, _ = select.select([self._commands, wake], [], [])
                if wake in ready:
                    os.read(wake, 4096)
                    self._reap()
                if self._commands in ready and not self._read():
                    return
        finally:
            self._end_children()

    def _read(self) -> bool:
        chunk = os.read(self._commands, 65_536)
        if not chunk:
            return False
        self._buffer += chunk
        *lines, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > LINE_BYTES_MAX:
            return False
        for line in lines:
            if line.strip():
                self._serve(line)
        return True

    def _serve(self, line: bytes) -> None:
        number: object = None
        try:
            command = json.loads(line)
            number = command["id"]
            self._say({"id": number, **self._do(command)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._say({"id": number, "error": f"{type(error).__name__}: {error}"})

    def _do(self, command: dict[str, Any]) -> dict[str, object]:
        if command["do"] == "spawn":
            if len(self._children) >= CHILDREN_MAX:
                raise ValueError(f"{CHILDREN_MAX} children run already")
            output = Path(command["output"])
            pid = spawn_detached(command["arguments"], command["environment"], output)
            self._children.add(pid)
            return {"pid": pid}
        if command["do"] == "signal":
            pid = int(command["pid"])
            if pid not in self._children:
                raise ValueError(f"{pid} is no child of this warden")
            os.kill(pid, signal.Signals(int(command["signal"])))
            return {"pid": pid}
        raise ValueError(f"unknown command {command['do']!r}")

    def _reap(self) -> None:
        for pid in sorted(self._children):
            try:
                done, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                done, status = pid, 0
            if done == pid:
                self._children.discard(pid)
                self._say({"exited": pid, "status": status})

    def _say(self, message: dict[str, object]) -> None:
        line = json.dumps(message).encode() + b"\n"
        # The console may be gone already; the closed input will say so.
        with contextlib.suppress(BrokenPipeError):
            while line:
                line = line[os.write(self._events, line) :]

    def _end_children(self) -> None:
        for pid in sorted(self._children):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + REAP_DEADLINE_S
        while self._children and time.monotonic() < end:
            for pid in sorted(self._children):
                try:
                    done, _ = os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    done = pid
                if done == pid:
                    self._children.discard(pid)
            if self._children:
                time.sleep(0.01)


def main() -> None:
    """Serve the console at the other end of standard input."""
    # A session of its own: signals to the console's terminal must not end its nodes' keeper first.
    with contextlib.suppress(OSError):
        os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    os.set_blocking(wake, False)
    # Any handler will do: what matters is that the signal writes to the wake-up pipe.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    Warden(sys.stdin.fileno(), sys.stdout.fileno()).run(wake)


if __name__ == "__main__":
    main()
