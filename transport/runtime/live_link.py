"""An established link under trio: requests, subscriptions, keep-alive, closing.

One task reads, one writes, one watches the deadlines. Requests are multiplexed by stream number.
Callers never write themselves: they queue frames and the writer takes everything that was queued in
the same scheduler tick in one send, which is what makes concurrent calls a batch. So a cancelled
request can't leave half a frame behind; a write that fails or is cancelled ends the link.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final, TypeAlias, final

import trio

from transport import limits
from transport.errors import (
    ConnectionClosed,
    ConnectionLost,
    LinkOverloaded,
    NotConnected,
    RequestTimedOut,
    TransportError,
)
from transport.identity import PeerInfo
from transport.messages import ErrorReply, Message
from transport.protocol import Ended, EndReason, Event, LinkProtocol, Received
from transport.runtime.subscription import Subscription, remote_error
from transport.send_queue import SendQueue

_WRITE_BYTES: Final = 256 * 1024
"""Taken from the queue for one send."""

OnMessage: TypeAlias = Callable[[int, Message], None]
"""Takes messages that answer no request of this side: stream and message."""


@final
class _Waiter:
    """One request that waits for its answer."""

    __slots__ = ("done", "error", "message")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.message: Message | None = None
        self.error: TransportError | None = None


@final
class PendingReply:
    """A request that was sent and not answered yet."""

    __slots__ = ("_link", "_name", "_stream", "_waiter")

    def __init__(self, link: Link, stream: int, waiter: _Waiter, name: str) -> None:
        self._link = link
        self._stream = stream
        self._waiter = waiter
        self._name = name

    async def wait(self, timeout_s: float) -> Message:
        """The answer; to be called once. Raises like :meth:`Link.request`."""
        waiter = self._waiter
        try:
            if not waiter.done.is_set():
                with trio.move_on_after(timeout_s):
                    await waiter.done.wait()
        finally:
            self.forget()
        if waiter.error is not None:
            raise waiter.error
        if waiter.message is None:
            raise RequestTimedOut(f"no answer to {self._name} within {timeout_s:g} s")
        if isinstance(waiter.message, ErrorReply):
            raise remote_error(waiter.message)
        return waiter.message

    def forget(self) -> None:
        """Drop the answer if it still comes; harmless afterwards."""
        self._link.forget_request(self._stream)


@final
class Link:
    """One established link. Made by :func:`open_link`."""

    def __init__(
        self,
        transport: trio.abc.Stream,
        protocol: LinkProtocol,
        peer: PeerInfo,
        on_message: OnMessage | None,
    ) -> None:
        self.transport = transport
        self._protocol = protocol
        self._on_message = on_message
        self._queue = SendQueue()
        self._queued = trio.Event()
        self._waiters: dict[int, _Waiter] = {}
        self._subscriptions: dict[int, Subscription] = {}
        self._drained = trio.Event()
        self._closing = False
        self.ended = trio.Event()
        """Set once no request can be made any more."""
        self.end: Ended | None = None
        """How it ended."""
        self.peer = peer
        self.unclaimed = 0
        """Messages that nobody waited for: late answers, mostly."""
        self.sends = 0
        """Writes to the connection; requests of one tick share one."""

    async def request(self, message: Message, timeout_s: float) -> Message:
        """Send a request and wait for its answer.

        Raises:
            RequestTimedOut: no answer in time; it may have happened.
            ConnectionLost: the link ended meanwhile; it may have happened.
            RemoteError: the node answered with an error.
            NotConnected: the link has ended before; nothing was sent.
            ConnectionClosed: this side has closed before; nothing was sent.
            LinkOverloaded: too much is queued or unanswered; nothing was sent.
            LocalProtocolError: the message can't be sent on this link.
        """
        return await self.begin(message).wait(timeout_s)

    def begin(self, message: Message) -> PendingReply:
        """Send a request now, to wait for its answer later; raises what :meth:`request` raises
        before anything is sent.
        """
        if len(self._waiters) >= limits.REQUESTS_IN_FLIGHT_MAX:
            raise LinkOverloaded(f"{len(self._waiters)} requests are unanswered")
        stream = self._send(message)
        waiter = self._waiters[stream] = _Waiter()
        return PendingReply(self, stream, waiter, type(message).__name__)

    def forget_request(self, stream: int) -> None:
        """For a pending reply: nobody waits for it any more."""
        self._waiters.pop(stream, None)

    def notify(self, message: Message) -> None:
        """Send without an answer; raises like :meth:`request`, never ConnectionLost."""
        self._send(message, 0)

    def stream(self, message: Message) -> Subscription:
        """Send a request that is answered by many messages; raises like :meth:`notify`."""
        stream = self._send(message)
        subscription = self._subscriptions[stream] = Subscription(lambda: self.forget(stream))
        return subscription

    def forget(self, stream: int) -> None:
        """For a subscription: drop what still comes for it."""
        self._subscriptions.pop(stream, None)

    def _send(self, message: Message, stream: int | None = None) -> int:
        if self._closing:
            raise ConnectionClosed("the link was closed here")
        if self.end is not None:
            raise NotConnected(f"the link has ended: {self.end.text or self.end.reason}")
        number = self._protocol.streams.next() if stream is None else stream
        self._queue.push(number, self._protocol.send_frames(message, number))
        self._queued.set()
        return number

    def _send_own(self, data: bytes) -> None:
        """Queue bytes of the link itself; they are few, the bound is for messages."""
        if data:
            self._queue.push_own(data)
            self._queued.set()

    def handle(self, events: list[Event]) -> None:
        """Act on what the protocol says."""
        for event in events:
            if isinstance(event, Received):
                self._deliver(event.stream, event.message)
            elif isinstance(event, Ended):
                self._finish(event)

    def _deliver(self, stream: int, message: Message) -> None:
        waiter = self._waiters.get(stream)
        if waiter is not None and not waiter.done.is_set():
            waiter.message = message
            waiter.done.set()
        elif stream in self._subscriptions:
            self._subscriptions[stream].deliver(message)
        elif self._on_message is not None:
            self._on_message(stream, message)
        else:
            self.unclaimed += 1

    def _finish(self, end: Ended) -> None:
        """Nothing more can arrive: tell everyone who waits."""
        if self.end is not None:
            return
        self.end = end
        text = f"the link ended: {end.text or end.reason}"
        for waiter in self._waiters.values():
            waiter.error = waiter.error or ConnectionLost(text)
            waiter.done.set()
        for subscription in list(self._subscriptions.values()):
            subscription.fail(ConnectionLost(text))
        self.ended.set()
        self._queued.set()

    async def run(self) -> None:
        """Read, write and watch until the link ends; never raises what the world does."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            nursery.start_soon(self._watch)
            await self._write()
            nursery.cancel_scope.cancel()

    async def _read(self) -> None:
        while True:
            try:
                data = await self.transport.receive_some(limits.READ_BYTES_PER_TURN)
            except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError) as error:
                self._lose(str(error.__cause__ or error) or "connection reset")
                return
            if not data:
                self._lose("closed by the other side")
                return
            self.handle(self._protocol.receive_data(bytes(data), trio.current_time()))
            self._send_own(self._protocol.take_output())
            if self.end is not None:
                return

    def _lose(self, text: str) -> None:
        self.handle(self._protocol.on_connection_lost(text))
        self._queued.set()

    async def _watch(self) -> None:
        while (due_s := self._protocol.deadline_s()) is not None:
            # A frame that has begun has an earlier deadline than the silence waited for before.
            step_s = min(due_s - trio.current_time(), limits.FRAME_TIMEOUT_S)
            await trio.sleep(max(0.0, step_s))
            self.handle(self._protocol.on_deadline(trio.current_time()))
            self._send_own(self._protocol.take_output())

    async def _write(self) -> None:
        """Send what is queued, until the link has ended and its last words are out."""
        while self._queue or self.end is None:
            if not self._queue:
                self._queued = trio.Event()
                await self._queued.wait()
                continue
            self.sends += 1
            try:
                await self.transport.send_all(self._queue.take(_WRITE_BYTES))
            except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError) as error:
                self._lose(str(error.__cause__ or error) or "connection reset")
                return

    async def aclose(self) -> None:
        """Say goodbye after everything that is queued, then close; within CLOSE_LINGER_S."""
        if not self._closing:
            self._closing = True
            self._queue.push_last(self._protocol.close("closed"))
            self._finish(Ended(EndReason.CLOSED, None, "closed here"))
        with trio.move_on_after(limits.CLOSE_LINGER_S):
            await self._drained.wait()

    def mark_drained(self) -> None:
        """For :func:`open_link`: the tasks have ended."""
        self._drained.set()
