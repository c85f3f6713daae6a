"""Listening sockets on a :class:`~transport.runtime.poller.Poller`.

Decides when accepting rests (the process is out of descriptors or memory) and when a connection is
over the cap. A refused connection is accepted, told why when its door has words for it, and closed,
so that a client fails fast and does not wait in the kernel's queue.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias, final

from transport import limits
from transport.errors import LocalProtocolError
from transport.runtime.connection import Connection, Handler, prepare

if TYPE_CHECKING:
    from transport.runtime.poller import Poller

OnAccept: TypeAlias = Callable[[Connection], Handler | None]
"""Takes a new connection by returning its handler; None refuses it."""
OnRefuse: TypeAlias = Callable[[], bytes]
"""What a refused connection is told; may be empty."""

_OVERLOAD: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def bind(host: str, port: int) -> socket.socket:
    """A listening socket on exactly this address; port 0 picks a free one.

    Raises:
        LocalProtocolError: ``host`` is empty, which would mean every interface.
        OSError: the address can't be resolved or is in use.
    """
    if not host:
        raise LocalProtocolError("a listener needs an explicit host")
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(limits.ACCEPT_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


@final
class Listener:
    """One bound address. Made by :meth:`Poller.listen`."""

    def __init__(
        self,
        sock: socket.socket,
        poller: Poller,
        on_accept: OnAccept,
        on_refuse: OnRefuse | None,
        connections_max: int,
    ) -> None:
        self._socket = sock
        self._poller = poller
        self._on_accept = on_accept
        self._on_refuse = on_refuse
        self._open = True
        self.connections_max = connections_max
        self.fd = sock.fileno()
        address = sock.getsockname()
        self.host: str = address[0]
        self.port: int = address[1]
        self.connections = 0
        """Open connections that came through this listener."""
        self.accepted = 0
        self.refused = 0
        self.pauses = 0
        """How often accepting rested for want of descriptors or memory."""

    def on_ready(self) -> None:
        """Accept what waits, up to ACCEPTS_PER_TURN."""
        for _ in range(limits.ACCEPTS_PER_TURN):
            if not self._open:
                return
            try:
                sock, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OVERLOAD:
                    self._rest()
                    return
                # The client gave up between the queue and here (ECONNABORTED and its kin).
                continue
            self._admit(sock, (str(address[0]), int(address[1])))

    def _rest(self) -> None:
        """Stop accepting for a moment: a level-triggered listener would spin."""
        self.pauses += 1
        self._poller.watch(self.fd, 0)
        self._poller.schedule(limits.ACCEPT_PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self._open:
            self._poller.watch(self.fd, 1)

    def _admit(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        try:
            prepare(sock)
        except OSError:
            # Reset before it was looked at.
            sock.close()
            return
        connection = Connection(sock, peer, self._poller)
        self.connections += 1
        self._poller.adopt(connection, self)
        full = self.connections > self.connections_max
        handler = None if full else self._on_accept(connection)
        if handler is None:
            self.refused += 1
            if self._on_refuse is not None:
                connection.write(self._on_refuse())
            # At once and without lingering: refusing must stay cheap in a flood.
            self._poller.retire(connection, "refused")
            return
        self.accepted += 1
        connection.claim(handler)

    def close(self) -> None:
        """Stop listening; open connections stay."""
        if self._open:
            self._open = False
            self._poller.discard(self._socket)
