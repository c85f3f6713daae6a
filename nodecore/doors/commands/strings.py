"""String commands: reading, writing, counters, ranges.

Decides their syntax, limits and replies. Reading and blind writing are plain ``Read`` and ``Write``
requests; whatever depends on the old value is an ``Update`` that the slot's first live owner runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from nodecore import limits
from nodecore.doors.commands.spec import (
    NOT_A_FLOAT,
    SYNTAX,
    TOO_LONG,
    Arguments,
    Ask,
    Command,
    CommandError,
    check_keys,
    failure,
    integer_of,
    listed,
    single_value,
)
from nodecore.doors.resp_connection import Connection
from nodecore.doors.resp_writer import OK, ONE, ZERO, bulk, error, integer
from nodecore.errors import Code
from nodecore.ids import Now
from nodecore.requests import (
    Applied,
    Change,
    Done,
    Failed,
    Outcome,
    Read,
    Unknown,
    Update,
    Value,
    Write,
)

_INT64_MAX: Final = (1 << 63) - 1
_INT64_MIN: Final = -(1 << 63)
KEEP_EXPIRY: Final = -1


def applied(outcome: Outcome) -> Applied | Failed | Unknown:
    """The result of an Update."""
    if not isinstance(outcome, Done):
        return outcome
    assert isinstance(outcome.result, Applied)
    return outcome.result


def expiry_ms(text: bytes, unit: str, command: str, now: Now) -> int:
    """Absolute milliseconds of an expiry option; ``unit`` is EX, PX, EXAT or PXAT.

    Raises:
        CommandError: not an integer, not positive, or beyond 64 bits.
    """
    problem = f"ERR invalid expire time in '{command}' command"
    amount = integer_of(text)
    if amount <= 0:
        raise CommandError(problem)
    if unit in ("EX", "EXAT"):
        amount *= 1000
    if unit in ("EX", "PX"):
        amount += now.wall_ms
    if amount > _INT64_MAX:
        raise CommandError(problem)
    return amount


def render_value(connection: Connection, outcomes: Sequence[Outcome], _: object, __: Now) -> bytes:
    """GET's reply."""
    value = single_value(outcomes[0])
    if isinstance(value, Failed | Unknown):
        return failure(value)
    return connection.encoder.nil if value is None else bulk(value.value)


def render_values(connection: Connection, outcomes: Sequence[Outcome], _: object, __: Now) -> bytes:
    """MGET's reply: keys that hold no string are nil."""
    found = listed(outcomes[0])
    if not isinstance(found, list):
        return failure(found)
    return connection.encoder.values(
        [entry.value if isinstance(entry, Value) and not entry.kind else None for entry in found]
    )


def render_written(
    connection: Connection, outcomes: Sequence[Outcome], _: object, __: Now
) -> bytes:
    """OK unless a key's write failed."""
    found = listed(outcomes[0])
    return OK if isinstance(found, list) else failure(found)


def render_number(connection: Connection, outcomes: Sequence[Outcome], _: object, __: Now) -> bytes:
    """The number that an Update returned."""
    found = applied(outcomes[0])
    return integer(found.number) if isinstance(found, Applied) else failure(found)


def render_previous(
    connection: Connection, outcomes: Sequence[Outcome], _: object, __: Now
) -> bytes:
    """The old value that an Update returned."""
    found = applied(outcomes[0])
    if not isinstance(found, Applied):
        return failure(found)
    return connection.encoder.value(found.previous)


def render_condition(
    connection: Connection, outcomes: Sequence[Outcome], extra: object, __: Now
) -> bytes:
    """OK or nil of a conditional SET; with ``extra`` set, 1 or 0 (SETNX)."""
    found = applied(outcomes[0])
    if not isinstance(found, Applied):
        return failure(found)
    if extra:
        return ONE if found.changed else ZERO
    return OK if found.changed else connection.encoder.nil


