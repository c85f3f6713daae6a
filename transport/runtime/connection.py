"""One non-blocking TCP connection on a :class:`~transport.runtime.poller.Poller`.

A connection hands incoming bytes to its handler and sends what it is given: at once when the kernel
takes it, else from a bounded backlog when the socket is writable again. It knows no protocol. A
reader too slow for the backlog is reset: its bytes can't be dropped one by one without breaking the
protocol above. Closing delivers what was written before, then discards input for a moment, because
closing a socket with unread input makes the kernel reset it and lose the last reply.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, final

from transport import limits
from transport.runtime.multiplexer import READABLE, WRITABLE

if TYPE_CHECKING:
    from transport.runtime.poller import Poller

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_PIECES_PER_FLUSH: Final = 64
"""Backlog pieces handed to the kernel by one call."""

OPEN: Final = 0
FLUSHING: Final = 1
LINGERING: Final = 2
CLOSED: Final = 3


class Handler(Protocol):
    """Who is told about a connection. Calls come from the poller's turn, never from within
    ``write`` or ``close``, and must not raise.
    """

    def on_data(self, data: bytes) -> None:
        """Bytes arrived; never empty."""

    def on_writable_drained(self) -> None:
        """Everything in the backlog has been handed to the kernel."""

    def on_closed(self, reason: str) -> None:
        """The connection is gone; called exactly once, nothing follows."""


@final
class Unclaimed:
    """Handler of a connection that nobody has taken yet: asks for nothing, expects nothing."""

    def on_data(self, data: bytes) -> None:
        raise AssertionError(f"{len(data)} bytes for a connection without a handler")

    def on_writable_drained(self) -> None:
        """Nobody to tell."""

    def on_closed(self, reason: str) -> None:
        """Nobody to tell."""


@final
class _Lingering:
    """Stands in for the handler of a connection that this side has closed."""

    def __init__(self, connection: Connection, handler: Handler, reason: str) -> None:
        self._connection = connection
        self._handler = handler
        self._reason = reason
        self._discarded = 0

    def claim(self, handler: Handler) -> None:
        """Tell this one in the end."""
        self._handler = handler

    def on_data(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > limits.CLOSE_LINGER_BYTES_MAX:
            self._connection.abort(self._reason)

    def on_writable_drained(self) -> None:
        """Closing is the connection's own business."""

    def on_closed(self, reason: str) -> None:
        self._handler.on_closed(self._reason)


