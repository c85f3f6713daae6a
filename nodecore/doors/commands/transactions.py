"""MULTI, DISCARD, WATCH, UNWATCH; EXEC's entry.

The session queues commands after MULTI and runs them at EXEC, one after another, on keys of one
slot. Between them other clients' commands may run: EXEC is a unit of order on its connection, not
of isolation. WATCH compares versions at EXEC, before the first command.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nodecore import limits
from nodecore.doors.commands.spec import (
    Arguments,
    Ask,
    Command,
    CommandError,
    check_keys,
    failure,
    listed,
)
from nodecore.doors.resp_connection import Connection, Transaction
from nodecore.doors.resp_writer import OK
from nodecore.ids import NO_VERSION, Now
from nodecore.requests import Outcome, Read, Value


def multi(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    if connection.transaction is not None:
        raise CommandError("ERR MULTI calls can not be nested")
    connection.transaction = Transaction()
    return OK


def discard(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    if connection.transaction is None:
        raise CommandError("ERR DISCARD without MULTI")
    connection.transaction = None
    connection.watched.clear()
    return OK


def execute(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    """The session runs an open transaction itself; what is left is the misuse."""
    raise CommandError("ERR EXEC without MULTI")


def versions_of(found: Sequence[object]) -> list[object]:
    """The versions of a Read's result, for WATCH."""
    return [entry.version if isinstance(entry, Value) else NO_VERSION for entry in found]


def _render_watched(
    connection: Connection, outcomes: Sequence[Outcome], extra: object, now: Now
) -> bytes:
    found = listed(outcomes[0])
    if not isinstance(found, list):
        return failure(found)
    assert isinstance(extra, tuple)
    for key, entry in zip(extra, found, strict=True):
        version = entry.version if isinstance(entry, Value) else NO_VERSION
        connection.watched.setdefault(key, version)
    return OK


def watch(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    if connection.transaction is not None:
        raise CommandError("ERR WATCH inside MULTI is not allowed")
    keys = tuple(arguments[1:])
    check_keys(keys)
    if len(keys) + len(connection.watched) > limits.BATCH_KEYS_MAX:
        raise CommandError(f"ERR more than {limits.BATCH_KEYS_MAX} watched keys")
    return Ask((Read(keys, connection.level),), _render_watched, keys)


def unwatch(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    connection.watched.clear()
    return OK


_GROUP: Final = "transactions"

COMMANDS: Final = (
    Command("multi", 1, multi, ("fast",), "Begin to queue commands.", _GROUP, barrier=True, since="1.2.0"),
    Command("exec", 1, execute, (), "Run the queued commands in order; keys of one slot only.", _GROUP, barrier=True, since="1.2.0"),
    Command("discard", 1, discard, ("fast",), "Drop the queued commands.", _GROUP, barrier=True, since="2.0.0"),
    Command("watch", -2, watch, ("fast",), "Let EXEC answer nil when these keys change.", _GROUP, 1, -1, 1, barrier=True, since="2.2.0"),
    Command("unwatch", 1, unwatch, ("fast",), "Forget watched keys.", _GROUP, barrier=True, since="2.2.0"),
)  # fmt: skip