def get(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    check_keys(arguments[1:])
    return Ask((Read((arguments[1],), connection.level),), render_value)


def mget(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    keys = arguments[1:]
    check_keys(keys)
    return Ask((Read(tuple(keys), connection.level),), render_values)


def mset(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    if len(arguments) % 2 == 0:
        raise CommandError("ERR wrong number of arguments for 'mset' command")
    keys = arguments[1::2]
    check_keys(keys)
    write = Write(tuple(keys), tuple(arguments[2::2]), 0, connection.level)
    return Ask((write,), render_written)


def _write(connection: Connection, key: bytes, value: bytes, expires_ms: int) -> Ask:
    check_keys((key,))
    return Ask((Write((key,), (value,), expires_ms, connection.level),), render_written)


def _update(connection: Connection, key: bytes, change: Change, *arguments: bytes | int) -> Update:
    check_keys((key,))
    return Update(key, change, arguments, connection.level)


def set_(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    key, value = arguments[1], arguments[2]
    if len(arguments) == 3:
        return _write(connection, key, value, 0)
    condition, want_old, unit, amount = 0, 0, "", b""
    at = 3
    while at < len(arguments):
        option = arguments[at].upper()
        if option == b"NX" and condition != 2:
            condition = 1
        elif option == b"XX" and condition != 1:
            condition = 2
        elif option == b"GET":
            want_old = 1
        elif option == b"KEEPTTL" and unit in ("", "KEEPTTL"):
            unit = "KEEPTTL"
        elif (
            option in (b"EX", b"PX", b"EXAT", b"PXAT")
            and unit in ("", option.decode())
            and at + 1 < len(arguments)
        ):
            unit, amount = option.decode(), arguments[at + 1]
            at += 1
        else:
            raise CommandError(SYNTAX)
        at += 1
    if unit == "KEEPTTL":
        expires_ms = KEEP_EXPIRY
    else:
        expires_ms = expiry_ms(amount, unit, "set", now) if unit else 0
    if not condition and not want_old and expires_ms != KEEP_EXPIRY:
        return _write(connection, key, value, expires_ms)
    update = _update(connection, key, Change.SET, value, expires_ms, condition, want_old)
    return Ask((update,), render_previous if want_old else render_condition)


def setex(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    expires_ms = expiry_ms(arguments[2], "EX", "setex", now)
    return _write(connection, arguments[1], arguments[3], expires_ms)


def psetex(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    expires_ms = expiry_ms(arguments[2], "PX", "psetex", now)
    return _write(connection, arguments[1], arguments[3], expires_ms)


def setnx(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    update = _update(connection, arguments[1], Change.SET, arguments[2], 0, 1, 0)
    return Ask((update,), render_condition, True)


def getset(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    update = _update(connection, arguments[1], Change.SET, arguments[2], 0, 0, 1)
    return Ask((update,), render_previous)


def getdel(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    return Ask((_update(connection, arguments[1], Change.GET_DELETE),), render_previous)


def getex(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    if len(arguments) == 2:
        return get(connection, arguments, now)
    option = arguments[2].upper()
    if option == b"PERSIST" and len(arguments) == 3:
        expires_ms = 0
    elif option in (b"EX", b"PX", b"EXAT", b"PXAT") and len(arguments) == 4:
        expires_ms = expiry_ms(arguments[3], option.decode(), "getex", now)
    else:
        raise CommandError(SYNTAX)
    update = _update(connection, arguments[1], Change.GET_EXPIRE, expires_ms)
    return Ask((update,), render_previous)


def append(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    return Ask((_update(connection, arguments[1], Change.APPEND, arguments[2]),), render_number)


def _render_length(
    connection: Connection, outcomes: Sequence[Outcome], _: object, __: Now
) -> bytes:
    value = single_value(outcomes[0])
    if isinstance(value, Failed | Unknown):
        return failure(value)
    return integer(0 if value is None else len(value.value))


def strlen(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    check_keys(arguments[1:])
    return Ask((Read((arguments[1],), connection.level),), _render_length)


def _render_range(
    connection: Connection, outcomes: Sequence[Outcome], extra: object, _: Now
) -> bytes:
    value = single_value(outcomes[0])
    if isinstance(value, Failed | Unknown):
        return failure(value)
    assert isinstance(extra, tuple)
    start, end = extra
    content = b"" if value is None else value.value
    if start < 0 and end < 0 and start > end:
        return bulk(b"")
    start = max(0, start + len(content) if start < 0 else start)
    end = max(0, end + len(content) if end < 0 else end)
    return bulk(content[start : end + 1])


def getrange(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    check_keys((arguments[1],))
    extra = (integer_of(arguments[2]), integer_of(arguments[3]))
    return Ask((Read((arguments[1],), connection.level),), _render_range, extra)


def setrange(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    offset = integer_of(arguments[2])
    if offset < 0:
        raise CommandError("ERR offset is out of range")
    if not arguments[3]:
        return strlen(connection, arguments[:2], now)
    if offset + len(arguments[3]) > limits.VALUE_BYTES_MAX:
        raise CommandError(TOO_LONG)
    update = _update(connection, arguments[1], Change.SET_RANGE, offset, arguments[3])
    return Ask((update,), render_number)


def _increment(connection: Connection, key: bytes, delta: int) -> Ask:
    return Ask((_update(connection, key, Change.INCREMENT, delta),), render_number)


def incr(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    return _increment(connection, arguments[1], 1)


def decr(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    return _increment(connection, arguments[1], -1)


def incrby(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    return _increment(connection, arguments[1], integer_of(arguments[2]))


def decrby(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    delta = integer_of(arguments[2])
    if delta == _INT64_MIN:
        raise CommandError("ERR decrement would overflow")
    return _increment(connection, arguments[1], -delta)


def _render_float(connection: Connection, outcomes: Sequence[Outcome], _: object, __: Now) -> bytes:
    found = applied(outcomes[0])
    if isinstance(found, Applied):
        return connection.encoder.value(found.previous)
    if isinstance(found, Failed) and found.code is Code.OVERFLOW:
        return error("ERR increment would produce NaN or Infinity")
    return failure(found)


def incrbyfloat(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    text = arguments[2]
    try:
        delta = float(text)
    except ValueError:
        raise CommandError(NOT_A_FLOAT) from None
    if math.isnan(delta) or b"_" in text or text != text.strip():
        raise CommandError(NOT_A_FLOAT)
    if math.isinf(delta):
        raise CommandError("ERR increment would produce NaN or Infinity")
    update = _update(connection, arguments[1], Change.INCREMENT_FLOAT, text)
    return Ask((update,), _render_float)


_READ: Final = ("readonly", "fast")
_WRITE: Final = ("write", "denyoom", "fast")

COMMANDS: Final = (
    Command("get", 2, get, _READ, "Read a key.", "string", 1, 1, 1),
    Command("set", -3, set_, ("write", "denyoom"), "Write a key, with conditions and expiry.", "string", 1, 1, 1),
    Command("setex", 4, setex, ("write", "denyoom"), "Write a key that expires after seconds.", "string", 1, 1, 1, since="2.0.0"),
    Command("psetex", 4, psetex, ("write", "denyoom"), "Write a key that expires after milliseconds.", "string", 1, 1, 1, since="2.6.0"),
    Command("setnx", 3, setnx, _WRITE, "Write a key unless it exists.", "string", 1, 1, 1),
    Command("getset", 3, getset, _WRITE, "Write a key and answer what it held.", "string", 1, 1, 1),
    Command("getdel", 2, getdel, ("write", "fast"), "Delete a key and answer what it held.", "string", 1, 1, 1, since="6.2.0"),
    Command("getex", -2, getex, ("write", "fast"), "Read a key and change its expiry.", "string", 1, 1, 1, since="6.2.0"),
    Command("append", 3, append, _WRITE, "Add bytes at the end of a value.", "string", 1, 1, 1, since="2.0.0"),
    Command("strlen", 2, strlen, _READ, "Bytes in a value.", "string", 1, 1, 1, since="2.2.0"),
    Command("getrange", 4, getrange, ("readonly",), "Part of a value, by offsets.", "string", 1, 1, 1, since="2.4.0"),
    Command("substr", 4, getrange, ("readonly",), "Older name of GETRANGE.", "string", 1, 1, 1),
    Command("setrange", 4, setrange, ("write", "denyoom"), "Overwrite part of a value from an offset.", "string", 1, 1, 1, since="2.2.0"),
    Command("incr", 2, incr, _WRITE, "Add one to an integer.", "string", 1, 1, 1),
    Command("decr", 2, decr, _WRITE, "Subtract one from an integer.", "string", 1, 1, 1),
    Command("incrby", 3, incrby, _WRITE, "Add to an integer.", "string", 1, 1, 1),
    Command("decrby", 3, decrby, _WRITE, "Subtract from an integer.", "string", 1, 1, 1),
    Command("incrbyfloat", 3, incrbyfloat, _WRITE, "Add to a number with a fraction.", "string", 1, 1, 1, since="2.6.0"),
    Command("mget", -2, mget, _READ, "Read several keys.", "string", 1, -1, 1),
    Command("mset", -3, mset, ("write", "denyoom"), "Write several keys.", "string", 1, -1, 2, since="1.0.1"),
)  # fmt: skip
