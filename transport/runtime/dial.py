"""One outgoing connection in the making, on a :class:`~transport.runtime.poller.Poller`."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, final

from transport.errors import ConnectFailed
from transport.runtime.connection import Connection, Handler, lost_text, prepare
from transport.runtime.multiplexer import WRITABLE

if TYPE_CHECKING:
    from transport.runtime.poller import Poller


def _family(host: str) -> tuple[socket.AddressFamily, str] | None:
    """Family and numeric form of an address; None when it is a name."""
    host = "127.0.0.1" if host == "localhost" else host
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return family, host
    return None


@final
class Dial:
    """Ends with exactly one of its callbacks, or silently when cancelled."""

    def __init__(
        self,
        poller: Poller,
        address: tuple[str, int],
        on_connected: Callable[[Connection], Handler],
        on_failed: Callable[[ConnectFailed], None],
        timeout_s: float,
    ) -> None:
        self._poller = poller
        self._address = address
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._socket: socket.socket | None = None
        self._ended = False
        problem = self._start()
        if problem:
            # Never call back from within the call that started it.
            poller.schedule(0.0, lambda: self._fail(problem))
        else:
            poller.schedule(timeout_s, lambda: self._fail(f"no answer within {timeout_s:g} s"))

    def _start(self) -> str:
        """Begin to connect; returns why not, empty when it has begun."""
        host, port = self._address
        numeric = _family(host)
        if numeric is None:
            return "not a numeric address"
        if not 0 < port < 65536:
            return "not a port"
        family, host = numeric
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            return lost_text(error)
        try:
            prepare(sock)
            code = sock.connect_ex((host, port))
        except OSError as error:
            sock.close()
            return lost_text(error)
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            return os.strerror(code).lower()
        self._socket = sock
        self._poller.watch_callback(sock.fileno(), WRITABLE, self._on_ready)
        return ""

    def _on_ready(self) -> None:
        sock = self._socket
        if sock is None:
            return
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(os.strerror(code).lower())
            return
        try:
            peer = sock.getpeername()
            mirrored = peer == sock.getsockname()
        except OSError as error:
            self._fail(lost_text(error))
            return
        if mirrored:
            # The kernel joins a socket to itself when it happens to pick the dialled port as the
            # local one: nobody listens there.
            self._fail("connection refused")
            return
        self._ended = True
        self._poller.forget(sock.fileno())
        self._socket = None
        connection = Connection(sock, (str(peer[0]), int(peer[1])), self._poller)
        self._poller.adopt(connection, None)
        connection.claim(self._on_connected(connection))

    def _fail(self, text: str) -> None:
        if self._ended:
            return
        self.cancel()
        host, port = self._address
        self._on_failed(ConnectFailed(f"can't connect to {host}:{port}: {text}"))

    def cancel(self) -> None:
        """Give up; no callback follows."""
        self._ended = True
        sock, self._socket = self._socket, None
        if sock is not None:
            self._poller.discard(sock)
