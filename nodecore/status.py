"""The cluster as one node knows it: members, their status and slots, and the figures it has.

The same shape as ``ringdeck cluster status --json``. A node knows its own figures; those of others
are None unless their statistics are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nodecore.ids import SLOTS_COUNT, NodeId
from nodecore.placement.topology import Topology
from nodecore.statistics import NodeStatistics


def slot_counts(owners: Callable[[int], Sequence[NodeId]]) -> dict[str, tuple[int, int]]:
    """Per node (slots that it owns first, slots that it owns as a replica)."""
    primary: dict[str, int] = {}
    replica: dict[str, int] = {}
    for slot in range(SLOTS_COUNT):
        for position, node in enumerate(owners(slot)):
            counts = replica if position else primary
            counts[node] = counts.get(node, 0) + 1
    nodes = sorted({*primary, *replica})
    return {node: (primary.get(node, 0), replica.get(node, 0)) for node in nodes}


def cluster_status(
    topology: Topology,
    slots: Mapping[str, tuple[int, int]],
    own: NodeStatistics,
    others: Mapping[str, NodeStatistics] | None = None,
) -> dict[str, object]:
    """``{"epoch", "state", "members": [...]}``, members ordered by id."""
    known = {**(others or {}), own.node_id: own}
    views = {peer.node_id: peer.status for peer in own.peers}
    members = []
    for member in topology.all_members:
        figures = known.get(member.node_id)
        primary, replica = slots.get(member.node_id, (0, 0))
        status = own.status if member.node_id == own.node_id else views.get(member.node_id)
        members.append(
            {
                "id": member.node_id,
                "pid": figures.pid if figures else None,
                "status": status or "unknown",
                "slots_primary": primary,
                "slots_replica": replica,
                "keys": figures.keys if figures else None,
                "memory_bytes": figures.memory_bytes if figures else None,
                "ops_per_s": None,
                "resp": member.addresses.resp,
                "http": member.addresses.http,
                "native": member.addresses.native,
            }
        )
    return {
        "epoch": topology.epoch,
        "state": "joint" if topology.joint else "stable",
        "members": members,
    }
