"""Handlers of /health, /metrics and /admin.

Health and metrics come from this node alone, so they are there whatever state the cluster is in.
The routes under /admin are the operator's verbs (``nodecore.admin``) and speak for the cluster:
members that can't be asked are null in the status, and named as silent in the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nodecore.doors.http_context import Call, KeyspaceBody
from nodecore.doors.http_context import HttpContext as Context
from nodecore.doors.http_parser import HttpProblem
from nodecore.doors.http_replies import (
    HttpAsk,
    Reply,
    VerbCall,
    error_reply,
    failure_reply,
    json_reply,
)
from nodecore.ids import Now
from nodecore.requests import Done, Outcome


def _health(context: Context, status: str) -> Reply:
    backend = context.backend
    return json_reply({"status": status, "node": backend.node_id, "epoch": backend.epoch()})


def live(context: Context, call: Call, now: Now) -> Reply:
    return _health(context, "live")


def ready(context: Context, call: Call, now: Now) -> Reply:
    if context.backend.ready():
        return _health(context, "ready")
    status = context.backend.statistics(now).status
    return error_reply(
        503, "not_ready", f"this node is {status}, not a serving member", b"Retry-After: 1\r\n"
    )


def metrics(context: Context, call: Call, now: Now) -> Reply:
    return Reply(200, context.metrics(), b"text/plain; version=0.0.4; charset=utf-8")


def status(context: Context, call: Call, now: Now) -> HttpAsk:
    return HttpAsk((VerbCall("cluster.status"),), _render_plain)


def history(context: Context, call: Call, now: Now) -> HttpAsk:
    return HttpAsk((VerbCall("cluster.history"),), _render_plain)


def change(context: Context, call: Call, now: Now) -> HttpAsk:
    return HttpAsk((VerbCall("change.status"),), _render_plain)


def hot_keys(context: Context, call: Call, now: Now) -> HttpAsk:
    return HttpAsk((VerbCall("cluster.hot-keys"),), _render_hot_keys)


def breakers(context: Context, call: Call, now: Now) -> HttpAsk:
    return HttpAsk((VerbCall("cluster.breakers"),), _render_plain)


def keyspaces(context: Context, call: Call, now: Now) -> HttpAsk:
    return HttpAsk((VerbCall("keyspace.list"),), _render_plain)


def set_keyspace(context: Context, call: Call, now: Now) -> HttpAsk:
    assert isinstance(call.body, KeyspaceBody)
    given = msgspec.to_builtins(call.body)
    assert isinstance(given, dict)
    arguments = {**given, "preview": _preview(call)}
    return HttpAsk((VerbCall("keyspace.set", arguments),), _render_plain)


def delete_keyspace(context: Context, call: Call, now: Now) -> HttpAsk:
    pattern = call.query.get("pattern", "")
    if not pattern:
        raise HttpProblem(400, "bad_request", "the query must name a pattern: ?pattern=session:*")
    arguments = {"pattern": pattern, "preview": _preview(call)}
    return HttpAsk((VerbCall("keyspace.delete", arguments),), _render_plain)


def _preview(call: Call) -> bool:
    text = call.query.get("preview", "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise HttpProblem(400, "bad_request", "preview must be true or false")
    return text in ("true", "1")


def _render_plain(context: Context, outcomes: Sequence[Outcome], extra: object, now: Now) -> Reply:
    (outcome,) = outcomes
    return json_reply(outcome.result) if isinstance(outcome, Done) else failure_reply(outcome)


def _render_hot_keys(
    context: Context, outcomes: Sequence[Outcome], extra: object, now: Now
) -> Reply:
    (outcome,) = outcomes
    if not isinstance(outcome, Done):
        return failure_reply(outcome)
    result = outcome.result
    assert isinstance(result, dict)
    listed = [
        {**heat, "key": heat["key"].decode("utf-8", "backslashreplace")}
        for heat in result["hot_keys"]
    ]
    return json_reply({**result, "hot_keys": listed})
