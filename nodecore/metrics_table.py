"""The one table of metrics: names, help, types, and where each value comes from.

``/metrics``, the alert rules and the dashboards read this table. Labels are bounded by
construction: commands, causes, peers, states; never keys. It formats nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

from nodecore.statistics import (
    LATENCY_BOUNDS_US,
    TTL_BOUNDS_S,
    LatencyHistogram,
    NodeStatistics,
)

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
Sample: TypeAlias = tuple[tuple[str, ...], float]
"""(label values, value)."""
LABELLED_MAX: Final = 256
"""Samples of one labelled metric; more are not shown."""
_TTL_NAMES: Final = (*(str(bound_s) for bound_s in TTL_BOUNDS_S), "+Inf", "never")


@final
@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family."""

    name: str
    """With prefix and unit, without ``_total``."""
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    samples: Callable[[NodeStatistics], Iterable[Sample]] | None = None
    histogram: Callable[[NodeStatistics], LatencyHistogram | None] | None = None

    @property
    def sample_name(self) -> str:
        """The name that a query uses: counters end in ``_total``, histograms in ``_bucket``."""
        suffix = {"counter": "_total", "histogram": "_bucket", "gauge": ""}
        return self.name + suffix[self.kind]


def _counter(name: str, text: str, read: Callable[[NodeStatistics], float]) -> Metric:
    return Metric(f"ringdeck_{name}", "counter", text, (), lambda now: [((), read(now))])


def _gauge(name: str, text: str, read: Callable[[NodeStatistics], float]) -> Metric:
    return Metric(f"ringdeck_{name}", "gauge", text, (), lambda now: [((), read(now))])


def _by_name(counts: dict[str, int]) -> list[Sample]:
    return [((name,), counts[name]) for name in sorted(counts)[:LABELLED_MAX]]


def seconds_bounds() -> tuple[float, ...]:
    """Upper bounds of the latency buckets in seconds; the last bucket has none."""
    return tuple(bound / 1_000_000 for bound in LATENCY_BOUNDS_US)


