"""Runs one async command to its end and turns what went wrong into one exception."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import trio

from console.errors import ConsoleError

T = TypeVar("T")


def run_command(function: Callable[[], Awaitable[T]]) -> T:
    """``trio.run``, with the group around a single cause taken off.

    Raises:
        ConsoleError: what the command raised; of several at once the first.
        KeyboardInterrupt: Ctrl-C.
    """

    async def call() -> T:
        return await function()

    try:
        return trio.run(call)
    except BaseExceptionGroup as group:
        leaves = list(leaves_of(group))
        for wanted in (KeyboardInterrupt, ConsoleError):
            for leaf in leaves:
                if isinstance(leaf, wanted):
                    raise leaf from None
        raise


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """The exceptions within nested groups."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves_of(inner)
    else:
        yield error
