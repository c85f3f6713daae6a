"""Builds one :class:`ClusterSnapshot` per tick from what a source has observed.

Keeps what must stay the same from tick to tick: a node's letter while it is in the list, and the
owner table as one object while the epoch is unchanged, so that screens can compare by identity.
Where nodes disagree the rules of :mod:`nodecore.status` decide.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from console.fault_targets import joined_target, whole_id
from console.source import (
    ActiveFault,
    ClusterSnapshot,
    EventRecord,
    LoadState,
    MemberRow,
    ProcessState,
)
from nodecore.heat.merge import merge_hot_keys
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Member, Topology
from nodecore.statistics import ChangeProgress, FaultState, KeyHeat, NodeStatistics
from nodecore.status import natural_order, newest, status_of, suspected_by

LETTERS: Final = string.ascii_uppercase + string.ascii_lowercase + string.digits
YOU: Final = "you"
"""Owner of what this source did itself."""
STALE_S: Final = 3.0
"""Figures older than this no longer count as the node's own word."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The last that was heard of one node."""

    statistics: NodeStatistics
    age_s: float


@dataclass(frozen=True, slots=True)
class LocalProcess:
    """A node of this machine."""

    node_id: str
    state: ProcessState
    pid: int
    exit_text: str
    addresses: Mapping[str, str]
    fault: str = ""
    fault_since_ms: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    """All that a source knows at one tick."""

    at_wall_ms: int
    observations: Mapping[str, Observation]
    topologies: Sequence[Topology]
    processes: Sequence[LocalProcess] = ()
    load: LoadState | None = None
    events: tuple[EventRecord, ...] = ()
    problem: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Fault id -> how the source worded it when it added it."""
    owner: str = ""
    """The name by which this source owns faults."""
    leased: Collection[str] = ()
    """Fault ids of this source that live as long as it renews them."""
    owns_processes: bool = False
    """Whether the processes are this source's own: nobody else stops them."""


