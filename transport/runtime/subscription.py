"""Many messages that answer one request, as an async iterator with a bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import final

import trio

from transport import limits
from transport.errors import RemoteError, TransportError
from transport.messages import ErrorReply, Message


def remote_error(reply: ErrorReply) -> RemoteError:
    """The exception for an error reply."""
    return RemoteError(
        reply.code,
        reply.text,
        unknown=reply.unknown,
        retry_after_ms=reply.retry_after_ms,
        reason=reply.reason,
    )


@final
class Subscription:
    """Messages that the other side sends on one stream, one after the other.

    Bounded: when nobody reads, the oldest are dropped and counted in ``dropped``. Iterating ends
    with :meth:`close`, and raises ConnectionLost or RemoteError when the link or the node ended it.
    The other side stops sending when the link closes.
    """

    def __init__(self, forget: Callable[[], None]) -> None:
        self._forget = forget
        self._waiting: deque[Message] = deque()
        self._error: TransportError | None = None
        self._closed = False
        self._changed = trio.Event()
        self.dropped = 0

    def deliver(self, message: Message) -> None:
        """For the link: one more message."""
        if isinstance(message, ErrorReply):
            self.fail(remote_error(message))
            return
        if len(self._waiting) >= limits.STREAM_BACKLOG_MAX:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(message)
        self._changed.set()

    def fail(self, error: TransportError) -> None:
        """For the link: nothing will follow."""
        self._error = self._error or error
        self._changed.set()

    def close(self) -> None:
        """Want no more."""
        self._closed = True
        self._forget()
        self._changed.set()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Message:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            self._changed = trio.Event()
            await self._changed.wait()
        await trio.lowlevel.checkpoint()
        return self._waiting.popleft()