METRICS: Final = (
    Metric("ringdeck_node_info", "gauge", "What runs here; always 1.", ("version", "table", "cluster_id"),
           lambda now: [((now.version, now.table, now.cluster_id), 1)]),
    Metric("ringdeck_node_status", "gauge", "1 for the status that this node has.", ("status",),
           lambda now: [((now.status,), 1)]),
    _gauge("uptime_seconds", "Seconds since the process started.", lambda now: now.uptime_s),
    _gauge("epoch", "Epoch of the topology in force.", lambda now: now.epoch),
    _gauge("topology_joint", "1 while a topology change is under way.", lambda now: now.cluster_state == "joint"),
    _gauge("slots_primary", "Slots that this node owns first.", lambda now: now.slots_primary),
    _gauge("slots_replica", "Slots that this node owns as a replica.", lambda now: now.slots_replica),
    _gauge("keys", "Live entries of the table.", lambda now: now.keys),
    _gauge("tombstones", "Deletions that are remembered.", lambda now: now.tombstones),
    _gauge("memory_bytes", "Accounted bytes of entries and buffers.", lambda now: now.memory_bytes),
    _gauge("memory_max_bytes", "Limit of the accounted bytes.", lambda now: now.memory_bytes_max),
    _gauge("resident_memory_bytes", "Resident memory of the process.", lambda now: now.rss_bytes),
    Metric("ringdeck_evictions", "counter", "Entries removed without a command.", ("cause",), lambda now: _by_name(now.evictions)),
    Metric("ringdeck_keys_by_ttl", "gauge", "Entries of memory by the seconds that they have left, from a sample.", ("below",),
           lambda now: [((name,), count) for name, count in zip(_TTL_NAMES, now.ttl_counts, strict=False)]),
    Metric("ringdeck_policy_shadow_hit_ratio", "gauge", "Hits that an eviction policy would have had here, of a sample.", ("policy",),
           lambda now: [((shadow.policy,), shadow.hit_ratio) for shadow in now.policy_shadows[:LABELLED_MAX]]),
    _gauge("disk_bytes", "What cached records occupy on disk.", lambda now: now.disk.bytes_used if now.disk else 0),
    _gauge("disk_max_bytes", "Limit of the cached records on disk.", lambda now: now.disk.bytes_max if now.disk else 0),
    _gauge("disk_keys_cold", "Live keys on disk that memory does not hold.", lambda now: now.disk.keys_cold if now.disk else 0),
    _gauge("disk_read_only", "1 while the disk refuses cached records.", lambda now: now.disk.read_only if now.disk else 0),
    _gauge("disk_scrub_progress", "Share of the present scrub that is done.", lambda now: now.disk.scrub_progress if now.disk else 0),
    _counter("disk_scrub_bytes", "Bytes that scrubs have read.", lambda now: now.disk.scrub_bytes if now.disk else 0),
    Metric("ringdeck_disk_events", "counter", "What happened in the disk tier.", ("event",),
           lambda now: _by_name(now.disk.counters) if now.disk else []),
    _counter("reads", "Keys read, all doors.", lambda now: now.reads),
    _counter("writes", "Keys written, all doors.", lambda now: now.writes),
    _counter("hits", "Reads that found a value.", lambda now: now.hits),
    _counter("misses", "Reads that found none.", lambda now: now.misses),
    _counter("errors", "Requests that failed.", lambda now: now.errors),
    _counter("unknowns", "Requests whose outcome is not known.", lambda now: now.unknowns),
    _counter("gate_reads", "Reads answered by the table's gate.", lambda now: now.gate_reads),
    Metric("ringdeck_requests", "counter", "Commands by name.", ("command",), lambda now: _by_name(now.requests)),
    Metric("ringdeck_read_latency_seconds", "histogram", "Time to answer reads.", histogram=lambda now: now.read_latency),
    Metric("ringdeck_write_latency_seconds", "histogram", "Time to answer writes.", histogram=lambda now: now.write_latency),
    _counter("received_bytes", "Bytes received from clients and peers.", lambda now: now.bytes_in),
    _counter("sent_bytes", "Bytes sent to clients and peers.", lambda now: now.bytes_out),
    _gauge("connections", "Open client connections.", lambda now: now.connections),
    _counter("connections_refused", "Connections above the limit.", lambda now: now.connections_refused),
    _gauge("loop_lag_seconds", "How late the event loop runs.", lambda now: now.loop_lag_ms / 1000),
    _gauge("loop_idle_ratio", "Share of the last tick that the event loop spent waiting.", lambda now: now.idle_share),
    _counter("cpu_seconds", "Processor time of this process.", lambda now: now.cpu_s),
    _gauge("hints_queued", "Writes kept for nodes that did not answer.", lambda now: now.hints_queued),
    _gauge("hints_bytes", "Bytes of those writes.", lambda now: now.hints_bytes),
    _counter("hints_sent", "Hints handed over.", lambda now: now.hints_sent),
    _counter("hints_dropped", "Hints dropped at a bound.", lambda now: now.hints_dropped),
    _counter("repairs", "Copies repaired.", lambda now: now.repairs),
    Metric("ringdeck_conflicts", "counter", "Concurrent writes settled by version, by how they met.", ("cause",),
           lambda now: _by_name(now.conflicts_by_cause)),
    _counter("sloppy_writes", "Writes acknowledged with fewer than W copies.", lambda now: now.sloppy_writes),
    _counter("degraded_reads", "Misses that too few owners confirmed.", lambda now: now.degraded_reads),
    _counter("stale_reads", "Values that may be older than the last acknowledged write.", lambda now: now.counters.get("stale_reads", 0)),
    _gauge("in_minority", "1 while this node sees no majority of the voters.", lambda now: now.counters.get("in_minority", 0)),
    Metric("ringdeck_partition_refusals", "counter", "Refused because of a partition, by the policy of the keyspace.", ("kind",),
           lambda now: [((kind,), now.counters.get(f"partition_{kind}s_refused", 0)) for kind in ("read", "write")]),
    _counter("forwarded", "Requests sent on to an owner.", lambda now: now.forwarded),
    _counter("hedged", "Reads asked of a second owner.", lambda now: now.hedged),
    _gauge("clock_offset_seconds", "Median offset of the peers' clocks.", lambda now: now.clock_offset_ms / 1000),
    Metric("ringdeck_peer_status", "gauge", "1 for the status that this node gives a peer.", ("peer", "status"),
           lambda now: [((peer.node_id, peer.status), 1) for peer in now.peers[:LABELLED_MAX]]),
    Metric("ringdeck_peer_link_up", "gauge", "1 while the link to a peer stands.", ("peer",),
           lambda now: [((peer.node_id,), peer.link_up) for peer in now.peers[:LABELLED_MAX]]),
    Metric("ringdeck_breaker_state", "gauge", "1 for the state of a link's breaker.", ("peer", "state"),
           lambda now: [((entry.peer, entry.state), 1) for entry in now.breakers[:LABELLED_MAX]]),
    Metric("ringdeck_breaker_trips", "counter", "How often a link's breaker opened.", ("peer",),
           lambda now: [((entry.peer,), entry.trips) for entry in now.breakers[:LABELLED_MAX]]),
    Metric("ringdeck_link_latency_seconds", "gauge", "Smoothed latency of calls to a peer.", ("peer",),
           lambda now: [((entry.peer,), entry.latency_ms / 1000) for entry in now.breakers[:LABELLED_MAX]]),
    _gauge("faults_active", "Injected faults on this node.", lambda now: len(now.faults)),
    _counter("heat_operations", "Operations in complete windows of heat.", lambda now: now.heat_operations),
    _gauge("hot_keys", "Keys above the hot-key threshold.", lambda now: len(now.hot_keys)),
    _gauge("hot_key_requests_per_second", "Rate of the hottest key.",
           lambda now: max((heat.reads_per_s + heat.writes_per_s for heat in now.hot_keys), default=0.0)),
    _gauge("change_slots_pending", "Slots that a topology change has still to move.",
           lambda now: now.change.slots_total - now.change.slots_done if now.change else 0),
    Metric("ringdeck_room_events", "counter", "Named counters of the node's rooms.", ("counter",), lambda now: _by_name(now.counters)),
)  # fmt: skip
"""Every metric; each carries the label ``node`` beside its own."""
BY_NAME: Final = {metric.name: metric for metric in METRICS}
