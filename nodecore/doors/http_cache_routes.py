"""Handlers of /cache: one key, and batches.

A JSON value is stored as its canonical bytes (no blanks, sorted keys); ``application/octet-stream``
stores and answers the bytes themselves. A stored value that is not JSON (written through another
door) is shown as a string, or as ``{"base64": ...}`` when it is not UTF-8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

import msgspec

from nodecore import limits
from nodecore.doors.http_context import BatchBody, BatchOperation, BatchResult, Call, SetBody
from nodecore.doors.http_context import HttpContext as Context
from nodecore.doors.http_parser import HttpProblem
from nodecore.doors.http_replies import (
    JSON,
    OCTETS,
    HttpAsk,
    Reply,
    failure_reply,
    flag_headers,
    flag_names,
    json_reply,
    quality_headers,
    version_text,
)
from nodecore.ids import Now, Version
from nodecore.placement.keyspace_edits import default_ttl_ms
from nodecore.requests import (
    Applied,
    Change,
    Done,
    Failed,
    Level,
    Outcome,
    Read,
    Request,
    Unknown,
    Update,
    Value,
    Write,
)
from nodecore.table.interface import Table

_decode = msgspec.json.Decoder().decode
_ABSENT: Final = b'{"error":{"code":"not_found","message":"no such key"}}'
_NOT_FOUND: Final = Reply(404, _ABSENT)


def canonical(raw: msgspec.Raw | bytes) -> bytes:
    """The bytes that a JSON value is stored as."""
    return msgspec.json.encode(_decode(raw), order="deterministic")


@lru_cache(maxsize=1024)
def _quoted(key: bytes) -> bytes:
    return msgspec.json.encode(key.decode())


def shown(value: bytes) -> bytes:
    """A stored value as JSON text."""
    try:
        _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return msgspec.json.encode(value.decode())
        except UnicodeDecodeError:
            return msgspec.json.encode({"base64": value})
    return value


def expires_ms_of(ttl: float | None, now: Now) -> int:
    """Absolute expiry of a time to live in seconds; 0 = never."""
    return 0 if ttl is None else now.wall_ms + max(1, round(ttl * 1000))


def check_value(value: bytes) -> bytes:
    """Refuse values above the limit.

    Raises:
        HttpProblem: 413.
    """
    if len(value) > limits.VALUE_BYTES_MAX:
        raise HttpProblem(413, "value_too_large", f"value exceeds {limits.VALUE_BYTES_MAX} bytes")
    return value


def render_get(context: Context, outcomes: Sequence[Outcome], extra: object, now: Now) -> Reply:
    """The value as JSON, or raw when ``extra`` (key, raw) says so."""
    outcome = outcomes[0]
    if not isinstance(outcome, Done):
        return failure_reply(outcome)
    assert isinstance(outcome.result, list)
    assert isinstance(extra, tuple)
    found = outcome.result[0]
    if found is None:
        flags = flag_headers(outcome.flags)
        return Reply(404, _ABSENT, JSON, flags) if flags else _NOT_FOUND
    if isinstance(found, Failed | Unknown):
        return failure_reply(found)
    assert isinstance(found, Value)
    key, raw = extra
    flags = flag_headers(outcome.flags) if outcome.flags else b""
    return _found_reply(key, raw, found, flags, now)


def render_hit(table: Table, key: bytes, raw: bool, now: Now) -> Reply | None:
    """The reply for a key that the gate may answer; None when the node must be asked."""
    value = table.multi_get((key,), now.wall_ms)[0]
    if value is None:
        return None
    entry = table.get(key)
    assert entry is not None
    found = Value(value, Version(entry.hlc, entry.node), entry.expires_ms, entry.kind)
    return _found_reply(key, raw, found, b"", now)


def _found_reply(key: bytes, raw: bool, found: Value, flags: bytes, now: Now) -> Reply:
    version = b"%x-%x" % found.version
    headers = b'ETag: "%b"\r\n%b' % (version, flags)
    if raw:
        return Reply(200, found.value, OCTETS, headers)
    ttl = b"%.3f" % (max(0, found.expires_ms - now.wall_ms) / 1000) if found.expires_ms else b"null"
    body = b'{"key":%b,"value":%b,"ttl":%b,"version":"%b"}' % (
        _quoted(key),
        shown(found.value),
        ttl,
        version,
    )
    return Reply(200, body, JSON, headers)


def get(context: Context, call: Call, now: Now) -> HttpAsk:
    accept = call.request.headers.get(b"accept", b"")
    raw = OCTETS in accept
    return HttpAsk((Read((call.key,), call.level),), render_get, (call.key, raw))


def _render_put(context: Context, outcomes: Sequence[Outcome], extra: object, now: Now) -> Reply:
    outcome = outcomes[0]
    if not isinstance(outcome, Done):
        return failure_reply(outcome)
    assert isinstance(outcome.result, list)
    assert isinstance(extra, tuple)
    version = outcome.result[0]
    if isinstance(version, Failed | Unknown):
        return failure_reply(version)
    assert isinstance(version, Version)
    key, ttl = extra
    text = version_text(version)
    reply = json_reply({"key": key.decode(), "version": text, "ttl": ttl})
    headers = b'ETag: "%b"\r\n%b' % (text.encode(), quality_headers(outcome))
    return Reply(200, reply.body, JSON, headers)


def put(context: Context, call: Call, now: Now) -> HttpAsk:
    if isinstance(call.body, SetBody):
        value, ttl = canonical(call.body.value), call.body.ttl
    else:
        value, ttl = call.request.body, _ttl_of(call.query)
    write = Write((call.key,), (check_value(value),), expires_ms_of(ttl, now), call.level)
    if ttl is None:
        ttl_ms = default_ttl_ms(context.backend.topology.keyspaces, call.key)
        ttl = ttl_ms / 1000 if ttl_ms else None
    return HttpAsk((write,), _render_put, (call.key, ttl))


def _ttl_of(query: dict[str, str]) -> float | None:
    text = query.get("ttl")
    if text is None:
        return None
    try:
        ttl = float(text)
    except ValueError:
        ttl = 0.0
    if not 0 < ttl <= 10 * 365 * 86400:
        raise HttpProblem(400, "bad_request", "ttl must be a number of seconds above 0")
    return ttl


def _render_delete(context: Context, outcomes: Sequence[Outcome], extra: object, now: Now) -> Reply:
    outcome = outcomes[0]
    if not isinstance(outcome, Done):
        return failure_reply(outcome)
    assert isinstance(outcome.result, Applied)
    assert isinstance(extra, bytes)
    reply = json_reply({"key": extra.decode(), "deleted": outcome.result.number > 0})
    return Reply(200, reply.body, JSON, quality_headers(outcome))


def delete(context: Context, call: Call, now: Now) -> HttpAsk:
    return HttpAsk((Update(call.key, Change.DELETE, (), call.level),), _render_delete, call.key)


def _request_of(operation: BatchOperation, call: Call, now: Now) -> Request:
    key = operation.key.encode()
    if len(key) > limits.KEY_BYTES_MAX:
        raise HttpProblem(400, "key_too_large", f"key exceeds {limits.KEY_BYTES_MAX} bytes")
    if operation.op == "set":
        if not operation.value:
            raise HttpProblem(400, "bad_request", "a set operation needs a value")
        value = check_value(canonical(operation.value))
        return Write((key,), (value,), expires_ms_of(operation.ttl, now), call.level)
    if operation.value or operation.ttl is not None:
        raise HttpProblem(400, "bad_request", f"a {operation.op} operation takes a key only")
    if operation.op == "get":
        return Read((key,), call.level)
    return Update(key, Change.DELETE, (), call.level)


def _result(operation: BatchOperation, outcome: Outcome) -> BatchResult:
    result = BatchResult(operation.op, operation.key, "ok")
    found = outcome.result if isinstance(outcome, Done) else outcome
    if isinstance(outcome, Done):
        result.copies, result.flags = outcome.copies, flag_names(outcome.flags)
    if isinstance(found, list):
        found = found[0]
    if isinstance(found, Failed | Unknown):
        result.status = "unknown" if isinstance(found, Unknown) else "failed"
        result.error = {"code": found.code.name.lower(), "message": found.text}
    elif found is None or (isinstance(found, Applied) and found.number == 0):
        result.status = "missing"
    elif isinstance(found, Value):
        result.value = msgspec.Raw(shown(found.value))
    return result


def _render_batch(context: Context, outcomes: Sequence[Outcome], extra: object, now: Now) -> Reply:
    assert isinstance(extra, list)
    results = [
        _result(operation, outcome) for operation, outcome in zip(extra, outcomes, strict=True)
    ]
    return json_reply({"results": results})


def batch(context: Context, call: Call, now: Now) -> HttpAsk:
    assert isinstance(call.body, BatchBody)
    operations = call.body.operations
    if call.body.consistency != "default":
        call = replace(call, level=Level[call.body.consistency.upper()])
    requests = [_request_of(operation, call, now) for operation in operations]
    return HttpAsk(requests, _render_batch, operations)
