"""One command, its end, and the signals that end it."""

from __future__ import annotations

import os
import signal

import pytest
import trio

from console.errors import UsageError
from console.runtime.run import run_command


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_terminated_command_takes_back_what_it_has_begun(number: signal.Signals) -> None:
    undone = []

    async def command() -> None:
        try:
            os.kill(os.getpid(), number)
            await trio.sleep_forever()
        finally:
            undone.append(number)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        run_command(command)
    assert undone == [number]
    assert signal.getsignal(number) is before


def test_a_closed_terminal_is_ignored_under_nohup(monkeypatch: pytest.MonkeyPatch) -> None:
    async def command() -> str:
        os.kill(os.getpid(), signal.SIGHUP)
        await trio.lowlevel.checkpoint()
        return "done"

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run_command(command) == "done"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_one_cause_is_raised_as_it_is() -> None:
    async def wrong() -> None:
        async with trio.open_nursery():
            raise UsageError("no")

    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(UsageError, match="no"):
        run_command(wrong)
    with pytest.raises(ZeroDivisionError):
        run_command(broken)