@final
class Connection:
    """A socket, its backlog and its handler. Made by the poller only."""

    __slots__ = (
        "_backlog",
        "_mask",
        "_poller",
        "_reading",
        "_send",
        "_socket",
        "_state",
        "fd",
        "handler",
        "peer",
        "recv",
        "unsent_bytes",
        "unsent_bytes_max",
    )

    def __init__(self, sock: socket.socket, peer: tuple[str, int], poller: Poller) -> None:
        self._socket = sock
        self._poller = poller
        self._send = sock.send
        self._backlog: deque[memoryview] = deque()
        self._mask = READABLE
        self._reading = True
        self._state = OPEN
        self.recv = sock.recv
        self.fd = sock.fileno()
        self.handler: Handler = Unclaimed()
        self.peer = peer
        """Address of the other side: host and port."""
        self.unsent_bytes = 0
        """In the backlog, without what the kernel holds."""
        self.unsent_bytes_max = limits.SEND_QUEUE_BYTES_MAX

    @property
    def open(self) -> bool:
        """Whether writes still go out: neither side has closed."""
        return self._state == OPEN

    @property
    def reading(self) -> bool:
        """Whether input is being delivered."""
        return self._reading

    def claim(self, handler: Handler) -> None:
        """Give a new connection its handler, which may have written, closed or aborted already."""
        if isinstance(self.handler, _Lingering):
            self.handler.claim(handler)
        else:
            self.handler = handler

    def write(self, data: bytes) -> None:
        """Send; ignored once the connection is closing. Never blocks and never raises."""
        if self._state != OPEN or not data:
            return
        backlog = self._backlog
        if backlog:
            self._queue(memoryview(data))
            return
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._poller.retire(self, lost_text(error))
            return
        self._poller.bytes_out += sent
        if sent < len(data):
            self._queue(memoryview(data)[sent:])

    def _queue(self, rest: memoryview) -> None:
        self._backlog.append(rest)
        self.unsent_bytes += len(rest)
        if self.unsent_bytes > self.unsent_bytes_max:
            self._poller.slow_readers += 1
            self.abort(f"reads too slowly: {self.unsent_bytes} bytes unsent")
        else:
            self._watch(self._mask | WRITABLE)

    def flush(self) -> None:
        """Send from the backlog as much as the kernel takes; called when writable."""
        backlog = self._backlog
        if not backlog:
            return
        try:
            while backlog:
                pieces = [backlog[index] for index in range(min(len(backlog), _PIECES_PER_FLUSH))]
                sent = self._socket.sendmsg(pieces)
                self._poller.bytes_out += sent
                self.unsent_bytes -= sent
                self._forget(sent)
        except BlockingIOError:
            return
        except OSError as error:
            self._poller.retire(self, lost_text(error))
            return
        if self._state == FLUSHING:
            self._shut_down()
        else:
            self._watch(self._mask & ~WRITABLE)
            self.handler.on_writable_drained()

    def _forget(self, sent: int) -> None:
        """Drop the first ``sent`` bytes of the backlog."""
        backlog = self._backlog
        while sent:
            first = backlog[0]
            if len(first) > sent:
                backlog[0] = first[sent:]
                return
            sent -= len(first)
            backlog.popleft()

    def pause_reading(self) -> None:
        """Leave input in the kernel, so that the other side is held back."""
        self._reading = False
        if self._state == OPEN:
            self._watch(self._mask & ~READABLE)

    def resume_reading(self) -> None:
        """Take input again."""
        self._reading = True
        if self._state == OPEN:
            self._watch(self._mask | READABLE)

    def schedule(self, after_s: float, callback: Callable[[], None]) -> None:
        """Call back from a turn after this time, whether or not the connection is still open."""
        self._poller.schedule(after_s, callback)

    def close(self, reason: str = "closed here") -> None:
        """Deliver what was written, then close. ``on_closed`` follows, at the latest after
        CLOSE_LINGER_S. Input is no longer delivered.
        """
        if self._state != OPEN:
            return
        self.handler = _Lingering(self, self.handler, reason)
        self._poller.schedule(limits.CLOSE_LINGER_S, lambda: self.abort(reason))
        if self._backlog:
            self._state = FLUSHING
            self._watch(WRITABLE)
        else:
            self._shut_down()

    def _shut_down(self) -> None:
        self._state = LINGERING
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._poller.retire(self, lost_text(error))
            return
        self._watch(READABLE)

    def abort(self, reason: str = "reset here") -> None:
        """Drop everything unsent and reset the connection. ``on_closed`` follows within the turn."""
        if self._state == CLOSED:
            return
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        except OSError:
            # The other side was faster; the descriptor is closed all the same.
            self._poller.resets_late += 1
        self._poller.retire(self, reason)

    def _watch(self, mask: int) -> None:
        if mask != self._mask:
            self._mask = mask
            self._poller.watch(self.fd, mask)

    def mark_closed(self) -> bool:
        """For the poller: no more input or output. False when it was closed before."""
        if self._state == CLOSED:
            return False
        self._state = CLOSED
        self._backlog.clear()
        self.unsent_bytes = 0
        return True

    def release(self) -> None:
        """For the poller: give the descriptor back."""
        self._socket.close()


def lost_text(error: OSError) -> str:
    """Why a socket broke, in words."""
    return (error.strerror or str(error) or type(error).__name__).lower()


def prepare(sock: socket.socket) -> None:
    """Options of every connection: non-blocking, no Nagle delay, dead peers are noticed."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", limits.KEEPALIVE_IDLE_S),
        ("TCP_KEEPALIVE", limits.KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", limits.KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", limits.KEEPALIVE_PROBES),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
