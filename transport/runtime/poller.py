"""All sockets of a process behind one descriptor, served in turns without task switches.

One trio task waits for the multiplexer's descriptor, handles every ready socket synchronously within
the bounds of a turn, and yields. Per ready socket there is one ``recv`` and one call of its handler,
which is what makes the data plane as fast as the interpreter allows. Nothing here knows a protocol.

Theory of operation: inside a turn a connection may close others, or itself. A descriptor that is
closed at once could be reused by an accept of the same turn, and a stale readiness entry would then
hit the wrong connection. So closing only *retires*: the connection leaves the tables at once, its
descriptor is released and ``on_closed`` is called at the end of the turn.
"""

from __future__ import annotations

import heapq
import math
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import trio

from transport import limits
from transport.errors import ConnectFailed
from transport.runtime.connection import Connection, Handler, lost_text
from transport.runtime.dial import Dial
from transport.runtime.listener import Listener, OnAccept, OnRefuse, bind
from transport.runtime.multiplexer import (
    ERROR,
    HANGUP,
    READABLE,
    WRITABLE,
    Multiplexer,
    open_multiplexer,
)


@dataclass(frozen=True, slots=True)
class PollerStatistics:
    """Totals since the start, and what is open now."""

    connections: int
    accepted: int
    refused: int
    accept_pauses: int
    slow_readers: int
    """Connections reset because their backlog was full."""
    bytes_in: int
    bytes_out: int
    turns: int
    events: int


