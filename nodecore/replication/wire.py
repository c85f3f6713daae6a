"""Requests and outcomes as plain data, for ``Forward``, ``Forwarded`` and the native door.

Parsing checks every shape and size: the bytes come from another process. Nothing here interprets
a request.
"""

from __future__ import annotations

from typing import Any

from nodecore.errors import Code
from nodecore.ids import Version
from nodecore.requests import (
    Applied,
    Change,
    Done,
    Failed,
    Flag,
    Flush,
    KeyCount,
    Level,
    Outcome,
    Read,
    Request,
    Unknown,
    Update,
    Value,
    Write,
)


class MalformedPlain(ValueError):  # noqa: N818 - the name says what it is
    """Plain data that is not what this module writes."""


def request_to_plain(request: Request) -> list[object]:
    """``[word, *fields]``."""
    match request:
        case Read(keys, level):
            return ["read", list(keys), int(level)]
        case Write(keys, values, expires_ms, level):
            return ["write", list(keys), list(values), expires_ms, int(level)]
        case Update(key, change, arguments, level):
            return ["update", key, int(change), list(arguments), int(level)]
        case Flush():
            return ["flush"]
        case KeyCount():
            return ["count"]


def request_from_plain(plain: object) -> Request:
    """Parse what :func:`request_to_plain` gave.

    Raises:
        MalformedPlain: the shape is wrong.
    """
    fields = _list(plain, "request")
    word = fields[0] if fields else None
    match word, len(fields):
        case "read", 3:
            return Read(_keys(fields[1]), _level(fields[2]))
        case "write", 5:
            keys, values = _keys(fields[1]), _keys(fields[2])
            if len(keys) != len(values):
                raise MalformedPlain(f"{len(keys)} keys but {len(values)} values")
            return Write(keys, values, _count(fields[3], "expires_ms"), _level(fields[4]))
        case "update", 5:
            arguments = _list(fields[3], "arguments")
            for argument in arguments:
                if isinstance(argument, bool) or not isinstance(argument, bytes | int):
                    raise MalformedPlain("an argument is neither bytes nor an integer")
            return Update(
                _bytes(fields[1]), _change(fields[2]), tuple(arguments), _level(fields[4])
            )
        case "flush", 1:
            return Flush()
        case "count", 1:
            return KeyCount()
        case _:
            raise MalformedPlain("not a request")


def outcome_to_plain(outcome: Outcome) -> list[object]:
    """``[word, *fields]``."""
    match outcome:
        case Done(result, flags, copies):
            return ["done", _result_to_plain(result), int(flags), copies]
        case Failed(code, text, retry_after_s):
            return ["failed", int(code), text, int(retry_after_s * 1000)]
        case Unknown(code, text):
            return ["unknown", int(code), text]


def outcome_from_plain(plain: object) -> Outcome:
    """Parse what :func:`outcome_to_plain` gave.

    Raises:
        MalformedPlain: the shape is wrong.
    """
    fields = _list(plain, "outcome")
    word = fields[0] if fields else None
    match word, len(fields):
        case "done", 4:
            flags = _count(fields[2], "flags")
            return Done(_result_from_plain(fields[1]), Flag(flags), _count(fields[3], "copies"))
        case "failed", 4:
            return Failed(_code(fields[1]), _text(fields[2]), _count(fields[3], "retry") / 1000)
        case "unknown", 3:
            return Unknown(_code(fields[1]), _text(fields[2]))
        case _:
            raise MalformedPlain("not an outcome")


def _result_to_plain(result: object) -> object:
    match result:
        case None | bool() | int() | float() | str() | bytes():
            return result
        case Version(hlc, node):
            return ["version", hlc, node]
        case Value(value, version, expires_ms, kind):
            return ["value", value, version.hlc, version.node, expires_ms, kind]
        case Applied(number, previous, version, expires_ms, changed):
            return ["applied", number, previous, version.hlc, version.node, expires_ms, changed]
        case Failed():
            return outcome_to_plain(result)
        case list() | tuple():
            return ["list", [_result_to_plain(item) for item in result]]
        case dict():
            return ["dict", result]
        case _:
            raise TypeError(f"a result of type {type(result).__name__} has no wire form")


def _result_from_plain(plain: object) -> object:
    if not isinstance(plain, list):
        return plain
    word = plain[0] if plain else None
    match word, len(plain):
        case "version", 3:
            return _version(plain[1], plain[2])
        case "value", 6:
            return Value(
                _bytes(plain[1]),
                _version(plain[2], plain[3]),
                _count(plain[4], "expires_ms"),
                _count(plain[5], "kind"),
            )
        case "applied", 7:
            previous = plain[2]
            return Applied(
                _integer(plain[1]),
                None if previous is None else _bytes(previous),
                _version(plain[3], plain[4]),
                _integer(plain[5]),
                bool(plain[6]),
            )
        case "failed", 4:
            return outcome_from_plain(plain)
        case "list", 2:
            return [_result_from_plain(item) for item in _list(plain[1], "list")]
        case "dict", 2 if isinstance(plain[1], dict):
            return plain[1]
        case _:
            raise MalformedPlain("not a result")


def _list(plain: object, what: str) -> list[Any]:
    if not isinstance(plain, list):
        raise MalformedPlain(f"{what}: a list was expected")
    return plain


def _keys(plain: object) -> tuple[bytes, ...]:
    found = _list(plain, "keys")
    for item in found:
        if not isinstance(item, bytes):
            raise MalformedPlain("a key or value is not bytes")
    return tuple(found)


def _bytes(plain: object) -> bytes:
    if not isinstance(plain, bytes):
        raise MalformedPlain("bytes were expected")
    return plain


def _text(plain: object) -> str:
    if not isinstance(plain, str):
        raise MalformedPlain("text was expected")
    return plain


def _integer(plain: object) -> int:
    if isinstance(plain, bool) or not isinstance(plain, int):
        raise MalformedPlain("an integer was expected")
    return plain


def _count(plain: object, what: str) -> int:
    value = _integer(plain)
    if value < 0:
        raise MalformedPlain(f"{what}: {value} is negative")
    return value


def _version(hlc: object, node: object) -> Version:
    return Version(_count(hlc, "hlc"), _count(node, "node"))


def _level(plain: object) -> Level:
    try:
        return Level(_integer(plain))
    except ValueError:
        raise MalformedPlain(f"no such level: {plain}") from None


def _change(plain: object) -> Change:
    try:
        return Change(_integer(plain))
    except ValueError:
        raise MalformedPlain(f"no such change: {plain}") from None


def _code(plain: object) -> Code:
    try:
        return Code(_integer(plain))
    except ValueError:
        return Code.INTERNAL
