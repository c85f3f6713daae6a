"""EXEC: the queued commands of one connection, one after another.

Checks that all keys lie in one slot and that no watched key changed, then runs each command when
the one before has its outcome. A command that fails does not stop those after it, as in Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, final

from nodecore.doors.commands.spec import (
    Arguments,
    Ask,
    Command,
    CommandError,
    failure,
    listed,
)
from nodecore.doors.commands.transactions import versions_of
from nodecore.doors.resp_connection import Connection, Transaction
from nodecore.doors.resp_writer import array, error
from nodecore.errors import Code
from nodecore.ids import Now
from nodecore.limits import READ_BYTES_MAX
from nodecore.requests import Done, Outcome, Read, Unknown

Settle: TypeAlias = Callable[[bytes, Now], None]
_SMALL_BYTES_MAX: Final = 1024
_TOO_MUCH: Final = error(f"ERR the replies of one transaction exceed {READ_BYTES_MAX} bytes")


@final
class Execution:
    """One running EXEC. Calls ``settle`` exactly once, possibly before ``start`` returns."""

    def __init__(self, connection: Connection, transaction: Transaction, settle: Settle) -> None:
        self._connection = connection
        self._commands: list[tuple[Command, Arguments]] = transaction.queued
        self._settle = settle
        self._replies: list[bytes] = []
        self._held_bytes = 0
        self._next = 0
        self._ask: Ask | None = None
        self._outcomes: list[Outcome] = []
        self._running = False
        self._expected: list[object] = []

    def start(self, now: Now) -> None:
        """Check slots and watched keys, then run."""
        connection = self._connection
        watched = dict(connection.watched)
        connection.watched.clear()
        keys = [key for command, arguments in self._commands for key in command.keys(arguments)]
        backend = connection.door.backend
        if len(set(backend.table.slots_of([*keys, *watched]))) > 1:
            self._settle(error("CROSSSLOT Keys in request don't hash to the same slot"), now)
            return
        if len(set(keys)) > 1 and any(map(backend.topology.is_strong, keys)):
            self._settle(error("ERR a transaction with a strong key may name no other key"), now)
            return
        if not watched:
            self._run(now)
            return
        self._expected = list(watched.values())
        request = Read(tuple(watched), connection.level)
        outcome = connection.door.backend.submit(request, self._on_watched, now)
        if outcome is not None:
            self._on_watched(outcome, now)

    def _on_watched(self, outcome: Outcome, now: Now) -> None:
        found = listed(outcome)
        if not isinstance(found, list):
            self._settle(failure(found), now)
        elif versions_of(found) != self._expected:
            self._settle(self._connection.encoder.nil_array, now)
        else:
            self._run(now)

    def _run(self, now: Now) -> None:
        """Go on until a request has to wait; a loop, so that long batches do not recurse."""
        self._running = True
        while self._next < len(self._commands) or self._ask is not None:
            if self._ask is None:
                self._begin(now)
            if self._ask is not None and not self._advance(self._ask, now):
                self._running = False
                return
        self._running = False
        self._settle(array(self._replies), now)

    def _begin(self, now: Now) -> None:
        command, arguments = self._commands[self._next]
        self._next += 1
        if self._held_bytes > READ_BYTES_MAX and not command.writes:
            self._take(_TOO_MUCH)
            return
        self._connection.door.backend.count_request(command.name)
        try:
            answer = command.handler(self._connection, arguments, now)
        except CommandError as refusal:
            answer = error(str(refusal))
        if isinstance(answer, bytes):
            self._take(answer)
        else:
            self._ask, self._outcomes = answer, []

    def _advance(self, ask: Ask, now: Now) -> bool:
        """Submit the rest of the current command's requests; False when one has to wait."""
        while len(self._outcomes) < len(ask.requests):
            request = ask.requests[len(self._outcomes)]
            outcome = self._connection.door.backend.submit(request, self._on_outcome, now)
            if outcome is None:
                return False
            self._outcomes.append(outcome)
        self._take(render(self._connection, ask, self._outcomes, now))
        self._ask = None
        return True

    def _take(self, reply: bytes) -> None:
        """Keep a reply; a large one past the bound (what a write found) is replaced, not its effect."""
        self._held_bytes += len(reply)
        late = self._held_bytes > READ_BYTES_MAX and len(reply) > _SMALL_BYTES_MAX
        self._replies.append(_TOO_MUCH if late else reply)

    def _on_outcome(self, outcome: Outcome, now: Now) -> None:
        self._outcomes.append(outcome)
        if not self._running:
            self._run(now)


def render(connection: Connection, ask: Ask, outcomes: Sequence[Outcome], now: Now) -> bytes:
    """The reply of an Ask. A result of the wrong type is a bug of the node, told as unknown."""
    try:
        return ask.render(connection, outcomes, ask.extra, now)
    except (AssertionError, AttributeError, TypeError, ValueError):
        happened = any(isinstance(outcome, Done) for outcome in outcomes)
        text = "the node answered in an unexpected form" + (", it happened" if happened else "")
        return failure(Unknown(Code.INTERNAL, text))
