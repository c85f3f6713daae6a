"""Replies of a RESP door, read from bytes: what a check of the routing has to understand.

Numbers, texts, errors, bulk strings, arrays and nulls of RESP2, which a door speaks until it is
asked for RESP3. Reads no sockets. Source: Redis serialization protocol specification.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

BUFFER_BYTES_MAX: Final = 64 * 1024 * 1024
ITEMS_MAX: Final = 1_000_000


class MalformedReply(Exception):  # noqa: N818 - as the other doors name theirs
    """The bytes are no reply; the connection can't be used any more."""


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error that the door answered, such as ``MOVED 42 127.0.0.1:7001``."""

    text: str


Reply: TypeAlias = "bytes | int | str | ErrorReply | list[Reply] | None"


class _Incomplete(Exception):  # noqa: N818 - says that bytes are missing, it is not an error
    pass


def encoded(arguments: Sequence[bytes]) -> bytes:
    """A command as bytes."""
    parts = [b"*%d\r\n" % len(arguments)]
    parts += [b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in arguments]
    return b"".join(parts)


@final
class ReplyReader:
    """Incremental reader of one connection."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Reply]:
        """Take bytes, return the replies that they complete.

        Raises:
            MalformedReply: they are none, or too many.
        """
        self._buffer += data
        if len(self._buffer) > BUFFER_BYTES_MAX:
            raise MalformedReply(f"a reply of more than {BUFFER_BYTES_MAX} bytes")
        replies: list[Reply] = []
        at = 0
        try:
            while at < len(self._buffer):
                reply, at = self._reply(at)
                replies.append(reply)
        except _Incomplete:
            # What stands before the incomplete reply has been taken; it is read again from its start.
            self._buffer = self._buffer[at:]
            return replies
        except ValueError:
            raise MalformedReply("a length that is no number") from None
        self._buffer = b""
        return replies

    def _reply(self, at: int) -> tuple[Reply, int]:
        end = self._buffer.find(b"\r\n", at)
        if end < 0:
            raise _Incomplete
        kind, rest, at = self._buffer[at : at + 1], self._buffer[at + 1 : end], end + 2
        match kind:
            case b"+":
                return rest.decode(errors="replace"), at
            case b"-":
                return ErrorReply(rest.decode(errors="replace")), at
            case b":":
                return int(rest), at
            case b"$":
                return self._bulk(int(rest), at)
            case b"*":
                return self._array(int(rest), at)
            case _:
                raise MalformedReply(f"a reply that begins with {kind!r}")

    def _bulk(self, length: int, at: int) -> tuple[Reply, int]:
        if length < 0:
            return None, at
        if length > BUFFER_BYTES_MAX:
            raise MalformedReply(f"a text of {length} bytes")
        if len(self._buffer) < at + length + 2:
            raise _Incomplete
        return self._buffer[at : at + length], at + length + 2

    def _array(self, count: int, at: int) -> tuple[Reply, int]:
        if count < 0:
            return None, at
        if count > ITEMS_MAX:
            raise MalformedReply(f"an array of {count}")
        items: list[Reply] = []
        for _ in range(count):
            item, at = self._reply(at)
            items.append(item)
        return items, at
