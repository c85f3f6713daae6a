"""A terminal that may vanish: what is written to it then goes nowhere, and the console is told.

Textual draws from a thread through a bounded queue. Were a write to fail, because the window was
closed or the connection lost, that thread would end, the queue would fill, and the console would
stand still with its nodes running. So writes never fail here; the first that would have sends this
process a hang-up, which heals and stops like any polite end from outside.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, final


@final
class LastingTerminal(io.TextIOBase):
    """Writes to a terminal while there is one."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self.lost = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The terminal's own."""
        return self._terminal.encoding

    def fileno(self) -> int:
        """The terminal's descriptor."""
        return self._terminal.fileno()

    def isatty(self) -> bool:
        """Whether it is one."""
        return not self.lost and self._terminal.isatty()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Write, or let it go."""
        if not self.lost:
            try:
                self._terminal.write(text)
            except OSError:
                self._lose()
        return len(text)

    def flush(self) -> None:
        """Pass on what is held back."""
        if not self.lost:
            try:
                self._terminal.flush()
            except OSError:
                self._lose()

    def _lose(self) -> None:
        self.lost = True
        os.kill(os.getpid(), signal.SIGHUP)


@contextmanager
def lasting_terminal() -> Iterator[None]:
    """For the length of the block the screen draws through a :class:`LastingTerminal`."""
    terminal = sys.__stderr__
    if terminal is None:
        yield
        return
    # Textual draws on what it finds under this name.
    sys.__dict__["__stderr__"] = LastingTerminal(terminal)
    try:
        yield
    finally:
        sys.__dict__["__stderr__"] = terminal
