"""Runs one async command to its end and turns what went wrong into one exception."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

import trio

from console.errors import ConsoleError

T = TypeVar("T")
ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


def run_command(function: Callable[[], Awaitable[T]]) -> T:
    """``trio.run``, with the groups around a cause taken off.

    A command that is terminated, or whose terminal is closed, ends as with Ctrl-C: what it has
    begun is taken back.

    Raises:
        ConsoleError: what the command raised; of several at once the first.
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP.
    """

    async def call() -> T:
        results: list[T] = []
        async with trio.open_nursery() as nursery:
            await nursery.start(_cancel_on_signal, nursery.cancel_scope)
            results.append(await function())
            nursery.cancel_scope.cancel()
        if not results:
            raise KeyboardInterrupt
        return results[0]

    try:
        return trio.run(call)
    except BaseExceptionGroup as group:
        leaves = list(leaves_of(group))
        for wanted in (KeyboardInterrupt, ConsoleError):
            for leaf in leaves:
                if isinstance(leaf, wanted):
                    raise leaf from None
        if len(leaves) == 1:
            raise leaves[0] from None
        raise


async def _cancel_on_signal(
    scope: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    # Under nohup a closed terminal is to be ignored, and stays so.
    wanted = [one for one in ENDING if signal.getsignal(one) is not signal.SIG_IGN]
    if not wanted:
        task_status.started()
        return
    with trio.open_signal_receiver(*wanted) as received:
        task_status.started()
        async for _ in received:
            scope.cancel()
            return


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """The exceptions within nested groups."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves_of(inner)
    else:
        yield error
