"""What can go wrong on a link: the codes on the wire and the exceptions of this package.

Each exception answers three questions by its type and attributes: whose fault is it, may the
request have happened (``definite`` is True when it certainly did not), may it be tried again
(``retryable``). Codes of requests (``ErrorReply.code``) belong to the node and are carried as plain
integers; the codes here are those of :class:`transport.messages.Refuse`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, Final


class ErrorCode(IntEnum):
    """Why a link is refused or ended.

    Numeric values are part of the protocol: only append.
    """

    INTERNAL = 1
    MALFORMED = 2
    """A frame or message that breaks the format."""
    CHECKSUM = 3
    FRAME_TOO_LARGE = 4
    UNKNOWN_MESSAGE = 5
    UNEXPECTED_MESSAGE = 6
    """Known, but not in this state or for this role."""
    VERSION_MISMATCH = 7
    WRONG_CLUSTER = 8
    BAD_PROOF = 9
    """Wrong or missing secret; says nothing more on purpose."""
    TAKEN_ID = 10
    """The other side claims the node id of this side."""
    UNEXPECTED_NODE = 11
    """The node at this address is not the one that was dialled."""
    NOT_READY = 12
    """Does not know its cluster yet."""
    HANDSHAKE_TIMEOUT = 13
    TIMEOUT = 14
    """An established link fell silent, or a frame was never finished."""
    OVERLOADED = 15
    """Too many connections, or a reader slower than its queue."""

    @property
    def retryable(self) -> bool:
        """Whether dialling again, unchanged, may succeed."""
        return self in _RETRYABLE


_RETRYABLE: Final = frozenset(
    {
        ErrorCode.INTERNAL,
        ErrorCode.CHECKSUM,
        ErrorCode.UNEXPECTED_NODE,
        ErrorCode.NOT_READY,
        ErrorCode.HANDSHAKE_TIMEOUT,
        ErrorCode.TIMEOUT,
        ErrorCode.OVERLOADED,
    }
)


class TransportError(Exception):
    """Root of this package's exceptions; never raised itself."""

    definite: ClassVar[bool] = True
    """Whether the request that met it certainly did not happen."""

    def __init__(self, text: str) -> None:
        if type(self) in _ABSTRACT:
            raise TypeError(f"{type(self).__name__} is abstract")
        super().__init__(text)
        self.text = text

    @property
    def retryable(self) -> bool:
        """Whether the same attempt may succeed a moment later."""
        return False


class ProtocolError(TransportError):
    """One side broke the protocol; never raised itself."""


class LocalProtocolError(ProtocolError):
    """This side tried what the protocol forbids: a bug or a bad argument. Nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The other side sent what the protocol forbids; the link can't be used any more."""

    definite = False

    def __init__(self, text: str, code: ErrorCode = ErrorCode.MALFORMED) -> None:
        super().__init__(text)
        self.code = code


class FrameTooLarge(RemoteProtocolError):  # noqa: N818 - the name says what it is
    """A frame or message above the limit of this link."""

    def __init__(self, text: str) -> None:
        super().__init__(text, ErrorCode.FRAME_TOO_LARGE)


class BadChecksum(RemoteProtocolError):  # noqa: N818
    """A frame whose bytes changed on the way."""

    def __init__(self, text: str) -> None:
        super().__init__(text, ErrorCode.CHECKSUM)


class MalformedMessage(RemoteProtocolError):  # noqa: N818
    """Bytes that are not a message of the catalogue, or one with wrong fields."""


class UnknownMessage(RemoteProtocolError):  # noqa: N818
    """A well-formed message of a type that this version does not know."""

    def __init__(self, text: str) -> None:
        super().__init__(text, ErrorCode.UNKNOWN_MESSAGE)


class LinkRefused(TransportError):  # noqa: N818
    """The handshake failed: this side or the other one refused, with the reason."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code

    @property
    def retryable(self) -> bool:
        return self.code.retryable


class ConnectFailed(TransportError):  # noqa: N818
    """No connection came about: nobody listens, no route, or no answer in time."""

    @property
    def retryable(self) -> bool:
        return True


class ConnectionClosed(TransportError):  # noqa: N818
    """This side closed the link before; nothing was sent."""


class NotConnected(TransportError):  # noqa: N818
    """There is no link at this moment; nothing was sent."""

    @property
    def retryable(self) -> bool:
        return True


class ConnectionLost(TransportError):  # noqa: N818
    """The link ended from outside. A request that was in flight may have happened."""

    definite = False

    @property
    def retryable(self) -> bool:
        return True


class RequestTimedOut(TransportError):  # noqa: N818
    """No answer in time. The request may have happened, or may still happen."""

    definite = False

    @property
    def retryable(self) -> bool:
        return True


class LinkOverloaded(TransportError):  # noqa: N818
    """Too much is queued or unanswered on this link; nothing was sent."""

    @property
    def retryable(self) -> bool:
        return True


class RemoteError(TransportError):
    """The other side answered with an ``ErrorReply``."""

    def __init__(
        self, code: int, text: str, *, unknown: bool, retry_after_ms: int = 0, reason: str = ""
    ) -> None:
        super().__init__(text)
        self.reason = reason
        """A word for programs; may be empty."""
        self.code = code
        """A ``nodecore.errors.Code``."""
        self.unknown = unknown
        """The node does not know whether it happened."""
        self.retry_after_ms = retry_after_ms


_ABSTRACT: Final = frozenset({TransportError, ProtocolError})
