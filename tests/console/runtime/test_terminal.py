"""A terminal that vanishes: nothing fails, and the process hears of it once."""

from __future__ import annotations

import os
import pty
import signal
import sys
from types import FrameType

from console.runtime.terminal import LastingTerminal, lasting_terminal


def test_what_is_written_arrives_while_there_is_a_terminal() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as file:
        terminal = LastingTerminal(file)
        assert terminal.isatty()
        assert terminal.fileno() == theirs
        assert terminal.write("look") == 4
        terminal.flush()
        assert os.read(ours, 100) == b"look"
        os.close(ours)


def test_a_lost_terminal_swallows_and_hangs_up_once() -> None:
    heard: list[int] = []

    def hear(number: int, _frame: FrameType | None) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGHUP, hear)
    ours, theirs = pty.openpty()
    os.close(ours)
    file = os.fdopen(theirs, "w", buffering=1)
    try:
        terminal = LastingTerminal(file)
        for _ in range(3):
            assert terminal.write("line\n") == 5
            terminal.flush()
        assert not terminal.isatty()
        assert heard == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, before)
        os.dup2(os.open(os.devnull, os.O_WRONLY), theirs)
        file.close()


def test_the_screen_s_terminal_is_given_back() -> None:
    def kind() -> str:
        return type(sys.__stderr__).__name__

    before = kind()
    with lasting_terminal():
        assert kind() == LastingTerminal.__name__
    assert kind() == before