@final
class Poller:
    """The nested multiplexer and everything registered in it.

    Not thread-safe, except :meth:`wake`. Times are readings of ``clock_s`` (monotonic seconds).
    """

    def __init__(
        self,
        clock_s: Callable[[], float] = time.monotonic,
        multiplexer: Multiplexer | None = None,
    ) -> None:
        self.clock_s = clock_s
        self._multiplexer = multiplexer if multiplexer is not None else open_multiplexer()
        self._poll = self._multiplexer.poll
        self._connections: dict[int, Connection] = {}
        self._ready_callbacks: dict[int, Callable[[], None]] = {}
        self._listeners: list[Listener] = []
        self._origin: dict[int, Listener] = {}
        self._retired: list[tuple[Connection, str]] = []
        self._discarded: list[socket.socket] = []
        self._turning = False
        self._deadlines: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._asleep = False
        self._stopping = False
        self._closed = False
        self._emptied: trio.Event | None = None
        self._wake_receive, self._wake_send = socket.socketpair()
        self._wake_receive.setblocking(False)
        self._wake_send.setblocking(False)
        self.watch_callback(self._wake_receive.fileno(), READABLE, self._on_wake)
        self._turns = 0
        self._events = 0
        self._bytes_in = 0
        self.bytes_out = 0
        self.slow_readers = 0
        self.resets_late = 0
        """Resets or refusals that found the other side already gone."""

    # Registration, for connections, listeners and dials.

    def watch_callback(self, fd: int, mask: int, on_ready: Callable[[], None]) -> None:
        """Call ``on_ready()`` while any descriptor that is not a connection is ready."""
        self._ready_callbacks[fd] = on_ready
        self._multiplexer.register(fd, mask)

    def watch(self, fd: int, mask: int) -> None:
        """Change what a registered descriptor is watched for."""
        self._multiplexer.modify(fd, mask)

    def forget(self, fd: int) -> None:
        """Stop watching a descriptor registered by :meth:`watch_callback`."""
        if self._ready_callbacks.pop(fd, None) is not None:
            self._multiplexer.unregister(fd)

    def discard(self, sock: socket.socket) -> None:
        """Forget a socket that is not a connection and close it, within a turn at its end."""
        self.forget(sock.fileno())
        if self._turning:
            self._discarded.append(sock)
        else:
            sock.close()

    def adopt(self, connection: Connection, origin: Listener | None) -> None:
        """Serve a connection from now on; its handler is claimed within the same event."""
        self._connections[connection.fd] = connection
        if origin is not None:
            self._origin[connection.fd] = origin
        self._multiplexer.register(connection.fd, READABLE)

    def retire(self, connection: Connection, reason: str) -> None:
        """Take a connection out; its handler hears of it at the end of the turn."""
        if not connection.mark_closed():
            return
        if self._connections.pop(connection.fd, None) is not None:
            self._multiplexer.unregister(connection.fd)
        origin = self._origin.pop(connection.fd, None)
        if origin is not None:
            origin.connections -= 1
        self._retired.append((connection, reason))
        if self._asleep:
            self.wake()

    def schedule(self, after_s: float, callback: Callable[[], None]) -> None:
        """Call back from a turn once ``after_s`` has passed; the callback must tolerate being late."""
        self._sequence += 1
        heapq.heappush(self._deadlines, (self.clock_s() + after_s, self._sequence, callback))
        if self._asleep:
            self.wake()

    # What users call.

    def listen(
        self,
        host: str,
        port: int,
        on_accept: OnAccept,
        *,
        connections_max: int,
        on_refuse: OnRefuse | None = None,
    ) -> Listener:
        """Listen on exactly this address; see :func:`transport.runtime.listener.bind`."""
        listener = Listener(bind(host, port), self, on_accept, on_refuse, connections_max)
        self._listeners.append(listener)
        self.watch_callback(listener.fd, READABLE, listener.on_ready)
        return listener

    def connect(
        self,
        host: str,
        port: int,
        on_connected: Callable[[Connection], Handler],
        on_failed: Callable[[ConnectFailed], None],
        timeout_s: float = limits.CONNECT_TIMEOUT_S,
    ) -> Dial:
        """Dial a numeric address (or ``localhost``). Exactly one of the callbacks follows, from a
        turn, unless the dial is cancelled. Names are resolved by the caller: it takes long.
        """
        return Dial(self, (host, port), on_connected, on_failed, timeout_s)

    def turn(self, timeout_s: float = 0.0, on_awake: Callable[[], None] | None = None) -> int:
        """Handle what is ready, within the bounds of a turn; returns how many events there were.

        Args:
            timeout_s: how long the whole thread may sleep until something is ready.
            on_awake: called after that sleep, before anything is handled: to read the clock.
        """
        ready = self._await_ready(timeout_s, on_awake)
        connections = self._connections
        bytes_in = 0
        self._turning = True
        for fd, mask in ready:
            connection = connections.get(fd)
            if connection is None:
                callback = self._ready_callbacks.get(fd)
                if callback is not None:
                    callback()
                continue
            if mask & WRITABLE:
                connection.flush()
                if connections.get(fd) is not connection:
                    continue
            if mask & READABLE:
                try:
                    data = connection.recv(limits.READ_BYTES_PER_TURN)
                except BlockingIOError:
                    continue
                except OSError as error:
                    self.retire(connection, lost_text(error))
                    continue
                if data:
                    bytes_in += len(data)
                    connection.handler.on_data(data)
                else:
                    self.retire(connection, "closed by the other side")
            elif mask & (ERROR | HANGUP):
                self.retire(connection, "reset by the other side")
        self._bytes_in += bytes_in
        self._turns += 1
        self._events += len(ready)
        handled = len(ready)
        if self._deadlines and self._deadlines[0][0] <= self.clock_s():
            handled += self._fire()
        self._turning = False
        if self._discarded:
            self._close_discarded()
        if self._retired:
            handled += self._bury()
        return handled

    def _await_ready(
        self, timeout_s: float, on_awake: Callable[[], None] | None
    ) -> list[tuple[int, int]]:
        if timeout_s and self._deadlines:
            timeout_s = min(timeout_s, max(0.0, self._deadlines[0][0] - self.clock_s()))
        ready = self._poll(timeout_s, limits.EVENTS_PER_TURN)
        if on_awake is not None:
            on_awake()
        return ready

    def _close_discarded(self) -> None:
        discarded, self._discarded = self._discarded, []
        for sock in discarded:
            sock.close()

    def _fire(self) -> int:
        now_s = self.clock_s()
        fired = 0
        while self._deadlines and self._deadlines[0][0] <= now_s:
            _, _, callback = heapq.heappop(self._deadlines)
            callback()
            fired += 1
        return fired

    def _bury(self) -> int:
        """Release retired descriptors and tell their handlers, who may retire more."""
        buried = 0
        while self._retired:
            batch, self._retired = self._retired, []
            for connection, reason in batch:
                connection.release()
                connection.handler.on_closed(reason)
            buried += len(batch)
        if not self._connections and self._emptied is not None:
            self._emptied.set()
        return buried

    def next_deadline_s(self) -> float:
        """When a turn is due even if no socket is ready; infinite when never."""
        if self._retired:
            return -math.inf
        return self._deadlines[0][0] if self._deadlines else math.inf

    async def run(
        self,
        on_turn_end: Callable[[], None],
        next_deadline_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Serve until :meth:`stop`: turn, ``on_turn_end()``, wait for sockets or the next deadline.

        Args:
            on_turn_end: runs after every turn, also after those that only a deadline caused.
            next_deadline_s: when ``on_turn_end`` wants to run next; None when it does not mind.
        """
        while not self._stopping:
            handled = self.turn()
            on_turn_end()
            if handled:
                await trio.lowlevel.checkpoint()
                continue
            wanted_s = next_deadline_s()
            await self.wait(math.inf if wanted_s is None else wanted_s)

    async def wait(self, until_s: float = math.inf) -> None:
        """Sleep until a socket is ready, :meth:`wake` is called, or the earlier of ``until_s`` and the
        poller's own next deadline has come. For callers that take the turns themselves.
        """
        due_s = min(until_s, self.next_deadline_s())
        fileno = self._multiplexer.fileno()
        self._asleep = True
        try:
            if due_s == math.inf:
                await trio.lowlevel.wait_readable(fileno)
            else:
                with trio.move_on_after(max(0.0, due_s - self.clock_s())):
                    await trio.lowlevel.wait_readable(fileno)
        finally:
            self._asleep = False

    def wake(self) -> None:
        """Make a sleeping :meth:`run` take a turn. May be called from any thread."""
        try:
            self._wake_send.send(b"\0")
        except BlockingIOError:
            # Enough wake-ups are waiting already.
            return

    def _on_wake(self) -> None:
        try:
            self._wake_receive.recv(limits.READ_BYTES_PER_TURN)
        except BlockingIOError:
            return

    def stop_listening(self) -> None:
        """Close every listener; open connections stay."""
        for listener in self._listeners:
            listener.close()

    async def drain(self, timeout_s: float) -> int:
        """Stop listening and wait until every connection is closed by its user or peer; after
        ``timeout_s`` reset the rest. Needs :meth:`run` in another task. Returns how many were reset.
        """
        self.stop_listening()
        if not self._connections:
            await trio.lowlevel.checkpoint()
            return 0
        self._emptied = trio.Event()
        with trio.move_on_after(timeout_s):
            await self._emptied.wait()
        self._emptied = None
        left = list(self._connections.values())
        for connection in left:
            connection.abort("the node stops")
        return len(left)

    def stop(self) -> None:
        """End :meth:`run` after its turn."""
        self._stopping = True
        self.wake()

    def close(self) -> None:
        """Reset every connection, tell the handlers, release every descriptor."""
        if self._closed:
            return
        self._closed = True
        self._asleep = False
        self.stop_listening()
        for connection in list(self._connections.values()):
            connection.abort("the node stops")
        self._bury()
        self._close_discarded()
        self._wake_receive.close()
        self._wake_send.close()
        self._multiplexer.close()

    @property
    def connections_count(self) -> int:
        """Open connections, those that linger after a close included."""
        return len(self._connections)

    def statistics(self) -> PollerStatistics:
        """Totals and what is open now."""
        return PollerStatistics(
            connections=len(self._connections),
            accepted=sum(listener.accepted for listener in self._listeners),
            refused=sum(listener.refused for listener in self._listeners),
            accept_pauses=sum(listener.pauses for listener in self._listeners),
            slow_readers=self.slow_readers,
            bytes_in=self._bytes_in,
            bytes_out=self.bytes_out,
            turns=self._turns,
            events=self._events,
        )