@final
class SnapshotAssembler:
    """Remembers letters and compiled owners between ticks."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._sequence = 0
        self._letters: dict[str, str] = {}
        self._topology: Topology | None = None
        self._slot_map: SlotMap | None = None
        self._order: tuple[str, ...] = ()
        self._owners: tuple[tuple[int, ...], ...] | None = None
        self._owners_next: tuple[tuple[int, ...], ...] | None = None

    @property
    def topology(self) -> Topology | None:
        """The newest document seen."""
        return self._topology

    @property
    def slot_map(self) -> SlotMap | None:
        """The owners in ``topology``."""
        return self._slot_map

    def assemble(self, observed: Observed) -> ClusterSnapshot:
        """The cluster at this tick."""
        self._sequence += 1
        self._learn(newest(observed.topologies))
        topology = self._topology
        fresh = {
            node_id: entry.statistics
            for node_id, entry in observed.observations.items()
            if entry.age_s <= STALE_S
        }
        members = self._members(observed, fresh)
        self._place(tuple(row.node_id for row in members))
        return ClusterSnapshot(
            sequence=self._sequence,
            at_wall_ms=observed.at_wall_ms,
            cluster=self._cluster,
            epoch=topology.epoch if topology is not None else None,
            state=("joint" if topology.joint else "stable") if topology is not None else "unknown",
            replicas=self._slot_map.copies if self._slot_map is not None else None,
            vnodes=topology.ring.vnodes if topology is not None else None,
            members=members,
            owners=self._owners,
            owners_next=self._owners_next,
            change=_change(fresh),
            keyspaces=topology.keyspaces if topology is not None else (),
            hot_keys=self._hot_keys(fresh),
            faults=_faults(observed, fresh),
            load=observed.load,
            events=observed.events,
            problem=observed.problem,
        )

    def _learn(self, topology: Topology | None) -> None:
        if topology is None or topology == self._topology:
            return
        self._topology = topology
        self._slot_map = SlotMap.compile(topology)
        self._order = ()

    def _place(self, order: tuple[str, ...]) -> None:
        """Owners as indexes into the members, recomputed when either changes."""
        if self._slot_map is None or order == self._order:
            return
        self._order = order
        index = {node_id: number for number, node_id in enumerate(order)}
        self._owners = _indexes(self._slot_map.owners, index)
        following = self._slot_map.owners_next
        self._owners_next = _indexes(following, index) if following is not None else None

    def _members(
        self, observed: Observed, fresh: Mapping[str, NodeStatistics]
    ) -> tuple[MemberRow, ...]:
        processes = {process.node_id: process for process in observed.processes}
        known: dict[str, Member] = (
            {str(entry.node_id): entry for entry in self._topology.all_members}
            if (self._topology is not None)
            else {}
        )
        ids = sorted({*known, *processes}, key=natural_order)
        for gone in [node_id for node_id in self._letters if node_id not in ids]:
            del self._letters[gone]
        rows = []
        for node_id in ids:
            process = processes.get(node_id)
            member = known.get(node_id)
            observation = observed.observations.get(node_id)
            addresses = (
                {
                    "native": member.addresses.native,
                    "resp": member.addresses.resp,
                    "http": member.addresses.http,
                }
                if member is not None
                else dict(process.addresses)
                if process is not None
                else {}
            )
            statistics = observation.statistics if observation is not None else None
            rows.append(
                MemberRow(
                    node_id=node_id,
                    letter=self._letter(node_id),
                    status=self._status(node_id, member is not None, process, fresh),
                    process=process.state if process is not None else ProcessState.UNKNOWN,
                    pid=_pid(process, statistics),
                    exit_text=process.exit_text if process is not None else "",
                    addresses=addresses,
                    statistics=statistics,
                    statistics_age_s=observation.age_s if observation is not None else None,
                    suspected_by=suspected_by(node_id, fresh),
                )
            )
        return tuple(rows)

    def _status(
        self,
        node_id: str,
        member: bool,
        process: LocalProcess | None,
        fresh: Mapping[str, NodeStatistics],
    ) -> str:
        if member or self._topology is None:
            return status_of(node_id, fresh)
        running = process is not None and process.state is not ProcessState.EXITED
        return "joining" if running else "left"

    def _letter(self, node_id: str) -> str:
        letter = self._letters.get(node_id)
        if letter is None:
            used = set(self._letters.values())
            letter = next((entry for entry in LETTERS if entry not in used), "?")
            self._letters[node_id] = letter
        return letter

    def _hot_keys(self, fresh: Mapping[str, NodeStatistics]) -> tuple[tuple[KeyHeat, str], ...]:
        merged = merge_hot_keys([fresh[node_id].hot_keys for node_id in sorted(fresh)])
        owners = self._slot_map.owners if self._slot_map is not None else None
        return tuple(
            (heat, owners[heat.slot][0] if owners is not None and owners[heat.slot] else "")
            for heat in merged
        )


def _indexes(
    owners: Sequence[Sequence[str]], index: Mapping[str, int]
) -> tuple[tuple[int, ...], ...]:
    cache: dict[tuple[str, ...], tuple[int, ...]] = {}
    placed = []
    for slot_owners in owners:
        key = tuple(slot_owners)
        found = cache.get(key)
        if found is None:
            found = cache[key] = tuple(index[entry] for entry in key if entry in index)
        placed.append(found)
    return tuple(placed)


def _pid(process: LocalProcess | None, statistics: NodeStatistics | None) -> int | None:
    if process is not None:
        return process.pid if process.state is not ProcessState.EXITED else None
    return statistics.pid if statistics is not None else None


def _change(fresh: Mapping[str, NodeStatistics]) -> ChangeProgress | None:
    """The furthest account of the change in flight: its coordinator counts, the others may lag."""
    running = [entry.change for _, entry in sorted(fresh.items()) if entry.change is not None]
    return max(
        running, key=lambda change: (change.started_wall_ms, change.slots_done), default=None
    )


def _faults(observed: Observed, fresh: Mapping[str, NodeStatistics]) -> tuple[ActiveFault, ...]:
    """Faults of all nodes, those with one id as one, then process faults."""
    reported = [fault for _, statistics in sorted(fresh.items()) for fault in statistics.faults]
    ids = {fault.fault_id for fault in reported}
    grouped: dict[str, list[FaultState]] = {}
    for fault in reported:
        whole = whole_id(fault.fault_id)
        # Others may choose names that only look like a part of something.
        grouped.setdefault(whole if whole in ids else fault.fault_id, []).append(fault)
    found = [
        ActiveFault(
            fault_id=fault_id,
            kind=faults[0].kind,
            target=joined_target([fault.target for fault in faults]),
            text=observed.texts.get(fault_id, faults[0].text),
            owner=YOU if faults[0].owner == observed.owner else faults[0].owner,
            since_wall_ms=min(fault.since_wall_ms for fault in faults),
            # A lease is renewed again and again: its end says nothing.
            ends_wall_ms=(
                0 if fault_id in observed.leased else max(fault.ends_wall_ms for fault in faults)
            ),
            hits=sum(fault.hits for fault in faults),
        )
        for fault_id, faults in grouped.items()
    ]
    for process in observed.processes:
        kind = "pause" if process.state is ProcessState.PAUSED else process.fault
        if process.state is ProcessState.PAUSED or (
            process.fault and process.state is ProcessState.EXITED
        ):
            found.append(
                ActiveFault(
                    fault_id=f"{kind}:{process.node_id}",
                    kind=kind,
                    target=process.node_id,
                    text=f"{kind} {process.node_id}",
                    owner=YOU if observed.owns_processes else "local",
                    since_wall_ms=process.fault_since_ms,
                )
            )
    return tuple(sorted(found, key=lambda fault: (fault.since_wall_ms, fault.fault_id)))
