"""Client connections of a node: bytes from sockets through the gate into sessions, and back.

Moves bytes, holds back whoever is too fast and gives up on whoever is too slow; what a command means
is the session's, what the gate may answer is the table's. A client that does not take its replies
is no longer read, and its session runs nothing more; together such clients hold no more than
CLIENTS_UNSENT_BYTES_MAX. A request that was begun must come to its end in time. A session whose requests are answered later is noted in ``dirty`` and
flushed at the end of the wake-up, so that all answers of a wake-up leave in one send.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, final

from nodecore.doors.session import Session
from nodecore.ids import Now
from nodecore.limits import (
    CLIENTS_UNSENT_BYTES_MAX,
    CONNECTIONS_MAX,
    OUTSTANDING_REQUESTS_MAX,
    READ_BYTES_MAX,
    REQUEST_BYTES_PER_S_MIN,
    REQUEST_TIMEOUT_S,
    UNSENT_BYTES_MAX,
)
from nodecore.runtime.faulted import FaultedConnection, PipeClock
from nodecore.storage.disk import DiskWrites, NoDisk
from nodecore.table.interface import Table
from transport.messages import Lane
from transport.runtime.connection import Connection, Handler, Unclaimed

Connect: TypeAlias = Callable[[Callable[[], None], str], Session]
"""Makes a session from its wake and the client's address."""

CLIENT: Final = "client"
"""Caller of every client link, as faults name it."""
_STEPS_PER_TURN: Final = 4
"""How often a stalled session goes on within one turn, so that others get theirs."""


