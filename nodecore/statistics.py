"""What a node says about itself once per tick: frozen, plain, mergeable.

``/metrics``, ``cluster status``, the console and the alert rules all read these records; nothing
else describes a node. Counters are totals since the process started (consumers take differences);
gauges are as of ``at_wall_ms``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from nodecore.table.interface import BANDS_COUNT


@dataclass(frozen=True, slots=True)
class KeyHeat:
    """One hot key of the last complete window."""

    key: bytes
    reads_per_s: float
    writes_per_s: float
    slot: int
    error: float = 0.0
    """Bound on the error of the rates, per second; 0 = exact."""


@dataclass(frozen=True, slots=True)
class BreakerState:
    """One link breaker of this node towards a peer."""

    peer: str
    state: str
    """``closed``, ``open``, ``half-open``, ``forced-open``, ``disabled``."""
    trips: int
    errors_ratio: float
    slow_ratio: float
    calls: int
    """Calls in the window."""
    reason: str = ""
    opened_wall_ms: int = 0
    probe_in_s: float = 0.0
    """Seconds until the next probe; 0 when not open."""
    probes_ok: int = 0
    probes_needed: int = 0
    latency_ms: float = 0.0
    """EWMA of call latency on this link."""


@dataclass(frozen=True, slots=True)
class PeerView:
    """What this node believes about a member."""

    node_id: str
    status: str
    """``joining``, ``alive``, ``suspect``, ``failed``, ``leaving``, ``left``."""
    incarnation: int
    link_up: bool = False


@dataclass(frozen=True, slots=True)
class FaultState:
    """An active fault on this node."""

    fault_id: str
    kind: str
    target: str
    """``n1->n3``, ``client->n3``."""
    text: str
    """For a person: ``latency 200±50 ms down``."""
    owner: str
    since_wall_ms: int
    ends_wall_ms: int
    """0 = until removed."""
    hits: int = 0


@dataclass(frozen=True, slots=True)
class ChangeProgress:
    """A topology change in flight, as its coordinator sees it."""

    kind: str
    """``join``, ``leave``, ``remove``, ``rebalance``."""
    node_id: str
    state: str
    """``joint``, ``streaming``, ``committing``, ``paused``; ``waiting`` for approval."""
    slots_total: int
    slots_done: int
    keys_moved: int
    bytes_moved: int
    started_wall_ms: int
    reason: str = ""
    """Why it waits or failed."""
    reason_code: str = ""
    """The same for programs, see ``placement.change_reasons``; empty while it goes on."""
    paused: bool = False


@dataclass(frozen=True, slots=True)
class DiskStatistics:
    """The disk tier of a node."""

    bytes_used: int
    bytes_max: int
    """0: only what keyspaces promise is written."""
    keys_cold: int
    """Live keys that are on disk and not in memory."""
    keys_memory: int
    read_only: bool = False
    """The disk has lately refused to take more."""
    demotions: int = 0
    """Entries that memory has given up to the disk."""
    counters: dict[str, int] = field(default_factory=dict)
    """``hits``, ``misses``, ``promotions``, ``write_backs``, ``evictions_l2``, ``checksum_failures``, ..."""
    warm_found: int = 0
    """Records that the start of this process met."""
    warm_lifted: int = 0
    """Those that were brought back to memory."""
    warm_s: float = 0.0
    warming: bool = False
    scrub_progress: float = 0.0
    """Share of this pass that is done, 0..1."""
    scrub_passes: int = 0
    scrub_records: int = 0
    scrub_bytes: int = 0


@dataclass(frozen=True, slots=True)
class LatencyHistogram:
    """Counts per bucket of microseconds; bounds in ``LATENCY_BOUNDS_US`` plus one for the rest."""

    counts: tuple[int, ...]
    sum_us: int = 0


@dataclass(frozen=True, slots=True)
class PolicyShadow:
    """What an eviction policy would have done with the requests of this node, from a sample."""

    policy: str
    hit_ratio: float
    """0..1, averaged over the last rounds."""
    samples: int
    """Requests that it rests on."""
    rules: bool = False
    """Whether it orders the entries now; under ``adaptive``, whether it was chosen."""


LATENCY_BOUNDS_US: tuple[int, ...] = (
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000,
    100_000, 200_000, 500_000, 1_000_000, 2_000_000,
)  # fmt: skip


TTL_BOUNDS_S: tuple[int, ...] = (1, 10, 60, 600, 3600, 86_400)
"""Upper bounds of the classes of ``NodeStatistics.ttl_counts``, in seconds."""


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """One snapshot of one node."""

    node_id: str
    at_wall_ms: int
    uptime_s: float
    pid: int = 0
    version: str = ""
    table: str = ""
    """``compiled`` or ``reference``."""
    epoch: int = 0
    cluster_id: str = ""
    cluster_state: str = "stable"
    """``stable`` or ``joint``."""
    status: str = "alive"
    """This node's own status, words of PeerView."""
    incarnation: int = 0
    slots_primary: int = 0
    slots_replica: int = 0
    # storage
    keys: int = 0
    memory_bytes: int = 0
    memory_bytes_max: int = 0
    rss_bytes: int = 0
    tombstones: int = 0
    ttl_counts: tuple[int, ...] = ()
    """Entries of memory by the time they have left, from a sample: below each of TTL_BOUNDS_S, above
    the last, and those that never expire. Empty until entries were seen."""
    evictions: dict[str, int] = field(default_factory=dict)
    """By cause: ``size``, ``expired``, ``forced``, ``moved``."""
    eviction_policy: str = ""
    eviction_changing: bool = False
    """Whether entries are still being handed over to that policy."""
    policy_shadows: tuple[PolicyShadow, ...] = ()
    """Best first; empty until enough requests were seen."""
    # traffic
    reads: int = 0
    writes: int = 0
    hits: int = 0
    misses: int = 0
    errors: int = 0
    unknowns: int = 0
    operations_per_s: float = 0.0
    """Reads and writes of the last complete second; 0 before the first."""
    requests: dict[str, int] = field(default_factory=dict)
    """By command name, all doors."""
    gate_reads: int = 0
    """Reads that the compiled gate served."""
    read_latency: LatencyHistogram | None = None
    write_latency: LatencyHistogram | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    connections: int = 0
    connections_refused: int = 0
    loop_lag_ms: float = 0.0
    idle_share: float = 1.0
    """Of the last tick, what the event loop spent waiting."""
    cpu_s: float = 0.0
    # replication
    hints_queued: int = 0
    hints_bytes: int = 0
    hints_oldest_s: float = 0.0
    """How long the oldest hint has waited; 0 without any."""
    hints_sent: int = 0
    hints_dropped: int = 0
    repairs: int = 0
    conflicts: int = 0
    conflicts_by_cause: dict[str, int] = field(default_factory=dict)
    """``update``, ``hint``, ``repair``, ``handover``: how the two versions met."""
    sloppy_writes: int = 0
    degraded_reads: int = 0
    forwarded: int = 0
    hedged: int = 0
    clock_offset_ms: float = 0.0
    """Median offset of the peers' clocks against ours."""
    # views
    peers: tuple[PeerView, ...] = ()
    breakers: tuple[BreakerState, ...] = ()
    faults: tuple[FaultState, ...] = ()
    hot_keys: tuple[KeyHeat, ...] = ()
    slot_heat: tuple[int, ...] = ()
    """Operations of the last window in each of HEAT_BANDS equal bands of slots."""
    heat_operations: int = 0
    """Operations in all windows of heat since the start."""
    disk: DiskStatistics | None = None
    """None: entries live in memory alone."""
    change: ChangeProgress | None = None
    counters: dict[str, int] = field(default_factory=dict)
    """Named counters of rooms that have no field of their own."""

    def to_plain(self) -> dict[str, Any]:
        """As plain data for the wire."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: object) -> NodeStatistics:
        """Parse what ``to_plain`` gave, unknown fields ignored.

        Raises:
            msgspec.ValidationError: the shape is wrong.
        """
        return msgspec.convert(plain, cls, strict=False)


HEAT_BANDS = BANDS_COUNT
"""Bands of 128 slots: enough rows for the tallest heat map."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One event of one node, numbered per process."""

    sequence: int
    at_wall_ms: int
    node_id: str
    kind: str
    text: str
    severity: str = "info"
    fields: dict[str, str | int | float] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """As plain data for the wire."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: object) -> EventRecord:
        """Parse what ``to_plain`` gave.

        Raises:
            msgspec.ValidationError: the shape is wrong.
        """
        return msgspec.convert(plain, cls, strict=False)
