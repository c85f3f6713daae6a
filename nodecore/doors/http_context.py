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
from nodecore.placement.keyspace_edits import TTL_MS_MAX
from nodecore.placement.rules import COPIES_MAX
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
    consistency: Literal["default", "one", "quorum", "all"] = "default"
    """Of every operation; overrides that of the query."""


class BatchResult(msgspec.Struct, omit_defaults=True):
    """Result of one operation: ``ok``, ``missing``, ``failed`` or ``unknown``."""

    op: str
    key: str
    status: str
    value: Any = msgspec.UNSET
    error: dict[str, str] | None = None
    copies: int = 0
    """Of a write: distinct nodes that acknowledged it; left out when not counted."""
    flags: tuple[str, ...] = ()
    """``sloppy``, ``degraded``, ``stale``; left out when there are none."""


class BatchReply(msgspec.Struct):
    """Reply of POST /cache/batch, in order of the operations."""

    results: list[BatchResult]


class KeyspaceBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Body of PUT /admin/keyspaces: a pattern, and the settings that change."""

    pattern: Annotated[
        str,
        msgspec.Meta(min_length=1, max_length=256, description="A prefix followed by *."),
    ]
    mode: Literal["eventual", "strong"] | msgspec.UnsetType = msgspec.UNSET
    n: Annotated[int, msgspec.Meta(ge=1, le=COPIES_MAX)] | msgspec.UnsetType = msgspec.UNSET
    w: Annotated[int, msgspec.Meta(ge=1, le=COPIES_MAX)] | msgspec.UnsetType = msgspec.UNSET
    r: Annotated[int, msgspec.Meta(ge=1, le=COPIES_MAX)] | msgspec.UnsetType = msgspec.UNSET
    ttl_ms: Annotated[int, msgspec.Meta(ge=0, le=TTL_MS_MAX)] | msgspec.UnsetType = msgspec.UNSET
    durability: Literal["memory", "process", "power"] | msgspec.UnsetType = msgspec.UNSET
    on_partition: Literal["available", "read-only", "refuse"] | msgspec.UnsetType = msgspec.UNSET
    write_through: bool | msgspec.UnsetType = msgspec.UNSET


class KeyspaceReply(msgspec.Struct):
    """One policy."""

    pattern: str
    mode: str
    n: int
    w: int
    r: int
    ttl_ms: int
    durability: str
    on_partition: str
    write_through: bool
    eviction: str
    w_past: int
    n_next: int = 0
    strong_since: int = 0


class KeyspacesReply(msgspec.Struct):
    """Reply of GET /admin/keyspaces."""

    epoch: int
    keyspaces: list[KeyspaceReply]


class SettingReply(msgspec.Struct):
    """One setting that an edit changes for the keys of the pattern."""

    setting: str
    # ``from`` is a word of the language.
    before: Any = msgspec.field(name="from")
    to: Any = None


class KeyspaceEditReply(msgspec.Struct):
    """Reply of PUT and DELETE /admin/keyspaces; ``epoch`` is the one that makes it so."""

    pattern: str
    before: KeyspaceReply | None
    after: KeyspaceReply | None
    changes: list[SettingReply]
    effects: list[str]
    epoch: int
    applied: bool


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


class PastDocumentReply(msgspec.Struct):
    """One document of the topology chain, see ``nodecore.change_history.PastDocument``."""

    generation: int
    epoch: int
    state: str
    reason: str
    proposer: str
    proposed_ms: int
    seen_ms: int
    kind: str
    node_id: str
    coordinator: str
    members: int
    added: list[str]
    removed: list[str]


class HistoryReply(msgspec.Struct):
    """Reply of GET /admin/cluster/history, oldest first, as far as ``node`` knows."""

    node: str
    epoch: int
    history: list[PastDocumentReply]


class ChangeReply(msgspec.Struct):
    """Reply of GET /admin/cluster/change: what is under way or waits, and what holds it up."""

    epoch: int
    state: str
    kind: str
    node_id: str
    replaces: str
    coordinator: str
    slots_total: int
    slots_done: int
    keys_moved: int
    bytes_moved: int
    started_wall_ms: int
    paused: bool
    reason: str
    reason_code: str
    approval: str
    bytes_per_s: int
    answered_by: str
    proposal: dict[str, Any] | None


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
