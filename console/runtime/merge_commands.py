"""``ringdeck cluster merges``: every running node is asked what its merges did.

Each node tells its own part of a merge; the reports stand side by side, newest last, and are not
added up: a conflict is counted by each owner that met it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from console.errors import ClusterUnreachable, ConsoleError
from console.runtime.admin_client import call_each
from console.runtime.cluster_commands import reachable, running_cluster

ASK_TIMEOUT_S: Final = 3.0


class Merge(msgspec.Struct):
    """One merge as one node saw it, see ``nodecore.replication.merges``."""

    number: int
    peers: list[str]
    apart_since_wall_ms: int
    began_wall_ms: int
    ended_wall_ms: int
    end: str
    hints_delivered: int
    hints_taken: int
    keys_repaired: int
    slots_compared: int
    slots_differed: int
    conflicts_resolved: int
    conflicts_won_here: int
    conflicts_won_there: int
    node: str = ""


class Away(msgspec.Struct):
    """A peer that a node is apart from now."""

    peer: str
    since_wall_ms: int
    node: str = ""


class NodeMerges(msgspec.Struct):
    """What one node answers."""

    node: str
    merges: list[Merge]
    apart: list[Away]


class ClusterMerges(msgspec.Struct):
    """What all of them say."""

    merges: list[Merge]
    """In order of their beginning, then of the nodes."""
    apart: list[Away]
    silent: list[str]
    """Nodes that run and gave no answer."""


async def merges(name: str) -> ClusterMerges:
    """Ask the nodes of a local cluster.

    Raises:
        ClusterUnreachable: the cluster does not run, or no node answers.
    """
    answers = await call_each(
        reachable(running_cluster(name).record), "merges", timeout_s=ASK_TIMEOUT_S
    )
    return merged(answers)


def merged(answers: dict[str, object | ConsoleError]) -> ClusterMerges:
    """Join the answers of the nodes, by node.

    Raises:
        ClusterUnreachable: there is none.
    """
    found = ClusterMerges([], [], [])
    for node_id in sorted(answers):
        answer = answers[node_id]
        try:
            told = msgspec.convert(answer, NodeMerges)
        except msgspec.ValidationError:
            found.silent.append(node_id)
            continue
        for merge in told.merges:
            merge.node = node_id
        for away in told.apart:
            away.node = node_id
        found.merges += told.merges
        found.apart += told.apart
    if len(found.silent) == len(answers):
        raise ClusterUnreachable("no node answers")
    found.merges.sort(key=lambda merge: (merge.began_wall_ms, merge.node))
    return found
