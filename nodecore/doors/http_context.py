"""What HTTP handlers see: the node, the metrics text, and one request with its parsed target.

Also the JSON shapes of bodies, from which validation and the OpenAPI document come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, final

import msgspec

from nodecore import limits
from nodecore.doors.http_parser import HttpRequest
from nodecore.doors.session import Backend
from nodecore.requests import Level


@final
@dataclass(slots=True)
class HttpContext:
    """What the sessions of one HTTP door share."""

    backend: Backend
    metrics: Callable[[], bytes]
    """The Prometheus text of this node."""


@final
@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way to a handler."""

    request: HttpRequest
    key: bytes
    """The decoded ``{key}`` of the path, b"" when the route has none."""
    query: dict[str, str]
    level: Level
    body: object = None
    """The parsed JSON body when the route declares one."""


Ttl = Annotated[float, msgspec.Meta(gt=0, le=10 * 365 * 86400, description="Seconds to live.")]


class SetBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of PUT /cache/{key}."""

    value: msgspec.Raw
    ttl: Ttl | None = None


class SetReply(msgspec.Struct):
    """Reply of PUT /cache/{key}."""

    key: str
    version: str
    ttl: float | None


class GetReply(msgspec.Struct):
    """Reply of GET /cache/{key}."""

    key: str
    value: Any
    ttl: float | None
    version: str


class DeleteReply(msgspec.Struct):
    """Reply of DELETE /cache/{key}."""

    key: str
    deleted: bool


class BatchOperation(msgspec.Struct, forbid_unknown_fields=True):
    """One operation of a batch."""

    op: Literal["get", "set", "delete"]
    key: Annotated[str, msgspec.Meta(min_length=1)]
    value: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    ttl: Ttl | None = None


class BatchBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /cache/batch."""

    operations: Annotated[list[BatchOperation], msgspec.Meta(max_length=limits.BATCH_KEYS_MAX)]


class BatchResult(msgspec.Struct, omit_defaults=True):
    """Result of one operation: ``ok``, ``missing``, ``failed`` or ``unknown``."""

    op: str
    key: str
    status: str
    value: Any = msgspec.UNSET
    error: dict[str, str] | None = None


class BatchReply(msgspec.Struct):
    """Reply of POST /cache/batch, in order of the operations."""

    results: list[BatchResult]


class MemberReply(msgspec.Struct):
    """One member in the cluster's status; null where it could not be asked."""

    id: str
    pid: int | None
    status: str
    slots_primary: int
    slots_replica: int
    keys: int | None
    memory_bytes: int | None
    ops_per_s: float | None
    resp: str
    http: str
    native: str


class StatusReply(msgspec.Struct):
    """Reply of GET /admin/cluster/status."""

    epoch: int
    state: str
    members: list[MemberReply]


class HotKeyReply(msgspec.Struct):
    """One hot key of the cluster's last window."""

    key: str
    reads_per_s: float
    writes_per_s: float
    slot: int
    error: float


class HotKeysReply(msgspec.Struct):
    """Reply of GET /admin/hot-keys; ``nodes`` answered, ``silent`` are the other members."""

    nodes: list[str]
    silent: list[str]
    hot_keys: list[HotKeyReply]


class BreakerReply(msgspec.Struct):
    """One breaker: ``node`` holds it towards ``peer``."""

    node: str
    peer: str
    state: str
    trips: int
    errors_ratio: float
    slow_ratio: float
    calls: int
    reason: str
    opened_wall_ms: int
    probe_in_s: float
    probes_ok: int
    probes_needed: int
    latency_ms: float


class BreakersReply(msgspec.Struct):
    """Reply of GET /admin/circuit-breakers; ``nodes`` answered, ``silent`` are the other members."""

    nodes: list[str]
    silent: list[str]
    circuit_breakers: list[BreakerReply]


class HealthReply(msgspec.Struct):
    """Reply of the health routes."""

    status: str
    node: str
    epoch: int


class ErrorDetail(msgspec.Struct):
    """What went wrong."""

    code: str
    message: str


class ErrorBody(msgspec.Struct):
    """Body of every error."""

    error: ErrorDetail