@final
class ClientConnection:
    """One client: a connection, its session, and the faults between them."""

    __slots__ = (
        "_begun_bytes", "_begun_s", "_clients", "_connection", "_faulted", "_held", "_paused",
        "_postponed", "_watched", "dirty", "session",
    )  # fmt: skip

    def __init__(self, clients: Clients, connection: Connection) -> None:
        self._clients = clients
        self._connection = connection
        self._faulted = FaultedConnection(
            connection,
            clients.clock.pipes(CLIENT, clients.node_id, Lane.DATA, calling=False),
            clients.clock,
            self.deliver,
        )
        self._held: list[bytes] = []
        """What may leave only once the disk has what it tells of."""
        self._paused = False
        self._postponed = False
        self._begun_s = -1.0
        self._begun_bytes = 0
        self._watched = False
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
            reply, consumed = clients.serve(
                data, clients.now.wall_ms, session.nil, session.gate_bits
            )
            if consumed == len(data):
                self._send(reply)
                return
            if consumed:
                data = data[consumed:]
        session.receive(data, clients.now)
        output = session.take_output()
        if reply or output:
            self._send(reply + output if reply else output)
        if session.stalled or session.closing or session.outstanding > OUTSTANDING_REQUESTS_MAX:
            self._settle()
        if session.partial:
            self._note_partial(len(data))
        else:
            self._begun_s = -1.0

    def _send(self, output: bytes) -> None:
        if self._held or self._clients.disk.owes:
            self._held.append(output)
            self.wake()
            return
        self._write(output)

    def _write(self, output: bytes) -> None:
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
        if self._held:
            held, self._held = b"".join(self._held), []
            self._write(held)
        output = self.session.take_output()
        if output:
            self._send(output)
        if self._paused or self.session.closing or self.session.stalled:
            self._settle()

    def _settle(self) -> None:
        """Close, hold back or let go, and let a session run on whose output has left."""
        session = self.session
        for _ in range(_STEPS_PER_TURN):
            self._review()
            if session.held or not session.stalled:
                return
            session.resume(self._clients.now)
            output = session.take_output()
            if output:
                self._send(output)
        self._review()
        if not self._postponed:
            self._postponed = True
            self._connection.schedule(0.0, self._go_on)

    def _go_on(self) -> None:
        self._postponed = False
        if self in self._clients.open:
            self._settle()

    def _review(self) -> None:
        """Close, hold back or let go, as the session and the backlog demand."""
        session = self.session
        if session.closing:
            if self._held:
                return
            self._faulted.finish("closed by the session")
            return
        outstanding, unsent = session.outstanding, self._connection.unsent_bytes
        full = unsent > (UNSENT_BYTES_MAX // 2 if session.held else UNSENT_BYTES_MAX)
        if full != session.held:
            session.held = full
            self._clients.note_backlog(self, full)
        outstanding_max = OUTSTANDING_REQUESTS_MAX // (2 if self._paused else 1)
        paused = full or outstanding > outstanding_max
        if paused and not self._paused:
            self._connection.pause_reading()
        elif self._paused and not paused:
            self._connection.resume_reading()
        self._paused = paused

    @property
    def unsent_bytes(self) -> int:
        """Replies that wait for the client to take them."""
        return self._connection.unsent_bytes

    def cut_off(self) -> None:
        """Drop a client that holds more memory than there is for all."""
        self._clients.cut_off += 1
        self._connection.abort(f"reads too slowly: {self.unsent_bytes} bytes unsent")

    def _note_partial(self, data_bytes: int) -> None:
        if self._begun_s < 0:
            self._begun_s = self._clients.now.mono_s
            self._begun_bytes = 0
            if not self._watched:
                self._watched = True
                self._connection.schedule(REQUEST_TIMEOUT_S, self._on_request_due)
        self._begun_bytes += data_bytes

    def _on_request_due(self) -> None:
        """Give up on a request that was begun too long ago, unless it keeps coming."""
        self._watched = False
        clients = self._clients
        if self._begun_s < 0 or self not in clients.open or self.session.closing:
            return
        if self._paused or not clients.clock.quiet:
            # Held back by us, or by a fault: the client's patience is not on trial.
            self._begun_s, self._begun_bytes = clients.now.mono_s, 0
        lasted_s = clients.now.mono_s - self._begun_s
        allowed_s = max(REQUEST_TIMEOUT_S, self._begun_bytes / REQUEST_BYTES_PER_S_MIN)
        if lasted_s < allowed_s:
            self._watched = True
            self._connection.schedule(allowed_s - lasted_s, self._on_request_due)
            return
        clients.timed_out += 1
        self.session.time_out(clients.now)
        self.wake()

    def finish(self, reason: str) -> None:
        """Close after what was written."""
        self._faulted.finish(reason)

    def on_writable_drained(self) -> None:
        """The backlog is gone: reading may go on."""
        if self._paused:
            self._settle()

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
        self.disk = DiskWrites(NoDisk())
        """Of the node: tells when answers must wait for it."""
        self.now = now
        self.dirty: list[ClientConnection] = []
        self.open: dict[ClientConnection, None] = {}
        self._backlogged: dict[ClientConnection, None] = {}
        self.cut_off = 0
        """Clients dropped because unsent replies of all clients together were too many."""
        self.timed_out = 0
        """Clients dropped because they did not finish a request."""

    def acceptor(
        self, connect: Connect, connections_max: int = CONNECTIONS_MAX
    ) -> Callable[[Connection], Handler | None]:
        """What a listener calls for each connection; the bound is on those of all doors here."""

        def accept(connection: Connection) -> Handler | None:
            if self.clock.refuses(CLIENT, self.node_id):
                # Nobody is told anything through a partition, that the node is full least of all.
                connection.abort("cut by a fault")
                return Unclaimed()
            if len(self.open) >= connections_max:
                return None
            # One reply can be large; what many hold together is bounded by ``note_backlog``.
            connection.unsent_bytes_max = CLIENTS_UNSENT_BYTES_MAX + 2 * READ_BYTES_MAX
            client = ClientConnection(self, connection)
            peer = f"{connection.peer[0]}:{connection.peer[1]}"
            client.session = connect(client.wake, peer)
            self.open[client] = None
            return client

        return accept

    def note_backlog(self, client: ClientConnection, full: bool) -> None:
        """A client stopped or began to take its replies; bounds what all of them hold."""
        backlogged = self._backlogged
        if not full:
            backlogged.pop(client, None)
            return
        backlogged[client] = None
        total = sum(held.unsent_bytes for held in backlogged)
        while total > CLIENTS_UNSENT_BYTES_MAX and backlogged:
            greatest = max(backlogged, key=lambda held: held.unsent_bytes)
            total -= greatest.unsent_bytes
            del backlogged[greatest]
            greatest.cut_off()

    def forget(self, client: ClientConnection) -> None:
        """A connection ended."""
        self.open.pop(client, None)
        self._backlogged.pop(client, None)
        client.session.end(self.now)

    def _must_wait(self) -> bool:
        return self.disk.owes

    def flush(self) -> None:
        """Send everything that became ready in this wake-up; flushing one may wake another.

        Stops when a session that went on has written what must be on disk first.
        """
        while self.dirty and not self._must_wait():
            dirty, self.dirty = self.dirty, []
            for position, client in enumerate(dirty):
                if self._must_wait():
                    self.dirty += dirty[position:]
                    break
                if client in self.open:
                    client.flush()
                else:
                    client.dirty = False

    def finish(self, reason: str) -> None:
        """Close every connection after what was written."""
        for client in list(self.open):
            client.flush()
            client.finish(reason)
