"""One status of a cluster from what each of its nodes says: the newest document, the majority's view.

Nodes may disagree while something is changing, and some can't be asked. Members and ownership come
from the newest topology document that anybody has; a member's status is what most of the others say
about it; figures come from the node itself and are unknown (None) when it did not answer. The
command line, the console and every node's admin verbs merge with these functions; who is asked, and
how, is theirs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Topology
from nodecore.statistics import NodeStatistics

SEVERITY: Final = ("alive", "joining", "leaving", "suspect", "failed", "left")
"""Of two views held by equally many, the graver one is shown."""

_NUMBERED: Final = re.compile(r"^(.*?)(\d{1,9})$", re.ASCII)


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """One member; None where nobody who was asked could say."""

    id: str
    pid: int | None
    status: str
    slots_primary: int
    slots_replica: int
    keys: int | None
    memory_bytes: int | None
    ops_per_s: float | None
    """Reads and writes of the last complete second."""
    resp: str
    http: str
    native: str


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """What ``cluster status`` shows."""

    epoch: int
    state: str
    """``stable`` or ``joint``."""
    members: tuple[MemberStatus, ...]


def natural_order(node_id: str) -> tuple[str, int, str]:
    """Sorts n2 before n10."""
    match = _NUMBERED.match(node_id)
    return (match[1], int(match[2]), node_id) if match else (node_id, -1, node_id)


def newest(topologies: Iterable[Topology]) -> Topology | None:
    """The document that is furthest along the chain."""
    return max(topologies, key=lambda topology: (topology.generation, topology.epoch), default=None)


def slot_counts(slot_map: SlotMap) -> dict[str, tuple[int, int]]:
    """Per node (slots that it owns first, slots that it owns as a replica), default keyspace."""
    primary: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for owners in slot_map.owners:
        primary.update(owners[:1])
        held.update(owners[: slot_map.copies])
    return {node: (primary[node], held[node] - primary[node]) for node in sorted(held)}


def status_of(node_id: str, statistics: Mapping[str, NodeStatistics]) -> str:
    """What most others say about a node; its own word when nobody else speaks or it comes or goes."""
    own = statistics.get(node_id)
    if own is not None and own.status in ("joining", "leaving", "left"):
        return own.status
    votes = Counter(
        peer.status
        for reporter, report in sorted(statistics.items())
        if reporter != node_id
        for peer in report.peers
        if peer.node_id == node_id
    )
    if not votes:
        return own.status if own is not None else "unknown"
    return max(votes, key=lambda status: (votes[status], _severity(status)))


def suspected_by(node_id: str, statistics: Mapping[str, NodeStatistics]) -> tuple[str, ...]:
    """The nodes that call this one suspect or failed."""
    return tuple(
        reporter
        for reporter in sorted(statistics, key=natural_order)
        if any(
            peer.node_id == node_id and peer.status in ("suspect", "failed")
            for peer in statistics[reporter].peers
        )
    )


def merge_status(
    topology: Topology,
    slots: Mapping[str, tuple[int, int]],
    statistics: Mapping[str, NodeStatistics],
    pids: Mapping[str, int | None] | None = None,
) -> ClusterStatus:
    """The status of the cluster that ``topology`` describes.

    Args:
        topology: the newest document.
        slots: its :func:`slot_counts`.
        statistics: of the nodes that answered.
        pids: of the processes that the caller can see for itself, None = dead; they overrule what
            the nodes say.
    """
    known_pids = pids or {}
    members = []
    for member in sorted(topology.all_members, key=lambda entry: natural_order(entry.node_id)):
        node_id = member.node_id
        own = statistics.get(node_id)
        primary, replica = slots.get(node_id, (0, 0))
        members.append(
            MemberStatus(
                id=str(node_id),
                pid=known_pids.get(node_id, own.pid if own is not None else None),
                status=status_of(node_id, statistics),
                slots_primary=primary,
                slots_replica=replica,
                keys=own.keys if own is not None else None,
                memory_bytes=own.memory_bytes if own is not None else None,
                ops_per_s=round(own.operations_per_s, 1) if own is not None else None,
                resp=member.addresses.resp,
                http=member.addresses.http,
                native=member.addresses.native,
            )
        )
    return ClusterStatus(
        epoch=int(topology.epoch),
        state="joint" if topology.joint else "stable",
        members=tuple(members),
    )


def _severity(status: str) -> int:
    return SEVERITY.index(status) if status in SEVERITY else -1
