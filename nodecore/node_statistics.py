"""The figures that a node keeps about itself, and the snapshot made of them.

Totals since the process started, latencies in fixed buckets, what the driver reports about the
process. It counts; it decides nothing. The rooms keep their own counters: the snapshot collects
them in :func:`snapshot`.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from nodecore import __version__
from nodecore.ids import Now
from nodecore.node_faults import fault_states
from nodecore.statistics import (
    LATENCY_BOUNDS_US,
    LatencyHistogram,
    NodeStatistics,
    PeerView,
    PolicyShadow,
)
from nodecore.storage.reports import StoreStatistics

if TYPE_CHECKING:
    from nodecore.node import Node

REQUEST_NAMES_MAX = 512
"""Names of commands that are counted apart; the doors know fewer."""
RATE_WINDOW_S = 1.0
DOOR_COUNTERS = ("clients_cut_off", "clients_timed_out", "slow_readers_reset")
"""Connections that the driver ended: all clients together held too many unsent bytes, a request was
not finished in time, one reader was too slow for its backlog."""


class Recorder:
    """Counters that no room owns."""

    def __init__(self, now: Now) -> None:
        self.started_s = now.mono_s
        self.requests: dict[str, int] = {}
        self._counts = {kind: [0] * (len(LATENCY_BOUNDS_US) + 1) for kind in ("read", "write")}
        self._sums_us = {"read": 0, "write": 0}
        self.loop_lag_ms = 0.0
        self.operations_per_s = 0.0
        """Of the last complete window."""
        self._window = (now.mono_s, 0)
        """When the open window began, and the total of operations then."""
        self.process: dict[str, float] = {}
        self.idle_share = 1.0
        """Of the last tick, what the loop spent waiting."""
        self._waited = (now.mono_s, 0.0)
        """When the tick began, and how long the loop had waited by then."""

    def measure_idle(self, now: Now) -> float:
        """A tick ends: its idle share; 1 where no driver says how long its loop has waited."""
        since_s, before_s = self._waited
        waited_s = self.process.get("waited_s")
        if waited_s is not None and now.mono_s > since_s:
            share = (waited_s - before_s) / (now.mono_s - since_s)
            self.idle_share = min(1.0, max(0.0, share))
            self._waited = (now.mono_s, waited_s)
        return self.idle_share

    def note_operations(self, total: int, now: Now) -> None:
        """All reads and writes up to now; the rate is that of the last complete second."""
        since_s, before = self._window
        elapsed_s = now.mono_s - since_s
        if elapsed_s >= RATE_WINDOW_S:
            self.operations_per_s = max(0, total - before) / elapsed_s
            self._window = (now.mono_s, total)

    def count_request(self, name: str, count: int) -> None:
        """Count commands by name."""
        known = self.requests.get(name)
        if known is not None:
            self.requests[name] = known + count
        elif len(self.requests) < REQUEST_NAMES_MAX:
            self.requests[name] = count

    def record_latency(self, kind: str, microseconds: int, count: int) -> None:
        """``count`` operations of ``kind`` (``read`` or ``write``) took so long each."""
        counts = self._counts[kind]
        counts[bisect_left(LATENCY_BOUNDS_US, microseconds)] += count
        self._sums_us[kind] += microseconds * count

    def histogram(self, kind: str) -> LatencyHistogram:
        """Latencies of one kind since the start."""
        return LatencyHistogram(tuple(self._counts[kind]), self._sums_us[kind])

    def note_loop_lag(self, lag_ms: float) -> None:
        """How late a timer fired: an average with a short memory."""
        self.loop_lag_ms += 0.2 * (lag_ms - self.loop_lag_ms)

    def load_hint(self) -> int:
        """How busy this node is, 0..255, for those who choose among owners."""
        return min(255, int(self.loop_lag_ms))


def peer_views(node: Node) -> tuple[PeerView, ...]:
    """What the node believes about the other members, in order of their ids."""
    topology = node.chain.document
    if topology is None:
        return ()
    return tuple(
        PeerView(
            node_id=member.node_id,
            status=node.standing.member_status(member.node_id),
            incarnation=node.membership.incarnation_of(member.node_id),
            link_up=node.peers.linked(member.node_id),
        )
        for member in topology.all_members
        if member.node_id != node.node_id
    )


def policy_shadows(store: StoreStatistics) -> tuple[PolicyShadow, ...]:
    """What every policy would have done here, best first."""
    return tuple(
        PolicyShadow(
            estimate.policy,
            estimate.hit_ratio,
            estimate.samples,
            rules=estimate.policy == store.ruling_policy,
        )
        for estimate in store.shadows
    )


def operations(node: Node) -> tuple[int, int]:
    """Reads and writes since the start, the long way and through the gate."""
    coordinator, table = node.coordinator, node.table
    return coordinator.reads + table.gate_reads, coordinator.writes + table.gate_writes


def snapshot(node: Node, recorder: Recorder, now: Now) -> NodeStatistics:
    """Everything that the node says about itself at this moment."""
    coordinator, store, table = node.coordinator, node.store.statistics(), node.table
    reader, hints, process = coordinator.reader, coordinator.hints, recorder.process
    reads, writes = operations(node)
    return NodeStatistics(
        node_id=node.node_id,
        at_wall_ms=now.wall_ms,
        uptime_s=now.mono_s - recorder.started_s,
        pid=int(process.get("pid", 0)),
        version=__version__,
        table="compiled" if table.compiled else "reference",
        epoch=node.chain.epoch,
        cluster_id=node.cluster_id,
        cluster_state=_cluster_state(node),
        status=node.standing.own_status(),
        incarnation=node.incarnation,
        slots_primary=len(node.standing.primary_slots),
        slots_replica=node.standing.slots_replica,
        keys=store.keys + node.strong.registers.live_total,
        memory_bytes=store.memory_bytes,
        memory_bytes_max=store.memory_bytes_max,
        rss_bytes=int(process.get("rss_bytes", 0)),
        tombstones=store.tombstones,
        ttl_counts=store.ttl_counts,
        evictions=dict(store.evictions),
        eviction_policy=store.policy,
        eviction_changing=store.is_changing_policy,
        policy_shadows=policy_shadows(store),
        reads=reads,
        writes=writes,
        hits=reader.hits + table.gate_hits,
        misses=reader.misses + table.gate_reads - table.gate_hits,
        errors=coordinator.errors,
        unknowns=coordinator.unknowns,
        operations_per_s=recorder.operations_per_s,
        requests=dict(recorder.requests),
        gate_reads=table.gate_reads,
        read_latency=recorder.histogram("read"),
        write_latency=recorder.histogram("write"),
        bytes_in=int(process.get("bytes_in", 0)),
        bytes_out=int(process.get("bytes_out", 0)),
        connections=int(process.get("connections", 0)),
        connections_refused=int(process.get("connections_refused", 0)),
        loop_lag_ms=recorder.loop_lag_ms,
        idle_share=recorder.idle_share,
        cpu_s=process.get("cpu_s", 0.0),
        hints_queued=len(hints),
        hints_bytes=hints.bytes_used,
        hints_oldest_s=hints.oldest_age_s(now),
        hints_sent=hints.sent,
        hints_dropped=hints.dropped,
        repairs=coordinator.repairs.made,
        conflicts=node.merging.conflicts.total,
        conflicts_by_cause=dict(node.merging.conflicts.by_cause),
        sloppy_writes=coordinator.sloppy,
        degraded_reads=reader.degraded,
        forwarded=coordinator.forwarder.forwarded,
        hedged=reader.hedged,
        clock_offset_ms=node.clock.offset_ms,
        peers=peer_views(node),
        breakers=node.breakers.reports(now),
        faults=fault_states(node.fault_board, now),
        hot_keys=node.heat.hot_keys,
        slot_heat=node.heat.bands,
        heat_operations=node.heat.operations,
        disk=None if node.disk_upkeep is None else node.disk_upkeep.statistics(),
        change=node.topology_changes.progress(),
        counters=_counters(node),
    )


def _cluster_state(node: Node) -> str:
    document = node.chain.document
    return "joint" if document is not None and document.joint else "stable"


def _counters(node: Node) -> dict[str, int]:
    """Counters that have no field of their own."""
    coordinator, store = node.coordinator, node.store.statistics()
    process = node.recorder.process
    return {
        "records_saved": int(process.get("records_saved", 0)),
        "records_save_us": int(process.get("records_save_s", 0.0) * 1e6),
        **{name: int(process.get(name, 0)) for name in DOOR_COUNTERS},
        **store.counters,
        **node.topology_changes.counters(),
        **node.strong.counters(),
        "policy_shadow_samples_skipped": store.shadow_samples_skipped,
        "partial_slots": store.partial_slots,
        "calls_timed_out": coordinator.calls.timed_out,
        "stale_epochs_refused": coordinator.epochs.stale_refused,
        "epoch_waits_overflowed": coordinator.epochs.overflowed,
        "clock_refusals": node.clock.refused,
        "breakers_held_closed": node.breakers.refused_to_open,
        "merges": node.merging.merges.count,
        "versions_undone": coordinator.replicator.own_copies.undone,
        "repairs_skipped": coordinator.repairs.skipped,
        "stale_reads": coordinator.reader.stale,
        "in_minority": int(coordinator.policy.minority),
        "partition_reads_refused": coordinator.policy.reads_refused,
        "partition_writes_refused": coordinator.policy.writes_refused,
    }
