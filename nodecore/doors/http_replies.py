"""HTTP replies: status lines, bodies, errors, and what node outcomes mean in HTTP.

Every error has the body ``{"error": {"code", "message"}}``; replies that may be repeated later
carry ``Retry-After``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias, final

import msgspec

from nodecore.doors.http_parser import HttpProblem
from nodecore.errors import Code
from nodecore.ids import Now, Version
from nodecore.requests import Done, Failed, Flag, Outcome, Request, Unknown

if TYPE_CHECKING:
    from nodecore.doors.http_context import HttpContext

JSON: Final = b"application/json"
OCTETS: Final = b"application/octet-stream"
_REASONS: Final[Mapping[int, bytes]] = {
    200: b"OK", 400: b"Bad Request", 403: b"Forbidden", 404: b"Not Found",
    405: b"Method Not Allowed", 408: b"Request Timeout", 409: b"Conflict", 413: b"Content Too Large",
    415: b"Unsupported Media Type", 417: b"Expectation Failed", 421: b"Misdirected Request",
    422: b"Unprocessable Content", 429: b"Too Many Requests",
    431: b"Request Header Fields Too Large", 500: b"Internal Server Error",
    501: b"Not Implemented", 503: b"Service Unavailable", 504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}  # fmt: skip
_STATUS_OF: Final[Mapping[Code, int]] = {
    Code.INTERNAL: 500,
    Code.BAD_REQUEST: 400,
    Code.WRONG_TYPE: 409,
    Code.NOT_AN_INTEGER: 409,
    Code.OVERFLOW: 409,
    Code.NOT_A_FLOAT: 409,
    Code.KEY_TOO_LARGE: 400,
    Code.VALUE_TOO_LARGE: 413,
    Code.ANSWER_TOO_LARGE: 413,
    Code.OVERLOADED: 429,
    Code.REFUSED: 403,
    Code.CHAOS_DISABLED: 403,
    Code.UNKNOWN_NODE: 404,
    Code.TAKEN: 409,
    Code.WRONG_CLUSTER: 409,
    Code.CHANGE_RUNNING: 409,
    Code.TIMED_OUT: 504,
}
"""Codes that are not here are 503: this node can't, now."""


@final
@dataclass(slots=True)
class Reply:
    """An answer before it has its head."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: bytes = b""
    """Further header lines, each with its line end."""


@final
@dataclass(frozen=True, slots=True)
class VerbCall:
    """An operator's verb, see ``Backend.admin``."""

    verb: str
    arguments: Mapping[str, object] = field(default_factory=dict)


@final
@dataclass(slots=True)
class HttpAsk:
    """Requests to the node, and how their outcomes become a reply."""

    requests: Sequence[Request | VerbCall]
    render: HttpRender
    extra: object = None


HttpRender: TypeAlias = "Callable[[HttpContext, Sequence[Outcome], object, Now], Reply]"


def head(reply: Reply, keep_alive: bool, body_too: bool = True) -> bytes:
    """The bytes of a reply; without its body for HEAD."""
    return b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b%b\r\n%b" % (
        reply.status,
        _REASONS[reply.status],
        reply.content_type,
        len(reply.body),
        reply.headers,
        b"" if keep_alive else b"Connection: close\r\n",
        reply.body if body_too else b"",
    )


def json_reply(document: object, status: int = 200) -> Reply:
    """A JSON document as a reply."""
    return Reply(status, msgspec.json.encode(document))


def error_reply(status: int, code: str, text: str, headers: bytes = b"") -> Reply:
    """An error as a reply."""
    body = msgspec.json.encode({"error": {"code": code, "message": text}})
    return Reply(status, body, JSON, headers)


def problem_reply(problem: HttpProblem) -> Reply:
    """A refusal as a reply."""
    return error_reply(problem.status, problem.code, problem.text)


def failure_reply(failed: Failed | Unknown) -> Reply:
    """A failure of the node as a reply. An unknown outcome says so in its code."""
    if isinstance(failed, Unknown):
        text = failed.text or "it may have happened"
        return error_reply(504, "unknown", text)
    status = _STATUS_OF.get(failed.code, 503)
    headers = b""
    if status in (429, 503):
        headers = b"Retry-After: %d\r\n" % max(1, math.ceil(failed.retry_after_s))
    code = failed.code.name.lower()
    return error_reply(status, code, failed.text or code.replace("_", " "), headers)


def version_text(version: Version) -> str:
    """A version for JSON and ETag: too wide for a JSON number."""
    return f"{version.hlc:x}-{version.node:x}"


_FLAG_HEADERS: Final = {
    Flag.SLOPPY: b"X-Ringdeck-Sloppy: 1\r\n",
    Flag.DEGRADED: b"X-Ringdeck-Degraded: 1\r\n",
    Flag.STALE: b"X-Ringdeck-Stale: 1\r\n",
}


def flag_names(flags: Flag) -> tuple[str, ...]:
    """An answer's quality as words; none for a plain one."""
    return tuple(str(flag.name).lower() for flag in _FLAG_HEADERS if flags & flag)


def quality_headers(outcome: Done) -> bytes:
    """Header lines of a write: its flags, and how many copies were acknowledged where counted."""
    copies = b"X-Ringdeck-Copies: %d\r\n" % outcome.copies if outcome.copies else b""
    return copies + flag_headers(outcome.flags)


def flag_headers(flags: Flag) -> bytes:
    """Header lines of an answer's quality; nothing for a plain one."""
    return (
        b"".join([line for flag, line in _FLAG_HEADERS.items() if flags & flag]) if flags else b""
    )
