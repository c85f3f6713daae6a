"""Messages of native clients (80..99)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from transport.messages.base import Message


@dataclass(frozen=True, slots=True)
class ClientGet(Message):
    """Read keys; answered by ClientValues."""

    TYPE: ClassVar[int] = 80
    keys: object
    level: int = 0


@dataclass(frozen=True, slots=True)
class ClientValues(Message):
    """Per key None, bytes, or [code, text] for a failure; ``epoch`` so that a client refreshes routes."""

    TYPE: ClassVar[int] = 81
    epoch: int
    flags: int
    values: object


@dataclass(frozen=True, slots=True)
class ClientSet(Message):
    """Write keys, one expiry for all; answered by ClientWritten."""

    TYPE: ClassVar[int] = 82
    keys: object
    values: object
    expires_ms: int = 0
    level: int = 0


@dataclass(frozen=True, slots=True)
class ClientWritten(Message):
    """Answer to ClientSet. ``failures``: list of [index, code, text, unknown]."""

    TYPE: ClassVar[int] = 83
    epoch: int
    flags: int
    copies: int
    failures: object


@dataclass(frozen=True, slots=True)
class ClientExecute(Message):
    """Any request, ``request_to_plain``; answered by ClientOutcome."""

    TYPE: ClassVar[int] = 84
    request: object


@dataclass(frozen=True, slots=True)
class ClientOutcome(Message):
    """``outcome_to_plain``."""

    TYPE: ClassVar[int] = 85
    epoch: int
    outcome: object


@dataclass(frozen=True, slots=True)
class ClientRoutes(Message):
    """Ask for the slot map; answered by ClientRouteTable."""

    TYPE: ClassVar[int] = 86
    epoch: int
    """What the client has; 0 none."""


@dataclass(frozen=True, slots=True)
class ClientRouteTable(Message):
    """Slot owners as ranges: list of [first, last, [node index...]] and members [[id, native address, up]]."""

    TYPE: ClassVar[int] = 87
    epoch: int
    members: object
    ranges: object
