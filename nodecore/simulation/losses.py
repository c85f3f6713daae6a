"""What may be lost at once without breaking any promise: one memory, while everybody else has all of its own."""

from __future__ import annotations

from typing import Final

from nodecore.simulation.cluster import SimCluster
from nodecore.simulation.process import SimProcess

_COPIES_MIN: Final = 3
"""Of a strong key, for a majority to be left that has forgotten nothing."""


def may_lose_memory(cluster: SimCluster, victim: SimProcess, *, strong_alone: bool) -> bool:
    """Whether all others hold what they should; ``strong_alone``: nobody has written eventual keys."""
    topology = cluster.topology()
    strong = [keyspace for keyspace in topology.keyspaces if keyspace.mode == "strong"]
    if any(keyspace.n < _COPIES_MIN or keyspace.n_next for keyspace in strong):
        return False
    others = [p for p in cluster.processes.values() if p is not victim and not p.has_left]
    if strong_alone:
        every = {member.node_id: None for member in topology.all_members}
        return victim.running and all(_knows_strong(p) for p in others if p.node_id in every)
    members = {member.node_id: None for member in topology.members}
    return victim.running and all(p.node_id in members and _knows_all(p) for p in others)


def _knows_strong(process: SimProcess) -> bool:
    if not process.running or process.paused:
        return False
    return process.node.strong.settled and not process.node.chain.abstaining


def _knows_all(process: SimProcess) -> bool:
    if not _knows_strong(process):
        return False
    node = process.node
    if node.topology_changes.filling.left or not node.ready():
        return False
    # What somebody has missed is still to be delivered to it.
    return not any(node.coordinator.hints.targets)
