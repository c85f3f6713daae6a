"""A RESP session: commands in, replies out, in order.

It decides what runs when. Replies keep the order of commands. Commands on different keys may be in
flight together; one that touches a key which an earlier unanswered command changes (or changes a
key which one reads) waits, and *barrier* commands run alone, so a pipeline means what it would mean
one command at a time. Runs of plain GETs, and of plain SETs, become one request to the node; while
nothing waits they are cut from the bytes by the table, which knows how they are spelled, and the
parser sees only the rest.

Backpressure is visible in ``outstanding``: commands in flight plus commands parsed and waiting. The
session never drops a command that it has read, and never reads past ``OUTSTANDING_REQUESTS_MAX``
in flight. It stops running while UNSENT_BYTES_MAX of replies wait to be taken (``stalled``), so
that a short pipeline of GETs of large values can't fill the memory. Syntax and meaning of commands
are in :mod:`nodecore.doors.commands`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, final

from nodecore import limits
from nodecore.doors.commands.cluster import redirect
from nodecore.doors.commands.spec import Arguments, Command, CommandError
from nodecore.doors.resp_cells import Cell, KeysInFlight, Replies
from nodecore.doors.resp_connection import Connection, DoorState, Transaction
from nodecore.doors.resp_dispatch import (
    Run,
    enqueue,
    finish_ask,
    finish_gets,
    finish_sets,
    look_up,
    never,
    run_end,
)
from nodecore.doors.resp_execution import Execution
from nodecore.doors.resp_parser import RespParser
from nodecore.doors.resp_writer import QUEUED, error
from nodecore.doors.session import TOO_SLOW, Backend
from nodecore.ids import Now
from nodecore.requests import Level, Read, Request, Write
from nodecore.table.interface import SLOT_FIRST, SLOT_READ

_GETS: Final = frozenset({b"GET", b"get"})
_SETS: Final = frozenset({b"SET", b"set"})
_IN_TRANSACTION: Final = frozenset({"exec", "discard", "multi", "watch", "quit", "reset"})
"""Commands that MULTI does not queue."""
_RUN_KEYS_MAX: Final = limits.READ_BYTES_MAX // (
    limits.VALUE_BYTES_MAX + limits.KEY_BYTES_MAX + 1024
)
"""GETs in one request: never refused for the size of what they find."""
_EXEC_ABORT: Final = "EXECABORT Transaction discarded because of previous errors."
_NO_AUTH: Final = "NOAUTH Authentication required."


@final
class RespDoor:
    """Makes the sessions of one RESP door."""

    def __init__(
        self,
        backend: Backend,
        *,
        resp_cluster: str = "auto",
        password: bytes = b"",
        version: str = "",
    ) -> None:
        self.state = DoorState(backend, resp_cluster, password, version)

    def connect(self, wake: Callable[[], None], peer: str = "") -> RespSession:
        """A session for a new connection; ``peer`` is its address for CLIENT LIST."""
        return RespSession(self.state, wake, peer)


@final
class RespSession:
    """One RESP connection, see :class:`nodecore.doors.session.Session`."""

    def __init__(self, state: DoorState, wake: Callable[[], None], peer: str = "") -> None:
        state.accepted += 1
        self.connection = Connection(state, state.accepted, peer)
        self.connection.authenticated = not state.password
        self.connection.redirects = state.resp_cluster == "redirect"
        state.connections[state.accepted] = self.connection
        self._backend = state.backend
        self._wake = wake
        self._parser = RespParser()
        self._parser.set_authenticated(self.connection.authenticated)
        self._replies = Replies()
        self._reply = self._replies.add
        self._commands: list[Arguments] = []
        self._next = 0
        self._flying = 0
        self._keys = KeysInFlight()
        self._barrier = False
        self._active = False
        self._ending = False
        self.outstanding = 0
        self.closing = False
        self.partial = False
        self.held = False
        self.stalled = False
        self.nil = self.connection.encoder.nil
        self.gate_open = self._gate_fits = False
        self.gate_bits = SLOT_READ
        self._settle()

    # --- the seam to the data plane -------------------------------------------------------------

    def receive(self, data: bytes, now: Now) -> None:
        """Take bytes and run what they complete."""
        if self._ending or not data:
            return
        self.connection.touch(now)
        if self._parser.idle and self._next >= len(self._commands) and self._plain:
            data = self._run_plain(data, now)
            if not data:
                self._settle()
                return
        commands = self._parser.parse(data)
        if self._next < len(self._commands):
            self._commands = self._commands[self._next :] + commands
        else:
            self._commands = commands
        self._next = 0
        self._work(now)

    def take_output(self) -> bytes:
        """Replies that are ready, in order."""
        self.gate_open = self._gate_fits
        return self._replies.take()

    def resume(self, now: Now) -> None:
        """Run what waited for its output to be taken."""
        if self.stalled:
            self._work(now)

    def time_out(self, now: Now) -> None:
        """The command that was begun has not come to its end in time."""
        if not self._ending:
            self.connection.door.protocol_errors += 1
            self._reply(error(f"ERR Protocol error: {TOO_SLOW}"))
            self._ending = True
            self._settle()

    def end(self, now: Now) -> None:
        """The connection is gone."""
        self._replies.forget()
        self._commands = []
        self._next = 0
        self._ending = True
        self.closing = True
        self.gate_open = self._gate_fits = False
        self.outstanding = 0
        self.connection.door.connections.pop(self.connection.client_id, None)

    # --- running ---------------------------------------------------------------------------------

    @property
    def _plain(self) -> bool:
        """Whether plain GETs and SETs are nothing special on this connection now."""
        connection = self.connection
        return (
            connection.transaction is None and connection.authenticated and not connection.redirects
        )

    def _run_plain(self, data: bytes, now: Now) -> bytes:
        """Run the plain commands at the front of ``data`` that need not wait; returns the rest."""
        cut = self._backend.table.plain_run
        at, end = 0, len(data)
        self._active = True
        while at < end and not (self._barrier or self.held):
            if self._replies.ready_bytes >= limits.UNSENT_BYTES_MAX:
                break
            keys, values, after = cut(data, at, limits.OUTSTANDING_REQUESTS_MAX - self._flying)
            if values is None and len(keys) > _RUN_KEYS_MAX:
                keys, values, after = cut(data, at, _RUN_KEYS_MAX)
            if not keys or (self._flying and self._keys.conflict(keys, values is not None)):
                break
            if values is None:
                self._ask_gets(tuple(keys), now)
            else:
                self._ask_sets(tuple(keys), tuple(values), now)
            at = after
        self._active = False
        return data[at:] if at else data

    def _work(self, now: Now) -> None:
        if self._active:
            return
        self._active = True
        self.stalled = False
        commands = self._commands
        while self._next < len(commands) and not self._ending:
            if self._barrier or self._flying >= limits.OUTSTANDING_REQUESTS_MAX:
                break
            if self.held or self._replies.ready_bytes >= limits.UNSENT_BYTES_MAX:
                self.stalled = True
                break
            arguments = commands[self._next]
            name = arguments[0]
            plain = self._plain
            if plain and name in _GETS and len(arguments) == 2:
                went = self._run_gets(now)
            elif plain and name in _SETS and len(arguments) == 3:
                went = self._run_sets(now)
            else:
                went = self._run_one(arguments, now)
            if not went:
                break
        if self._next >= len(commands):
            self._commands = []
            self._next = 0
            if self._parser.error and not self._ending:
                self.connection.door.protocol_errors += 1
                self._reply(error(f"ERR {self._parser.error}"))
                self._ending = True
        self._active = False
        self._settle()

    def _settle(self) -> None:
        """Bring the fields that the data plane reads up to date."""
        waiting = len(self._commands) - self._next
        if self._ending and self._commands:
            self._commands = []
            self._next = waiting = 0
        self.outstanding = self._flying + waiting
        if self._ending:
            self.stalled = False
            self.closing = self.closing or not self._replies
        connection = self.connection
        idle = self._parser.idle
        self.partial = not idle
        # A client that follows redirects reads at the first owner: the gate answers it there only.
        self.gate_bits = (
            SLOT_FIRST if connection.redirects and not connection.readonly else SLOT_READ
        )
        self._gate_fits = (
            not self._replies
            and not waiting
            and not self._ending
            and connection.authenticated
            and connection.transaction is None
            and connection.level is Level.DEFAULT
            and idle
        )
        # The gate's answers leave at once: they must not overtake what is ready and not taken.
        self.gate_open = self._gate_fits and not self._replies.ready_bytes

    def _run_gets(self, now: Now) -> bool:
        """Run as many plain GETs as follow each other; False when the first has to wait."""
        commands, first = self._commands, self._next
        end = run_end(commands, first, _RUN_KEYS_MAX)
        keys = tuple([command[1] for command in commands[first:end]])
        if max(map(len, keys)) > limits.KEY_BYTES_MAX or (
            self._flying and self._keys.conflict(keys, False)
        ):
            return self._run_one(commands[first], now)
        self._next = end
        self._ask_gets(keys, now)
        return True

    def _ask_gets(self, keys: tuple[bytes, ...], now: Now) -> None:
        count = len(keys)
        self._backend.count_request("get", count)
        finish = partial(finish_gets, self.connection.encoder, count)
        self._ask((Read(keys, self.connection.level),), Run(finish, keys, False, count), now)

    def _run_sets(self, now: Now) -> bool:
        """Run as many plain SETs as follow each other; False when the first has to wait."""
        commands, first = self._commands, self._next
        end = run_end(commands, first, limits.OUTSTANDING_REQUESTS_MAX)
        keys = tuple([command[1] for command in commands[first:end]])
        if max(map(len, keys)) > limits.KEY_BYTES_MAX or (
            self._flying and self._keys.conflict(keys, True)
        ):
            return self._run_one(commands[first], now)
        self._next = end
        self._ask_sets(keys, tuple([command[2] for command in commands[first:end]]), now)
        return True

    def _ask_sets(self, keys: tuple[bytes, ...], values: tuple[bytes, ...], now: Now) -> None:
        count = len(keys)
        self._backend.count_request("set", count)
        write = Write(keys, values, 0, self.connection.level)
        self._ask((write,), Run(partial(finish_sets, count), keys, True, count), now)

    def _run_one(self, arguments: Arguments, now: Now) -> bool:
        """Run one command of any kind; False when it has to wait (it then stays the next one)."""
        connection = self.connection
        transaction = connection.transaction
        try:
            command = look_up(arguments)
            if not connection.authenticated and "noauth" not in command.flags:
                raise CommandError(_NO_AUTH)
            keys = command.keys(arguments)
            if keys and connection.redirects:
                elsewhere = redirect(connection, keys, command.writes)
                if elsewhere is not None:
                    raise CommandError(elsewhere)
            if transaction is not None and command.name not in _IN_TRANSACTION:
                enqueue(transaction, command, arguments)
                self._next += 1
                self._reply(QUEUED)
                return True
        except CommandError as refusal:
            if transaction is not None:
                transaction.broken = True
            self._next += 1
            self._reply(error(str(refusal)))
            return True
        if self._flying and (command.barrier or self._keys.conflict(keys, command.writes)):
            return False
        self._next += 1
        self._backend.count_request(command.name)
        connection.last_command = command.name
        if command.name == "exec" and transaction is not None:
            self._execute(transaction, now)
        else:
            self._handle(command, arguments, keys, now)
        return True

    def _handle(
        self, command: Command, arguments: Arguments, keys: Sequence[bytes], now: Now
    ) -> None:
        connection = self.connection
        try:
            answer = command.handler(connection, arguments, now)
        except CommandError as refusal:
            answer = error(str(refusal))
        if isinstance(answer, bytes):
            self._reply(answer)
            self._adopt_settings()
            return
        finish = partial(finish_ask, connection, answer)
        self._ask(answer.requests, Run(finish, keys, command.writes, 1, command.barrier), now)

    def _adopt_settings(self) -> None:
        """Follow what a command changed on its connection."""
        connection = self.connection
        self.nil = connection.encoder.nil
        self._parser.set_authenticated(connection.authenticated)
        if connection.quitting:
            self._ending = True

    def _execute(self, transaction: Transaction, now: Now) -> None:
        connection = self.connection
        connection.transaction = None
        if transaction.broken:
            connection.watched.clear()
            self._reply(error(_EXEC_ABORT))
            return
        cell = Cell(self, never, 1)
        cell.barrier = True
        Execution(connection, transaction, cell.settle).start(now)
        self._adopt_settings()
        self._queue_cell(cell)

    # --- requests in flight ----------------------------------------------------------------------

    def _ask(self, requests: Sequence[Request], run: Run, now: Now) -> None:
        submit = self._backend.submit
        cell = Cell(self, run.finish, len(requests))
        cell.keys, cell.writes, cell.count = run.keys, run.writes, run.count
        cell.barrier = run.barrier
        for index, request in enumerate(requests):
            outcome = submit(request, cell.callback(index), now)
            if outcome is not None:
                cell.put(index, outcome, now)
        self._queue_cell(cell)

    def _queue_cell(self, cell: Cell) -> None:
        if cell.reply is not None:
            self._reply(cell.reply)
            return
        cell.queued = True
        self._replies.wait(cell)
        self._flying += cell.count
        self._barrier = cell.barrier
        self._keys.add(cell)

    def on_cell(self, cell: Cell, now: Now) -> None:
        """A reply came: send what is now at the front, run what waited for it."""
        if not cell.queued:
            return
        self._flying -= cell.count
        if cell.barrier:
            self._barrier = False
        self._keys.remove(cell)
        self._replies.advance()
        if not self._active:
            self._work(now)
            self._wake()
