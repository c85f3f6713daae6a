"""The native listener: one port for peers, clients and consoles, told apart by their hello.

Runs the handshake (``transport.protocol``), then hands peers' messages to the node and clients'
messages to a native session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from nodecore.doors.native import NativeSession
from nodecore.ids import NodeId
from nodecore.runtime.data_plane import CLIENT
from nodecore.runtime.faulted import FaultedConnection
from transport.codec import encode
from transport.errors import ErrorCode
from transport.events import Ended, Established, Received
from transport.framing import encode_message
from transport.limits import MESSAGE_BYTES_MAX, SEND_QUEUE_BYTES_MAX
from transport.messages import Lane, Message, Refuse, Role
from transport.protocol import LinkProtocol
from transport.runtime.connection import Connection, Handler

if TYPE_CHECKING:
    from nodecore.runtime.driver import Driver

NATIVE_FULL: Final = b"".join(
    encode_message(encode(Refuse(int(ErrorCode.OVERLOADED), "too many connections")), 0)
)
"""What a connection beyond the maximum is told."""
_LANES: Final = {Role.PEER_CONTROL: Lane.CONTROL, Role.PEER_DATA: Lane.DATA}


@final
class NativeConnection:
    """One link that somebody dialled to this node."""

    def __init__(self, door: NativeDoor, connection: Connection) -> None:
        self._door = door
        self._connection = connection
        self._protocol = LinkProtocol.listener(
            door.driver.identity.credentials(), door.driver.now.mono_s
        )
        clock = door.driver.clock
        pipes = clock.pipes(CLIENT, door.driver.node_id, Lane.DATA, calling=False)
        self._faulted = FaultedConnection(connection, pipes, clock, self._deliver)
        self._through_faults = False
        self._peer: tuple[NodeId, Lane] | None = None
        self.session: NativeSession | None = None
        self._buffer: list[bytes] = []
        self._dirty = False
        self._ended = False

    def on_data(self, data: bytes) -> None:
        """Bytes from the socket."""
        if self._through_faults:
            self._faulted.received(data)
        else:
            self._deliver(data)

    def _deliver(self, data: bytes) -> None:
        driver, protocol, session = self._door.driver, self._protocol, self.session
        events = protocol.receive_data(data, driver.now.mono_s)
        output = protocol.take_output()
        if output:
            self._queue(output)
        for event in events:
            if isinstance(event, Received):
                if self._peer is not None:
                    peer, lane = self._peer
                    driver.node.on_message(peer, event.stream, lane, event.message, driver.now)
                elif session is not None:
                    session.on_message(event.stream, event.message, driver.now)
            elif isinstance(event, Established):
                self._establish(event)
                session = self.session
            else:
                self._end(event.text or event.reason.value)
                return
        if session is not None:
            self._after_session(session)

    def _establish(self, event: Established) -> None:
        role = event.peer.role
        lane = _LANES.get(role)
        if lane is not None:
            self._peer = (NodeId(event.peer.node_id), lane)
            self._door.driver.links.add_incoming(*self._peer, self)
            return
        self._through_faults = role is Role.CLIENT
        self.session = NativeSession(self._door.driver.node, self._protocol, role, self.wake)
        self._door.sessions[self] = None

    def send(self, message: Message, stream: int) -> bool:
        """Queue a reply to a peer."""
        if self._ended or not self._protocol.established:
            return False
        self._queue(self._protocol.send(message, stream))
        return True

    def wake(self) -> None:
        """The session has output outside of a receive."""
        self._mark()

    def _queue(self, data: bytes) -> None:
        self._buffer.append(data)
        self._mark()

    def _mark(self) -> None:
        if not self._dirty:
            self._dirty = True
            self._door.dirty.append(self)

    def _after_session(self, session: NativeSession) -> None:
        output = session.take_output()
        if output:
            self._buffer.append(output)
            self._mark()
        if session.closing:
            self._mark()

    def flush(self) -> None:
        """Write what was queued in this wake-up."""
        self._dirty = False
        session = self.session
        if session is not None:
            output = session.take_output()
            if output:
                self._buffer.append(output)
        if self._buffer:
            data = b"".join(self._buffer)
            self._buffer.clear()
            if self._through_faults:
                self._faulted.write(data)
            else:
                self._connection.write(data)
        if session is not None and session.closing:
            self._connection.close("closed by the session")

    def on_time(self, now_s: float) -> None:
        """Deadlines of the handshake and of silence."""
        for event in self._protocol.on_deadline(now_s):
            if isinstance(event, Ended):
                self._end(event.text or event.reason.value)
                return
        output = self._protocol.take_output()
        if output:
            self._queue(output)

    def next_at_s(self) -> float | None:
        """When :meth:`on_time` is due."""
        return None if self._ended else self._protocol.deadline_s()

    def on_writable_drained(self) -> None:
        """Bounded by the connection's own maximum."""

    def on_closed(self, reason: str) -> None:
        """The socket is gone."""
        self._ended = True
        self._faulted.end()
        self._door.forget(self)

    def _end(self, reason: str) -> None:
        output = self._protocol.take_output()
        if output:
            # Why the link ends, in words for the other side.
            self._buffer.append(output)
        self.flush()
        self._ended = True
        self._connection.close(reason)


@final
class NativeDoor:
    """All links that others dialled to this node."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.dirty: list[NativeConnection] = []
        self.sessions: dict[NativeConnection, None] = {}
        self._open: dict[NativeConnection, None] = {}

    def accept(self, connection: Connection) -> Handler:
        """A new connection, of whatever role."""
        # The longest answer may wait behind another; a reader slower than that is cut off.
        connection.unsent_bytes_max = SEND_QUEUE_BYTES_MAX + 2 * MESSAGE_BYTES_MAX
        link = NativeConnection(self, connection)
        self._open[link] = None
        return link

    def forget(self, link: NativeConnection) -> None:
        """A link ended."""
        self._open.pop(link, None)
        self.sessions.pop(link, None)
        if link.session is not None:
            link.session.end(self.driver.now)
        if link._peer is not None:  # noqa: SLF001 - the other half of one thing
            self.driver.links.remove_incoming(*link._peer, link)  # noqa: SLF001

    def flush(self) -> None:
        """Write every frame of the wake-up."""
        while self.dirty:
            dirty, self.dirty = self.dirty, []
            for link in dirty:
                if link in self._open:
                    link.flush()

    def on_time(self, now_s: float) -> None:
        """Run due deadlines."""
        for link in list(self._open):
            at = link.next_at_s()
            if at is not None and at <= now_s:
                link.on_time(now_s)

    def next_at_s(self) -> float | None:
        """The earliest deadline."""
        times = [at for link in self._open if (at := link.next_at_s()) is not None]
        return min(times) if times else None
