"""Why a node said no: the codes on the wire and the exceptions of the pure core.

A code's two bits answer the questions a caller has: *definite* (it did not happen) and
*retryable* (trying again may help). Doors map codes to their own words (see ``doors``).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Code(IntEnum):
    """Error codes between nodes and towards native clients.

    Numeric values are part of the protocol: only append.
    """

    INTERNAL = 1
    BAD_REQUEST = 2
    WRONG_TYPE = 3
    NOT_AN_INTEGER = 4
    OVERFLOW = 5
    KEY_TOO_LARGE = 6
    VALUE_TOO_LARGE = 7
    NOT_ENOUGH_COPIES = 8
    """Fewer owners than the level needs can be asked."""
    TIMED_OUT = 9
    STALE_EPOCH = 10
    NOT_READY = 11
    """Starting, joining or leaving."""
    OVERLOADED = 12
    OUT_OF_MEMORY = 13
    READ_ONLY = 14
    REFUSED = 15
    """The keyspace refuses in a partition, or the role may not do this."""
    BREAKER_OPEN = 16
    NOT_OWNER = 17
    CHANGE_RUNNING = 18
    """Another topology change is in flight."""
    UNKNOWN_NODE = 19
    TAKEN = 20
    """A live node has this id already."""
    WRONG_CLUSTER = 21
    CHAOS_DISABLED = 22
    CLOCK_SKEW = 23
    UNREACHABLE = 24
    NO_QUORUM = 25
    CANCELLED = 26
    NOT_A_FLOAT = 27
    ANSWER_TOO_LARGE = 28
    """The values that one request asks for are more than is held for it at once."""

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self in _RETRYABLE


_RETRYABLE: Final = frozenset(
    {
        Code.NOT_ENOUGH_COPIES,
        Code.TIMED_OUT,
        Code.STALE_EPOCH,
        Code.NOT_READY,
        Code.OVERLOADED,
        Code.BREAKER_OPEN,
        Code.NOT_OWNER,
        Code.CHANGE_RUNNING,
        Code.UNREACHABLE,
        Code.NO_QUORUM,
    }
)


class NodeError(Exception):
    """Root of the exceptions that the node's pure core raises."""


class InvalidConfig(NodeError):  # noqa: N818 - the name says what it is
    """The configuration can't be used; ``problems`` lists every mistake, not the first."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class InvalidTopology(NodeError):  # noqa: N818
    """A topology document that breaks its own rules."""
