"""What a door asks the node for, and the three-valued answer.

Doors (RESP, HTTP, native) translate their protocol into these requests; the coordinator knows no
protocol. Every request carries one or many keys, so that a pipeline or an ``mset`` stays one unit
of work from the socket to the replicas.

Outcomes are three-valued: :class:`Done` (it happened), :class:`Failed` (it did not and will not
happen) and :class:`Unknown` (it may have happened). A miss is a result, not a failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TypeAlias

from nodecore.errors import Code
from nodecore.ids import NO_VERSION, Version


class Level(IntEnum):
    """Consistency that a request asks for. Numeric values are part of the native protocol."""

    DEFAULT = 0
    """The keyspace's R and W; sloppy answers are allowed where the keyspace is ``available``."""
    ONE = 1
    QUORUM = 2
    ALL = 3
    """ONE, QUORUM and ALL are strict: with fewer copies the request fails."""


class Flag(IntFlag):
    """Quality of an answer. Numeric values are part of the native protocol."""

    NONE = 0
    SLOPPY = 1
    """Fewer than W copies were acknowledged."""
    DEGRADED = 2
    """A miss that fewer than N-W+1 owners confirmed."""
    STALE = 4
    """The value may be older than the last acknowledged write."""


@dataclass(frozen=True, slots=True)
class Value:
    """A live value as a client sees it."""

    value: bytes
    version: Version = NO_VERSION
    expires_ms: int = 0
    """Wall-clock milliseconds; 0 = never."""
    kind: int = 0
    """Type byte, see ``nodecore.table.Kind``."""


class Change(IntEnum):
    """Read-modify-write functions; they run at the slot's first live owner.

    Numeric values are part of the peer protocol: append only.
    """

    SET = 1
    """SET with a condition or with GET. arguments: value, expires_ms (0 none, -1 keep), condition
    (0 none, 1 NX, 2 XX), want_old (0/1). Result: Applied(previous=old value or None)."""
    DELETE = 2
    """arguments: none. Result: Applied(number=1 when a live value was removed, else 0)."""
    INCREMENT = 3
    """arguments: delta. Result: Applied(number=new value)."""
    EXPIRE = 4
    """arguments: expires_ms (0 = PERSIST), condition (0 none, 1 NX, 2 XX, 3 GT, 4 LT).
    Result: Applied(number=1 or 0)."""
    APPEND = 5
    """arguments: suffix. Result: Applied(number=new length)."""
    COMPARE_AND_SET = 6
    """arguments: expected version (hlc, node; 0, 0 = absent), value, expires_ms.
    Result: Applied(number=1 or 0, version=current)."""
    GET_DELETE = 7
    """Result: Applied(previous=...)."""
    SET_RANGE = 8
    """arguments: offset, bytes. Result: Applied(number=new length)."""
    INCREMENT_FLOAT = 9
    """arguments: delta as text. Result: Applied(previous=new value)."""
    GET_EXPIRE = 10
    """arguments: expires_ms (0 = persist, -1 = leave). Result: Applied(previous=value)."""


@dataclass(frozen=True, slots=True)
class Read:
    """Read keys. Result of the outcome: a list of ``Value | None | Failed``, in order of the keys."""

    keys: tuple[bytes, ...]
    level: Level = Level.DEFAULT


@dataclass(frozen=True, slots=True)
class Write:
    """Blind writes, applied in order; of a repeated key the last counts. Result: list of ``Failed | Version``."""

    keys: tuple[bytes, ...]
    values: tuple[bytes, ...]
    expires_ms: int = 0
    """One expiry for the whole batch: 0 none."""
    level: Level = Level.DEFAULT


@dataclass(frozen=True, slots=True)
class Update:
    """One read-modify-write on one key. Result: :class:`Applied`."""

    key: bytes
    change: Change
    arguments: tuple[bytes | int, ...] = ()
    level: Level = Level.DEFAULT


@dataclass(frozen=True, slots=True)
class Flush:
    """Raise the flush generation of the topology: everything written before it is gone."""


@dataclass(frozen=True, slots=True)
class KeyCount:
    """DBSIZE: the keys of the slots whose first owner this node is."""


Request: TypeAlias = Read | Write | Update | Flush | KeyCount


@dataclass(frozen=True, slots=True)
class Applied:
    """Result of an :class:`Update`."""

    number: int = 0
    previous: bytes | None = None
    version: Version = NO_VERSION
    expires_ms: int = 0
    changed: bool = True


def value_bytes(outcome: Outcome) -> int:
    """Payload that an outcome carries: what holding it costs."""
    result = outcome.result if isinstance(outcome, Done) else None
    if isinstance(result, list):
        return sum(len(entry.value) for entry in result if isinstance(entry, Value))
    return len(result.previous or b"") if isinstance(result, Applied) else 0


@dataclass(frozen=True, slots=True)
class Done:
    """It happened."""

    result: object
    """What the request's docstring says."""
    flags: Flag = Flag.NONE
    copies: int = 0
    """Distinct processes that acknowledged, the least over the keys; 0 = not counted."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not happen and never will."""

    code: Code
    text: str
    retry_after_s: float = 0.0
    reason: str = ""
    """A word for programs where a code says too little, see ``placement.change_reasons``."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have happened: nobody may repeat it blindly unless it is idempotent."""

    code: Code
    text: str


Outcome: TypeAlias = Done | Failed | Unknown
