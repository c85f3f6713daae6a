"""Key commands: deleting, existence, expiry, scanning, counting, flushing.

SCAN walks the keys whose first owner is this node, as it does on a node of Redis Cluster. KEYS and
RANDOMKEY are left out: a node can't answer them for the cluster.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from nodecore.doors.commands.spec import (
    SYNTAX,
    Arguments,
    Ask,
    Command,
    CommandError,
    check_keys,
    failure,
    first_failure,
    integer_of,
    listed,
    single_value,
)
from nodecore.doors.commands.strings import applied, render_number
from nodecore.doors.resp_connection import Connection
from nodecore.doors.resp_writer import OK, array, bulk, integer, simple
from nodecore.ids import Now
from nodecore.requests import (
    Applied,
    Change,
    Done,
    Failed,
    Flush,
    KeyCount,
    Outcome,
    Read,
    Unknown,
    Update,
)

SCAN_COUNT_DEFAULT: Final = 10
SCAN_COUNT_MAX: Final = 10_000
_INT64_MAX: Final = (1 << 63) - 1
_PATTERN_BYTES_MAX: Final = 1024


def _render_total(connection: Connection, outcomes: Sequence[Outcome], _: object, __: Now) -> bytes:
    problem = first_failure(outcomes)
    if problem is not None:
        return failure(problem)
    total = 0
    for outcome in outcomes:
        found = applied(outcome)
        assert isinstance(found, Applied)
        total += found.number
    return integer(total)


def delete(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    keys = arguments[1:]
    check_keys(keys)
    level = connection.level
    return Ask(tuple([Update(key, Change.DELETE, (), level) for key in keys]), _render_total)


def _render_present(
    connection: Connection, outcomes: Sequence[Outcome], _: object, __: Now
) -> bytes:
    found = listed(outcomes[0])
    if not isinstance(found, list):
        return failure(found)
    return integer(sum(1 for entry in found if entry is not None))


def exists(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    keys = arguments[1:]
    check_keys(keys)
    return Ask((Read(tuple(keys), connection.level),), _render_present)


def _expire_condition(options: Sequence[bytes]) -> int:
    given: set[bytes] = set()
    for option in options:
        word = option.upper()
        if word not in (b"NX", b"XX", b"GT", b"LT"):
            raise CommandError(f"ERR Unsupported option {option.decode('utf-8', 'replace')}")
        given.add(word)
    if b"NX" in given and len(given) > 1:
        raise CommandError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if b"GT" in given and b"LT" in given:
        raise CommandError("ERR GT and LT options at the same time are not compatible")
    if b"XX" in given and b"LT" in given:
        raise CommandError("ERR XX and LT options at the same time are not supported")
    for word, condition in ((b"NX", 1), (b"GT", 3), (b"LT", 4), (b"XX", 2)):
        if word in given:
            return condition
    return 0


def _expire(
    connection: Connection, arguments: Arguments, now: Now, unit_ms: int, relative: bool
) -> Ask:
    name = arguments[0].decode().lower()
    amount = integer_of(arguments[2])
    condition = _expire_condition(arguments[3:])
    expires_ms = amount * unit_ms + (now.wall_ms if relative else 0)
    if abs(amount * unit_ms) > _INT64_MAX or expires_ms > _INT64_MAX:
        raise CommandError(f"ERR invalid expire time in '{name}' command")
    check_keys((arguments[1],))
    # 0 would mean "never"; any moment of the past deletes.
    update = Update(arguments[1], Change.EXPIRE, (max(1, expires_ms), condition), connection.level)
    return Ask((update,), render_number)


def expire(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    return _expire(connection, arguments, now, 1000, True)


def pexpire(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    return _expire(connection, arguments, now, 1, True)


def expireat(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    return _expire(connection, arguments, now, 1000, False)


def pexpireat(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    return _expire(connection, arguments, now, 1, False)


def persist(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    check_keys(arguments[1:])
    update = Update(arguments[1], Change.EXPIRE, (0, 0), connection.level)
    return Ask((update,), render_number)


def _render_expiry(
    connection: Connection, outcomes: Sequence[Outcome], extra: object, now: Now
) -> bytes:
    found = listed(outcomes[0])
    if not isinstance(found, list):
        return failure(found)
    value = single_value(outcomes[0])
    if value is None:
        return integer(-2)
    if isinstance(value, Failed | Unknown):
        return failure(value)
    if value.expires_ms == 0:
        return integer(-1)
    assert isinstance(extra, tuple)
    seconds, relative = extra
    amount = max(0, value.expires_ms - now.wall_ms) if relative else value.expires_ms
    return integer((amount + 500) // 1000 if seconds else amount)


def _expiry(connection: Connection, arguments: Arguments, seconds: bool, relative: bool) -> Ask:
    check_keys(arguments[1:])
    request = Read((arguments[1],), connection.level)
    return Ask((request,), _render_expiry, (seconds, relative))


def ttl(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    return _expiry(connection, arguments, seconds=True, relative=True)


def pttl(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    return _expiry(connection, arguments, seconds=False, relative=True)


def expiretime(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    return _expiry(connection, arguments, seconds=True, relative=False)


def pexpiretime(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    return _expiry(connection, arguments, seconds=False, relative=False)


def _render_type(connection: Connection, outcomes: Sequence[Outcome], _: object, __: Now) -> bytes:
    found = listed(outcomes[0])
    if not isinstance(found, list):
        return failure(found)
    return simple("none" if found[0] is None else "string")


def type_(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    check_keys(arguments[1:])
    return Ask((Read((arguments[1],), connection.level),), _render_type)


def glob_pattern(pattern: bytes) -> re.Pattern[bytes]:
    """Redis's glob (``*``, ``?``, ``[a-c]``, ``[^x]``, backslash) as a compiled expression.

    Raises:
        CommandError: the pattern is longer than it may be.
    """
    if len(pattern) > _PATTERN_BYTES_MAX:
        raise CommandError(f"ERR pattern exceeds {_PATTERN_BYTES_MAX} bytes")
    parts: list[bytes] = []
    at = 0
    while at < len(pattern):
        byte = pattern[at : at + 1]
        at += 1
        if byte == b"*":
            # Runs of stars mean one star; atomic-like laziness keeps matching linear enough.
            if not parts or parts[-1] != b".*":
                parts.append(b".*")
        elif byte == b"?":
            parts.append(b".")
        elif byte == b"[":
            end = pattern.find(b"]", at + 1)
            members = pattern[at:] if end < 0 else pattern[at:end]
            at = len(pattern) if end < 0 else end + 1
            parts.append(_members(members))
        else:
            if byte == b"\\" and at < len(pattern):
                byte = pattern[at : at + 1]
                at += 1
            parts.append(re.escape(byte))
    return re.compile(b"".join(parts), re.DOTALL)


def _members(members: bytes) -> bytes:
    negated = members[:1] == b"^"
    body = members[1:] if negated else members
    allowed = bytearray(256)
    at = 0
    while at < len(body):
        first = body[at]
        if first == 0x5C and at + 1 < len(body):
            at += 1
            first = body[at]
        elif at + 2 < len(body) and body[at + 1] == 0x2D:
            low, high = sorted((first, body[at + 2]))
            allowed[low : high + 1] = b"\x01" * (high - low + 1)
            at += 3
            continue
        allowed[first] = 1
        at += 1
    chosen = [byte for byte in range(256) if bool(allowed[byte]) != negated]
    if not chosen:
        return b"(?!)"
    return b"[" + b"".join(b"\\x%02x" % byte for byte in chosen) + b"]"


def scan(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    if not arguments[1].isdigit() or len(arguments[1]) > 20:
        raise CommandError("ERR invalid cursor")
    cursor, count = int(arguments[1]), SCAN_COUNT_DEFAULT
    pattern: re.Pattern[bytes] | None = None
    wanted = True
    options = arguments[2:]
    if len(options) % 2:
        raise CommandError(SYNTAX)
    for option, argument in zip(options[::2], options[1::2], strict=True):
        word = option.upper()
        if word == b"COUNT":
            count = integer_of(argument)
            if count < 1:
                raise CommandError(SYNTAX)
        elif word == b"MATCH":
            pattern = None if argument == b"*" else glob_pattern(argument)
        elif word == b"TYPE":
            wanted = argument.lower() == b"string"
        else:
            raise CommandError(SYNTAX)
    cursor, keys = connection.door.backend.scan(cursor, min(count, SCAN_COUNT_MAX))
    if not wanted:
        keys = []
    elif pattern is not None:
        keys = [key for key in keys if pattern.fullmatch(key)]
    return array([bulk(b"%d" % cursor), array([bulk(key) for key in keys])])


def _render_count(connection: Connection, outcomes: Sequence[Outcome], _: object, __: Now) -> bytes:
    outcome = outcomes[0]
    if not isinstance(outcome, Done):
        return failure(outcome)
    assert isinstance(outcome.result, int)
    return integer(outcome.result)


def dbsize(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    return Ask((KeyCount(),), _render_count)


def _render_flushed(
    connection: Connection, outcomes: Sequence[Outcome], _: object, __: Now
) -> bytes:
    outcome = outcomes[0]
    return OK if isinstance(outcome, Done) else failure(outcome)


def flush(connection: Connection, arguments: Arguments, now: Now) -> Ask:
    if len(arguments) > 2 or (
        len(arguments) == 2 and arguments[1].upper() not in (b"ASYNC", b"SYNC")
    ):
        raise CommandError(SYNTAX)
    return Ask((Flush(),), _render_flushed)


_READ: Final = ("readonly", "fast")
_WRITE: Final = ("write", "fast")

COMMANDS: Final = (
    Command("del", -2, delete, ("write",), "Delete keys.", "generic", 1, -1, 1),
    Command("unlink", -2, delete, _WRITE, "Delete keys; the same as DEL here.", "generic", 1, -1, 1, since="4.0.0"),
    Command("exists", -2, exists, _READ, "How many of these keys exist.", "generic", 1, -1, 1),
    Command("touch", -2, exists, _READ, "Count keys and mark them as used.", "generic", 1, -1, 1, since="3.2.1"),
    Command("expire", -3, expire, _WRITE, "Let a key expire after seconds.", "generic", 1, 1, 1),
    Command("pexpire", -3, pexpire, _WRITE, "Let a key expire after milliseconds.", "generic", 1, 1, 1, since="2.6.0"),
    Command("expireat", -3, expireat, _WRITE, "Let a key expire at a second of Unix time.", "generic", 1, 1, 1, since="1.2.0"),
    Command("pexpireat", -3, pexpireat, _WRITE, "Let a key expire at a millisecond of Unix time.", "generic", 1, 1, 1, since="2.6.0"),
    Command("ttl", 2, ttl, _READ, "Seconds until a key expires.", "generic", 1, 1, 1),
    Command("pttl", 2, pttl, _READ, "Milliseconds until a key expires.", "generic", 1, 1, 1, since="2.6.0"),
    Command("expiretime", 2, expiretime, _READ, "The second at which a key expires.", "generic", 1, 1, 1, since="7.0.0"),
    Command("pexpiretime", 2, pexpiretime, _READ, "The millisecond at which a key expires.", "generic", 1, 1, 1, since="7.0.0"),
    Command("persist", 2, persist, _WRITE, "Remove a key's expiry.", "generic", 1, 1, 1, since="2.2.0"),
    Command("type", 2, type_, _READ, "The type of a key's value.", "generic", 1, 1, 1),
    Command("scan", -2, scan, ("readonly",), "Walk the keys whose first owner is this node.", "generic", since="2.8.0"),
    Command("dbsize", 1, dbsize, _READ, "Keys whose first owner is this node.", "server", barrier=True),
    Command("flushall", -1, flush, ("write",), "Forget every key of the cluster.", "server", barrier=True),
    Command("flushdb", -1, flush, ("write",), "The same as FLUSHALL: there is one database.", "server", barrier=True),
)  # fmt: skip
