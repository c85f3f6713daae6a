"""From a command's bytes to its registry entry, and from outcomes to replies.

What :mod:`nodecore.doors.resp` needs that has no state: name look-up with Redis's errors, the bounds
of MULTI's queue, and the replies of runs of plain GETs and SETs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from nodecore import limits
from nodecore.doors.commands.registry import (
    BY_NAME,
    SPELLED,
    unknown_command,
    unknown_subcommand,
    wrong_arity,
)
from nodecore.doors.commands.spec import (
    WRONG_TYPE,
    Arguments,
    Ask,
    Command,
    CommandError,
    failure,
)
from nodecore.doors.resp_cells import Finish
from nodecore.doors.resp_connection import Connection, Transaction
from nodecore.doors.resp_execution import render
from nodecore.doors.resp_writer import OK, Encoder, error
from nodecore.ids import Now, Version
from nodecore.requests import Done, Outcome, Value


@final
class Run:
    """What a request in flight needs to be finished and to hold others back."""

    __slots__ = ("barrier", "count", "finish", "keys", "writes")

    def __init__(
        self,
        finish: Finish,
        keys: Sequence[bytes],
        writes: bool,
        count: int,
        barrier: bool = False,
    ) -> None:
        self.finish = finish
        self.keys = keys
        self.writes = writes
        self.count = count
        self.barrier = barrier


def look_up(arguments: Arguments) -> Command:
    """The registry entry of a command, subcommands resolved.

    Raises:
        CommandError: unknown, or a wrong number of arguments.
    """
    command = SPELLED.get(arguments[0]) or BY_NAME.get(arguments[0].lower())
    if command is None:
        raise CommandError(unknown_command(arguments))
    if command.subcommands and len(arguments) > 1:
        inner = command.subcommands.get(arguments[1].lower())
        if inner is None:
            raise CommandError(unknown_subcommand(arguments))
        command = inner
    if not command.fits(len(arguments)):
        raise CommandError(wrong_arity(command))
    return command


def run_end(commands: Sequence[Arguments], first: int, count_max: int) -> int:
    """Where the run of commands with the name and length of the first one ends."""
    name, length = commands[first][0], len(commands[first])
    end, last = first + 1, min(len(commands), first + count_max)
    while end < last and commands[end][0] == name and len(commands[end]) == length:
        end += 1
    return end


def enqueue(transaction: Transaction, command: Command, arguments: Arguments) -> None:
    """Queue a command after MULTI.

    Raises:
        CommandError: the queue is full.
    """
    transaction.queued_bytes += sum(map(len, arguments))
    if (
        len(transaction.queued) >= limits.BATCH_KEYS_MAX
        or transaction.queued_bytes > limits.RESP_COMMAND_BYTES_MAX
    ):
        raise CommandError("ERR too many commands in one transaction")
    transaction.queued.append((command, arguments))


def finish_gets(encoder: Encoder, count: int, outcomes: Sequence[Outcome], _: Now) -> bytes:
    """The replies of ``count`` plain GETs."""
    outcome = outcomes[0]
    if not isinstance(outcome, Done):
        return failure(outcome) * count
    assert isinstance(outcome.result, list)
    nil = encoder.nil
    parts = []
    for entry in outcome.result:
        if type(entry) is Value:
            if entry.kind:
                parts.append(error(WRONG_TYPE))
            else:
                parts.append(b"$%d\r\n%b\r\n" % (len(entry.value), entry.value))
        else:
            parts.append(nil if entry is None else failure(entry))
    return b"".join(parts)


def finish_sets(count: int, outcomes: Sequence[Outcome], _: Now) -> bytes:
    """The replies of ``count`` plain SETs."""
    outcome = outcomes[0]
    if not isinstance(outcome, Done):
        return failure(outcome) * count
    assert isinstance(outcome.result, list)
    if {Version}.issuperset(map(type, outcome.result)):
        return OK * count
    return b"".join(
        [OK if isinstance(entry, tuple) else failure(entry) for entry in outcome.result]
    )


def finish_ask(connection: Connection, ask: Ask, outcomes: Sequence[Outcome], now: Now) -> bytes:
    """The reply of any other command."""
    return render(connection, ask, outcomes, now)


def never(_: Sequence[Outcome], __: Now) -> bytes:
    """The finish of a cell that is settled directly."""
    raise AssertionError("a transaction settles its reply itself")
