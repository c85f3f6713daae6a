"""Client connections of a node: bytes from sockets through the gate into sessions, and back.

Moves bytes and holds back whoever is too fast; what a command means is the session's, what the gate
may answer is the table's. A session whose requests are answered later is noted in ``dirty`` and
flushed at the end of the wake-up, so that all answers of a wake-up leave in one send.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, final

from nodecore.doors.session import Session
from nodecore.ids import Now
from nodecore.limits import OUTSTANDING_REQUESTS_MAX, UNSENT_BYTES_MAX
from nodecore.runtime.faulted import FaultedConnection, PipeClock
from nodecore.table.interface import Table
from transport.messages import Lane
from transport.runtime.connection import Connection, Handler

Connect: TypeAlias = Callable[[Callable[[], None], str], Session]
"""Makes a session from its wake and the client's address."""

CLIENT: Final = "client"
"""Caller of every client link, as faults name it."""


@final
class ClientConnection:
    """One client: a connection, its session, and the faults between them."""

    __slots__ = ("_clients", "_connection", "_faulted", "_paused", "dirty", "session")

    def __init__(self, clients: Clients, connection: Connection) -> None:
        self._clients = clients
        self._connection = connection
        self._faulted = FaultedConnection(
            connection,
            clients.clock.pipes(CLIENT, clients.node_id, Lane.DATA, calling=False),
            clients.clock,
            self.deliver,
        )
        self._paused = False
        self.dirty = False
        self.session: Session

    def on_data(self, data: bytes) -> None:
        """Bytes from the socket."""
        if self._clients.clock.quiet:
            self.deliver(data)
        else:
            self._faulted.received(data)

    def deliver(self, data: bytes) -> None:
        """Bytes that made it through the faults: the gate first, the session for the rest."""
        clients, session = self._clients, self.session
        reply = b""
        if session.gate_open:
            reply, consumed = clients.serve(data, clients.now.wall_ms, session.nil)
            if consumed == len(data):
                self._send(reply)
                return
            if consumed:
                data = data[consumed:]
        session.receive(data, clients.now)
        output = session.take_output()
        if reply or output:
            self._send(reply + output if reply else output)
        if session.closing or session.outstanding > OUTSTANDING_REQUESTS_MAX:
            self._review()

    def _send(self, output: bytes) -> None:
        if self._clients.clock.quiet:
            self._connection.write(output)
        else:
            self._faulted.write(output)
        if self._connection.unsent_bytes > UNSENT_BYTES_MAX and not self._paused:
            self._review()

    def wake(self) -> None:
        """The session has output outside of a receive."""
        if not self.dirty:
            self.dirty = True
            self._clients.dirty.append(self)

    def flush(self) -> None:
        """Send what the session has ready."""
        self.dirty = False
        output = self.session.take_output()
        if output:
            self._send(output)
        if self._paused or self.session.closing:
            self._review()

    def _review(self) -> None:
        """Close, hold back or let go, as the session and the backlog demand."""
        if self.session.closing:
            self._faulted.finish("closed by the session")
            return
        outstanding, unsent = self.session.outstanding, self._connection.unsent_bytes
        if not self._paused:
            if outstanding > OUTSTANDING_REQUESTS_MAX or unsent > UNSENT_BYTES_MAX:
                self._paused = True
                self._connection.pause_reading()
        elif outstanding <= OUTSTANDING_REQUESTS_MAX // 2 and unsent <= UNSENT_BYTES_MAX // 2:
            self._paused = False
            self._connection.resume_reading()

    def finish(self, reason: str) -> None:
        """Close after what was written."""
        self._faulted.finish(reason)

    def on_writable_drained(self) -> None:
        """The backlog is gone: reading may go on."""
        if self._paused:
            self._review()

    def on_closed(self, reason: str) -> None:
        """The connection is gone."""
        self._faulted.end()
        self._clients.forget(self)


@final
class Clients:
    """Every client connection of the RESP and HTTP doors, and what they share in a wake-up."""

    def __init__(self, node_id: str, table: Table, clock: PipeClock, now: Now) -> None:
        self.node_id = node_id
        self.clock = clock
        self.serve = table.serve
        self.now = now
        self.dirty: list[ClientConnection] = []
        self.open: dict[ClientConnection, None] = {}

    def acceptor(self, connect: Connect) -> Callable[[Connection], Handler | None]:
        """What a listener calls for each connection."""

        def accept(connection: Connection) -> Handler | None:
            if self.clock.refuses(CLIENT, self.node_id):
                return None
            client = ClientConnection(self, connection)
            peer = f"{connection.peer[0]}:{connection.peer[1]}"
            client.session = connect(client.wake, peer)
            self.open[client] = None
            return client

        return accept

    def forget(self, client: ClientConnection) -> None:
        """A connection ended."""
        self.open.pop(client, None)
        client.session.end(self.now)

    def flush(self) -> None:
        """Send everything that became ready in this wake-up; flushing one may wake another."""
        while self.dirty:
            dirty, self.dirty = self.dirty, []
            for client in dirty:
                if client in self.open:
                    client.flush()
                else:
                    client.dirty = False

    def finish(self, reason: str) -> None:
        """Close every connection after what was written."""
        for client in list(self.open):
            client.flush()
            client.finish(reason)
