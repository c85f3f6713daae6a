"""The route table of the HTTP door: one row per method and path.

Routing, the Allow header, body validation and the OpenAPI document all read this table; nothing
else knows a path. ``{key}`` stands for the rest of the path, percent-decoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias, final
from urllib.parse import unquote_to_bytes

import msgspec

from nodecore import limits
from nodecore.doors import http_admin_routes as admin
from nodecore.doors import http_cache_routes as cache_routes
from nodecore.doors.http_context import (
    BatchBody,
    BatchReply,
    BreakersReply,
    Call,
    ChangeReply,
    DeleteReply,
    ErrorBody,
    GetReply,
    HealthReply,
    HistoryReply,
    HotKeysReply,
    HttpContext,
    KeyspaceBody,
    KeyspaceEditReply,
    KeyspacesReply,
    SetBody,
    SetReply,
    StatusReply,
)
from nodecore.doors.http_parser import HttpProblem, HttpRequest
from nodecore.doors.http_replies import HttpAsk, Reply
from nodecore.ids import Now
from nodecore.requests import Level

Handler: TypeAlias = Callable[[HttpContext, Call, Now], Reply | HttpAsk]

CACHE_PREFIX: Final = b"/cache/"
_LEVELS: Final = {level.name.lower(): level for level in Level}


@final
@dataclass(frozen=True, slots=True)
class Route:
    """One row."""

    method: bytes
    template: str
    role: str
    """Who may call it: ``read``, ``write`` or ``admin``; anybody on a loopback door."""
    handler: Handler
    summary: str
    request: type[msgspec.Struct] | None = None
    """Shape of a JSON body; a route with one demands it."""
    reply: type[msgspec.Struct] | None = None
    octets: bool = False
    """Raw bytes are taken and given as well."""
    statuses: tuple[int, ...] = ()
    """Errors beside those that every route may answer."""
    query: tuple[str, ...] = ()
    """Names of query parameters, of those in ``_QUERY``."""


def _openapi(context: HttpContext, call: Call, now: Now) -> Reply:  # noqa: ARG001 - one signature
    return Reply(200, openapi_document())


ROUTES: Final = (
    Route(b"GET", "/cache/{key}", "read", cache_routes.get, "Read a key.", None, GetReply, True, (404, 503, 504), ("consistency",)),
    Route(b"PUT", "/cache/{key}", "write", cache_routes.put, "Write a key.", SetBody, SetReply, True, (413, 415, 503, 504), ("consistency",)),
    Route(b"DELETE", "/cache/{key}", "write", cache_routes.delete, "Delete a key.", None, DeleteReply, False, (503, 504), ("consistency",)),
    Route(b"POST", "/cache/batch", "write", cache_routes.batch, "Run operations in order.", BatchBody, BatchReply, False, (413, 415), ("consistency",)),
    Route(b"GET", "/health/live", "read", admin.live, "Whether this process answers.", None, HealthReply),
    Route(b"GET", "/health/ready", "read", admin.ready, "Whether this node serves as a full member.", None, HealthReply, False, (503,)),
    Route(b"GET", "/metrics", "read", admin.metrics, "Figures for Prometheus."),
    Route(b"GET", "/admin/cluster/status", "admin", admin.status, "Members and their figures.", None, StatusReply, False, (429, 503)),
    Route(b"GET", "/admin/cluster/history", "admin", admin.history, "Documents of the topology, and who had them decided.", None, HistoryReply),
    Route(b"GET", "/admin/cluster/change", "admin", admin.change, "The change of the members under way or waiting.", None, ChangeReply, False, (429, 503)),
    Route(b"GET", "/admin/hot-keys", "admin", admin.hot_keys, "Hot keys of the cluster.", None, HotKeysReply, False, (429,)),
    Route(b"GET", "/admin/circuit-breakers", "admin", admin.breakers, "Breakers of all members.", None, BreakersReply, False, (429,)),
    Route(b"GET", "/admin/keyspaces", "admin", admin.keyspaces, "Policies of keys by pattern.", None, KeyspacesReply, False, (503,)),
    Route(b"PUT", "/admin/keyspaces", "admin", admin.set_keyspace, "Change settings of a pattern's policy, or give it one.", KeyspaceBody, KeyspaceEditReply, False, (409, 413, 415, 503, 504), ("preview",)),
    Route(b"DELETE", "/admin/keyspaces", "admin", admin.delete_keyspace, "Forget a pattern's policy.", None, KeyspaceEditReply, False, (409, 503, 504), ("pattern", "preview")),
    Route(b"GET", "/openapi.json", "read", _openapi, "This document."),
)  # fmt: skip


def _index() -> tuple[dict[bytes, dict[bytes, Route]], dict[bytes, Route]]:
    exact: dict[bytes, dict[bytes, Route]] = {}
    keyed: dict[bytes, Route] = {}
    for route in ROUTES:
        if route.template.endswith("{key}"):
            assert route.template.encode() == CACHE_PREFIX + b"{key}"
            keyed[route.method] = route
        else:
            exact.setdefault(route.template.encode(), {})[route.method] = route
    return exact, keyed


_EXACT, KEYED = _index()


class MethodNotAllowed(HttpProblem):
    """405, with the methods that the path does have."""

    def __init__(self, methods: list[bytes]) -> None:
        allowed = b", ".join(sorted({*methods, *([b"HEAD"] if b"GET" in methods else [])}))
        super().__init__(405, "method_not_allowed", f"allowed here: {allowed.decode()}")
        self.allowed = allowed


def decode_key(path: bytes) -> bytes:
    """The key in a path: percent-decoded once.

    Raises:
        HttpProblem: empty, too long, a bad escape, a NUL, or not UTF-8.
    """
    key = path
    if b"%" in path:
        for part in path.split(b"%")[1:]:
            if len(part) < 2 or not all(byte in b"0123456789abcdefABCDEF" for byte in part[:2]):
                raise HttpProblem(400, "bad_request", "bad percent escape in the path")
        key = unquote_to_bytes(path)
    if not key or b"\0" in key:
        raise HttpProblem(400, "bad_request", "a key must not be empty or contain NUL")
    if len(key) > limits.KEY_BYTES_MAX:
        raise HttpProblem(400, "key_too_large", f"key exceeds {limits.KEY_BYTES_MAX} bytes")
    if not key.isascii():
        try:
            key.decode()
        except UnicodeDecodeError:
            raise HttpProblem(400, "bad_request", "a key in a path must be UTF-8") from None
    return key


def find(method: bytes, path: bytes) -> tuple[Route, bytes]:
    """The route of a request and its key.

    Raises:
        HttpProblem: 404, or :class:`MethodNotAllowed`.
    """
    wanted = b"GET" if method == b"HEAD" else method
    methods = _EXACT.get(path)
    if methods is not None and wanted in methods:
        return methods[wanted], b""
    if path.startswith(CACHE_PREFIX):
        route = KEYED.get(wanted)
        if route is None:
            raise MethodNotAllowed([*KEYED, *(methods or {})])
        return route, decode_key(path[len(CACHE_PREFIX) :])
    if methods is not None:
        raise MethodNotAllowed(list(methods))
    raise HttpProblem(404, "no_such_path", "no such path: /openapi.json lists them")


def parse_query(query: bytes) -> dict[str, str]:
    """Query parameters; the last of a repeated name counts.

    Raises:
        HttpProblem: it is not UTF-8.
    """
    found: dict[str, str] = {}
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name:
            try:
                found[unquote_to_bytes(name).decode()] = unquote_to_bytes(value).decode()
            except UnicodeDecodeError:
                raise HttpProblem(400, "bad_request", "the query must be UTF-8") from None
    return found


def level_of(query: Mapping[str, str]) -> Level:
    """The consistency level that a query names.

    Raises:
        HttpProblem: there is no such level.
    """
    level = _LEVELS.get(query.get("consistency", "default").lower())
    if level is None:
        raise HttpProblem(400, "bad_request", f"consistency must be one of {', '.join(_LEVELS)}")
    return level


def parse_body(route: Route, request: HttpRequest) -> object:
    """The JSON body of a route that has one; None when raw bytes were sent instead.

    Raises:
        HttpProblem: another media type (415), not JSON (400), or JSON of another shape (422).
    """
    if route.request is None:
        return None
    media = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if route.octets and media == b"application/octet-stream":
        return None
    if media != b"application/json":
        text = "Content-Type must be application/json"
        raise HttpProblem(
            415, "media_type", text + (" or application/octet-stream" if route.octets else "")
        )
    try:
        return _decoder(route.request).decode(request.body)
    except msgspec.ValidationError as error:
        raise HttpProblem(422, "invalid_body", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HttpProblem(400, "bad_json", str(error) or "the body is not JSON") from None


@cache
def _decoder(shape: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)


_QUERY: Final[Mapping[str, dict[str, Any]]] = {
    "consistency": {
        "name": "consistency", "in": "query", "schema": {"type": "string", "enum": list(_LEVELS)},
        "description": "Named levels are strict: with fewer copies the request fails.",
    },
    "pattern": {
        "name": "pattern", "in": "query", "required": True,
        "schema": {"type": "string", "minLength": 1},
    },
    "preview": {
        "name": "preview", "in": "query", "schema": {"type": "boolean"},
        "description": "Only say what would change.",
    },
}  # fmt: skip


def _operation(route: Route, names: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    def content(shape: type[msgspec.Struct] | None) -> dict[str, Any]:
        if shape is None:
            media = "text/plain" if route.template == "/metrics" else "application/json"
            return {media: {"schema": {}}}
        found: dict[str, Any] = {"application/json": {"schema": names[shape]}}
        if route.octets:
            found["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
        return found

    error = {"application/json": {"schema": names[ErrorBody]}}
    responses: dict[str, Any] = {"200": {"description": "Done.", "content": content(route.reply)}}
    refusals = {400, 421, 403, *route.statuses, *((422,) if route.request else ())}
    for status in sorted(refusals):
        responses[str(status)] = {"description": "Refused or failed.", "content": error}
    operation: dict[str, Any] = {"summary": route.summary, "responses": responses}
    operation["tags"] = [route.role]
    parameters: list[dict[str, Any]] = [_QUERY[name] for name in route.query]
    if "{key}" in route.template:
        key = {"type": "string", "minLength": 1}
        parameters.insert(0, {"name": "key", "in": "path", "required": True, "schema": key})
    if parameters:
        operation["parameters"] = parameters
    if route.request is not None:
        operation["requestBody"] = {"required": True, "content": content(route.request)}
    return operation


@cache
def openapi_document() -> bytes:
    """The OpenAPI 3.1 document of this table, as JSON."""
    shapes = [shape for route in ROUTES for shape in (route.request, route.reply) if shape]
    shapes.append(ErrorBody)
    schemas, components = msgspec.json.schema_components(
        shapes, ref_template="#/components/schemas/{name}"
    )
    names = dict(zip(shapes, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.template, {})[route.method.decode().lower()] = _operation(
            route, names
        )
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "ringdeck", "version": "1"},
            "paths": paths,
            "components": {"schemas": components},
        }
    )
