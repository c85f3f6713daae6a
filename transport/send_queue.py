"""Frames that wait to be sent on one link: fair between streams, in order within each.

A large message lies here as chunks; each turn takes one frame of every stream, so a small message
waits for at most one chunk of each large one. Bounded in bytes: what does not fit is refused whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import final

from transport import limits
from transport.errors import LinkOverloaded


@final
class SendQueue:
    """Frames by stream, taken in turns."""

    def __init__(self, bytes_max: int = limits.SEND_QUEUE_BYTES_MAX) -> None:
        self._streams: dict[int, deque[bytes]] = {}
        self._bytes_max = bytes_max
        self._last = b""
        self.queued_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._streams or self._last)

    def push(self, stream: int, frames: Sequence[bytes]) -> None:
        """Take all frames of one message. A message larger than the whole queue is taken when the
        queue is empty, so that the bound never makes a legal message impossible.

        Raises:
            LinkOverloaded: too much is waiting; nothing was taken.
        """
        size = sum(map(len, frames))
        if self.queued_bytes and self.queued_bytes + size > self._bytes_max:
            raise LinkOverloaded(f"{self.queued_bytes} bytes wait to be sent")
        self._streams.setdefault(stream, deque()).extend(frames)
        self.queued_bytes += size

    def push_own(self, data: bytes) -> None:
        """Take a small frame of the link itself (a pong, a refusal), whatever else is waiting."""
        self._streams.setdefault(0, deque()).append(data)
        self.queued_bytes += len(data)

    def push_last(self, data: bytes) -> None:
        """Take what must be sent behind everything else; nothing may be pushed afterwards."""
        self._last = data
        self.queued_bytes += len(data)

    def take(self, bytes_max: int) -> bytes:
        """The next frames, joined: whole ones, at least one if any waits, until ``bytes_max``."""
        taken: list[bytes] = []
        size = 0
        while self._streams and size < bytes_max:
            # Dicts keep their order: the first stream is the one that has waited longest.
            stream = next(iter(self._streams))
            waiting = self._streams.pop(stream)
            frame = waiting.popleft()
            taken.append(frame)
            size += len(frame)
            if waiting:
                self._streams[stream] = waiting
        if not self._streams and self._last:
            taken.append(self._last)
            size += len(self._last)
            self._last = b""
        self.queued_bytes -= size
        return b"".join(taken)
