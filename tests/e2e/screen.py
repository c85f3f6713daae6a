"""A real terminal for tests: the console on a pseudo-terminal, its screen kept by an emulator."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyte

from tests.e2e.harness import ROOT

# Sequences of the modern keyboard protocol and of private modes that the emulator does not know.
UNKNOWN = re.compile(rb"\x1b\[[<>=?][0-9;]*[a-zA-Z]|\x1b\[[?>][0-9;]*\$p|\x1bP.*?\x1b\\")


PRIVATE_MODE = re.compile(rb"\x1b\[\?([0-9;]+)([hl])")
MODES_ON = (b"25", b"7")
"""Cursor and line wrap: on in a terminal that nobody has changed."""


class Screen:
    """One console process and what it shows."""

    def __init__(self, pid: int, descriptor: int, columns: int, rows: int) -> None:
        self.pid = pid
        self._descriptor = descriptor
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._ended = False
        self._raw = bytearray()
        self.status: int | None = None

    @property
    def text(self) -> str:
        """The screen as lines."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def cell(self, column: int, row: int) -> str:
        """One character of the screen, from 0, 0 at the top left."""
        return str(self._screen.buffer[row][column].data)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._descriptor, keys.encode())

    def pump(self, seconds: float = 0.05) -> None:
        """Take what the console has drawn."""
        if self._ended:
            time.sleep(seconds)
            return
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if not ready:
            return
        try:
            data = os.read(self._descriptor, 65_536)
        except OSError:
            data = b""
        if not data:
            self._ended = True
            return
        self._raw += data
        self._stream.feed(UNKNOWN.sub(b"", data))

    def wait_for(self, pattern: str, deadline_s: float = 30.0) -> str:
        """Wait until the screen matches; returns the match."""
        end = time.monotonic() + deadline_s
        while True:
            found = re.search(pattern, self.text)
            if found:
                return found[0]
            assert not self._ended, f"the console ended; its last screen:\n{self.text}"
            assert time.monotonic() < end, f"not seen: {pattern}\n{self.text}"
            self.pump()

    def wait_gone(self, pattern: str, deadline_s: float = 30.0) -> None:
        """Wait until the screen no longer matches."""
        end = time.monotonic() + deadline_s
        while re.search(pattern, self.text):
            assert not self._ended, f"the console ended; its last screen:\n{self.text}"
            assert time.monotonic() < end, f"still there: {pattern}\n{self.text}"
            self.pump()

    def wait_end(self, deadline_s: float = 30.0) -> int:
        """Wait for the end of the process; returns its exit code."""
        end = time.monotonic() + deadline_s
        while self.status is None:
            assert time.monotonic() < end, f"the console does not end:\n{self.text}"
            self.pump()
            self._reap()
        return os.waitstatus_to_exitcode(self.status)

    def resize(self, columns: int, rows: int) -> None:
        """Another size of the window."""
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)
        os.kill(self.pid, signal.SIGWINCH)

    def changed_modes(self) -> list[bytes]:
        """Private modes (mouse, alternate screen, paste ...) that were switched and not given back."""
        state = dict.fromkeys(MODES_ON, b"h")
        for modes, switch in PRIVATE_MODE.findall(self._raw):
            state.update(dict.fromkeys(modes.split(b";"), switch))
        return sorted(mode for mode, on in state.items() if (on == b"h") != (mode in MODES_ON))

    def echoes(self) -> bool:
        """Whether the terminal takes lines and echoes them, as a shell expects."""
        wanted = termios.ECHO | termios.ICANON | termios.ISIG
        local_modes: int = termios.tcgetattr(self._descriptor)[3]
        return local_modes & wanted == wanted

    def hang_up(self) -> None:
        """Close the terminal under the console's feet."""
        os.close(self._descriptor)
        self._descriptor = -1
        self._ended = True

    def kill(self) -> None:
        """End the console without a chance to clean up."""
        self._reap()
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            _, self.status = os.waitpid(self.pid, 0)

    def close(self) -> None:
        """Release everything."""
        self.kill()
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _reap(self) -> None:
        if self.status is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.status = status


@contextlib.contextmanager
def open_screen(
    environment: Mapping[str, str], *arguments: str, columns: int = 120, rows: int = 40
) -> Iterator[Screen]:
    """``ringdeck ARGUMENTS`` on a terminal of its own for the length of the block."""
    command = [sys.executable, "-m", "console.cli", *arguments]
    with open_terminal(environment, command, ROOT, columns=columns, rows=rows) as screen:
        yield screen


@contextlib.contextmanager
def open_terminal(
    environment: Mapping[str, str],
    command: Sequence[str],
    folder: Path,
    *,
    columns: int = 120,
    rows: int = 40,
) -> Iterator[Screen]:
    """Any command on a terminal of its own for the length of the block."""
    settings = {**environment, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        settings.pop(name, None)
    pid, descriptor = pty.fork()
    if pid == 0:  # pragma: no cover - becomes another program
        os.chdir(folder)
        os.execvpe(command[0], list(command), settings)
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.kill(pid, signal.SIGWINCH)
    screen = Screen(pid, descriptor, columns, rows)
    try:
        yield screen
    finally:
        screen.close()
