"""Handlers of /health, /metrics and /admin.

Answers come from this node's latest snapshot and its topology document; nobody else is asked, so
they are there whatever state the cluster is in.
"""

from __future__ import annotations

from dataclasses import asdict

from nodecore.doors.http_context import Call
from nodecore.doors.http_context import HttpContext as Context
from nodecore.doors.http_replies import Reply, error_reply, json_reply
from nodecore.ids import Now
from nodecore.status import cluster_status, slot_counts


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


def status(context: Context, call: Call, now: Now) -> Reply:
    backend = context.backend
    return json_reply(
        cluster_status(backend.topology, slot_counts(backend.owners), backend.statistics(now))
    )


def hot_keys(context: Context, call: Call, now: Now) -> Reply:
    statistics = context.backend.statistics(now)
    listed = [
        {**asdict(heat), "key": heat.key.decode("utf-8", "backslashreplace")}
        for heat in statistics.hot_keys
    ]
    return json_reply({"node": statistics.node_id, "hot_keys": listed})


def breakers(context: Context, call: Call, now: Now) -> Reply:
    statistics = context.backend.statistics(now)
    listed = [asdict(breaker) for breaker in statistics.breakers]
    return json_reply({"node": statistics.node_id, "circuit_breakers": listed})
