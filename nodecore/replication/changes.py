"""The read-modify-write functions: what a :class:`Change` makes of an entry.

Pure functions of (entry or None, arguments, now) with the semantics of the Redis commands that the
doors map onto them. They decide the new entry and the answer; versions, replication and quorums
are the caller's. An expired entry or a tombstone must be passed as None.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from typing import Final, NamedTuple, TypeAlias

from nodecore.errors import Code
from nodecore.ids import Now, Version
from nodecore.limits import VALUE_BYTES_MAX
from nodecore.requests import Applied, Change, Failed
from nodecore.table.interface import Kind

INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**63 - 1
_INTEGER: Final = re.compile(rb"-?[1-9][0-9]{0,18}\Z|0\Z")
"""Redis takes only the canonical spelling of a stored integer."""
_FLOAT: Final = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?\Z")
_FLOAT_TEXT_BYTES_MAX: Final = 256
_FLOAT_EXPONENT_MAX: Final = 4931
"""Range of the 80-bit floats that Redis computes with."""
_FLOAT_CONTEXT: Final = Context(prec=17)


class Current(NamedTuple):
    """The live entry that a change finds."""

    value: bytes
    version: Version
    expires_ms: int
    kind: int


class Stored(NamedTuple):
    """What is to be written; ``kind`` TOMBSTONE deletes."""

    kind: int
    value: bytes
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Changed:
    """Outcome of a change function."""

    applied: Applied
    """``version`` and ``expires_ms`` of what the key holds when nothing is stored."""
    stored: Stored | None = None
    """None: nothing is to be written."""


ChangeResult: TypeAlias = Changed | Failed
Arguments: TypeAlias = tuple[bytes | int, ...]

_DELETED: Final = Stored(Kind.TOMBSTONE, b"", 0)
_WRONG_TYPE: Final = Failed(
    Code.WRONG_TYPE, "Operation against a key holding the wrong kind of value"
)
_NOT_AN_INTEGER: Final = Failed(Code.NOT_AN_INTEGER, "value is not an integer or out of range")
_NOT_A_FLOAT: Final = Failed(Code.NOT_A_FLOAT, "value is not a valid float")
_TOO_LARGE: Final = Failed(
    Code.VALUE_TOO_LARGE, f"string exceeds maximum allowed size ({VALUE_BYTES_MAX} bytes)"
)


def run_change(
    change: Change, current: Current | None, arguments: Arguments, now: Now
) -> ChangeResult:
    """What ``change`` makes of ``current``; malformed arguments are a BAD_REQUEST."""
    shape, function = _FUNCTIONS[change]
    if len(arguments) != len(shape) or not all(
        isinstance(argument, kind) for argument, kind in zip(arguments, shape, strict=True)
    ):
        return Failed(Code.BAD_REQUEST, f"wrong arguments for {change.name}")
    return function(current, arguments, now)


def _unchanged(current: Current | None, number: int = 0, previous: bytes | None = None) -> Changed:
    if current is None:
        return Changed(Applied(number, previous, changed=False))
    return Changed(Applied(number, previous, current.version, current.expires_ms, changed=False))


def _set(current: Current | None, arguments: Arguments, _now: Now) -> ChangeResult:
    value, expires_ms, condition, want_old = arguments
    assert isinstance(value, bytes)
    assert isinstance(expires_ms, int)
    if len(value) > VALUE_BYTES_MAX:
        return _TOO_LARGE
    previous = None
    if want_old and current is not None:
        if current.kind != Kind.STRING:
            return _WRONG_TYPE
        previous = current.value
    if (condition == 1 and current is not None) or (condition == 2 and current is None):
        return _unchanged(current, 0, previous)
    if expires_ms == -1:
        expires_ms = current.expires_ms if current is not None else 0
    return Changed(
        Applied(1, previous, expires_ms=expires_ms), Stored(Kind.STRING, value, expires_ms)
    )


def _delete(current: Current | None, _arguments: Arguments, _now: Now) -> ChangeResult:
    return _unchanged(None) if current is None else Changed(Applied(1), _DELETED)


def _increment(current: Current | None, arguments: Arguments, _now: Now) -> ChangeResult:
    (delta,) = arguments
    assert isinstance(delta, int)
    base, expires_ms = 0, 0
    if current is not None:
        if current.kind != Kind.STRING:
            return _WRONG_TYPE
        if not _INTEGER.match(current.value):
            return _NOT_AN_INTEGER
        base, expires_ms = int(current.value), current.expires_ms
        if not INTEGER_MIN <= base <= INTEGER_MAX:
            return _NOT_AN_INTEGER
    number = base + delta
    if not INTEGER_MIN <= number <= INTEGER_MAX:
        return Failed(Code.OVERFLOW, "increment or decrement would overflow")
    stored = Stored(Kind.STRING, b"%d" % number, expires_ms)
    return Changed(Applied(number, expires_ms=expires_ms), stored)


def _decimal(text: bytes) -> Decimal | None:
    if len(text) > _FLOAT_TEXT_BYTES_MAX or not _FLOAT.match(text):
        return None
    try:
        value = Decimal(text.decode("ascii"))
    except InvalidOperation:
        return None
    if value and value.adjusted() > _FLOAT_EXPONENT_MAX:
        return None
    return value


def _float_text(value: Decimal) -> bytes:
    if not value or value.adjusted() < -_FLOAT_EXPONENT_MAX:
        return b"0"
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.encode("ascii")


def _increment_float(current: Current | None, arguments: Arguments, _now: Now) -> ChangeResult:
    (text,) = arguments
    assert isinstance(text, bytes)
    delta = _decimal(text)
    base: Decimal | None = Decimal(0)
    expires_ms = 0
    if current is not None:
        if current.kind != Kind.STRING:
            return _WRONG_TYPE
        base, expires_ms = _decimal(current.value), current.expires_ms
    if delta is None or base is None:
        return _NOT_A_FLOAT
    total = _FLOAT_CONTEXT.add(base, delta)
    if total and total.adjusted() > _FLOAT_EXPONENT_MAX:
        return Failed(Code.NOT_A_FLOAT, "increment would produce NaN or Infinity")
    value = _float_text(total)
    return Changed(
        Applied(previous=value, expires_ms=expires_ms), Stored(Kind.STRING, value, expires_ms)
    )


def _expire_allowed(current_ms: int, expires_ms: int, condition: int | bytes) -> bool:
    match condition:
        case 1:
            return current_ms == 0
        case 2:
            return current_ms != 0
        case 3:
            return current_ms != 0 and expires_ms > current_ms
        case 4:
            return current_ms == 0 or expires_ms < current_ms
        case _:
            return True


def _with_expiry(current: Current, expires_ms: int, now: Now) -> Stored:
    """The same value under another expiry; one that has passed deletes at once, as Redis does."""
    if 0 < expires_ms <= now.wall_ms or expires_ms < 0:
        return _DELETED
    return Stored(current.kind, current.value, expires_ms)


def _expire(current: Current | None, arguments: Arguments, now: Now) -> ChangeResult:
    expires_ms, condition = arguments
    assert isinstance(expires_ms, int)
    if current is None:
        return _unchanged(None)
    if expires_ms == 0:
        if current.expires_ms == 0:
            return _unchanged(current)
    elif not _expire_allowed(current.expires_ms, expires_ms, condition):
        return _unchanged(current)
    stored = _with_expiry(current, expires_ms, now)
    return Changed(Applied(1, expires_ms=stored.expires_ms), stored)


def _append(current: Current | None, arguments: Arguments, _now: Now) -> ChangeResult:
    (suffix,) = arguments
    assert isinstance(suffix, bytes)
    base, expires_ms = b"", 0
    if current is not None:
        if current.kind != Kind.STRING:
            return _WRONG_TYPE
        base, expires_ms = current.value, current.expires_ms
    if len(base) + len(suffix) > VALUE_BYTES_MAX:
        return _TOO_LARGE
    value = base + suffix
    return Changed(
        Applied(len(value), expires_ms=expires_ms), Stored(Kind.STRING, value, expires_ms)
    )


def _set_range(current: Current | None, arguments: Arguments, _now: Now) -> ChangeResult:
    offset, patch = arguments
    assert isinstance(offset, int)
    assert isinstance(patch, bytes)
    if offset < 0:
        return Failed(Code.BAD_REQUEST, "offset is out of range")
    if current is not None and current.kind != Kind.STRING:
        return _WRONG_TYPE
    base = current.value if current is not None else b""
    if not patch:
        return _unchanged(current, len(base))
    if offset + len(patch) > VALUE_BYTES_MAX:
        return _TOO_LARGE
    value = base[:offset].ljust(offset, b"\0") + patch + base[offset + len(patch) :]
    expires_ms = current.expires_ms if current is not None else 0
    return Changed(
        Applied(len(value), expires_ms=expires_ms), Stored(Kind.STRING, value, expires_ms)
    )


def _compare_and_set(current: Current | None, arguments: Arguments, _now: Now) -> ChangeResult:
    hlc, node, value, expires_ms = arguments
    assert isinstance(value, bytes)
    assert isinstance(expires_ms, int)
    if len(value) > VALUE_BYTES_MAX:
        return _TOO_LARGE
    found = tuple(current.version) if current is not None else (0, 0)
    if found != (hlc, node):
        return _unchanged(current)
    return Changed(Applied(1, expires_ms=expires_ms), Stored(Kind.STRING, value, expires_ms))


def _get_delete(current: Current | None, _arguments: Arguments, _now: Now) -> ChangeResult:
    if current is None:
        return _unchanged(None)
    if current.kind != Kind.STRING:
        return _WRONG_TYPE
    return Changed(Applied(1, current.value), _DELETED)


def _get_expire(current: Current | None, arguments: Arguments, now: Now) -> ChangeResult:
    (expires_ms,) = arguments
    assert isinstance(expires_ms, int)
    if current is None:
        return _unchanged(None)
    if current.kind != Kind.STRING:
        return _WRONG_TYPE
    if expires_ms == -1 or expires_ms == current.expires_ms:
        return _unchanged(current, 1, current.value)
    stored = _with_expiry(current, expires_ms, now)
    return Changed(Applied(1, current.value, expires_ms=stored.expires_ms), stored)


_Function: TypeAlias = Callable[[Current | None, Arguments, Now], ChangeResult]
_FUNCTIONS: Final[Mapping[Change, tuple[tuple[type, ...], _Function]]] = {
    Change.SET: ((bytes, int, int, int), _set),
    Change.DELETE: ((), _delete),
    Change.INCREMENT: ((int,), _increment),
    Change.EXPIRE: ((int, int), _expire),
    Change.APPEND: ((bytes,), _append),
    Change.COMPARE_AND_SET: ((int, int, bytes, int), _compare_and_set),
    Change.GET_DELETE: ((), _get_delete),
    Change.SET_RANGE: ((int, bytes), _set_range),
    Change.INCREMENT_FLOAT: ((bytes,), _increment_float),
    Change.GET_EXPIRE: ((int,), _get_expire),
}
assert set(_FUNCTIONS) == set(Change)
