"""A cluster's new life after the majority of its voters is lost for good: the document, and its price.

No vote can decide this document, because nobody is left to give a majority. A person decides it: who
is reachable goes on alone, in a new *generation* and at an epoch far above the newest one known, so
that every document and request of the former life is fenced off. Who comes back from the former life
is told the new document and begins anew.

Decides when this may be done (never while a majority can be reached), what the document says, and
which slots have nobody left that holds them. It does not ask the nodes (``ringdeck cluster recover``
does) and does not install the document (``consensus.chain`` does).

Two operators who recover both halves of a divided cluster make two clusters of one name: that the
others are lost for good is the operator's word, and cannot be checked.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from nodecore.errors import Code
from nodecore.ids import Epoch, NodeId
from nodecore.placement.drafting import Refused, checked, even_assignment
from nodecore.placement.keyspace_edits import taken_back
from nodecore.placement.rules import problems
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import NOBODY, Topology
from nodecore.placement.voters import has_majority, voter_sets, with_voters

RECOVERY_EPOCHS: Final = 1_000_000
"""A recovered cluster skips so many epochs: it outranks whatever the lost majority still decided."""


@dataclass(frozen=True, slots=True)
class KeyspaceLoss:
    """What a recovery costs the keys of one keyspace, in slots of 16,384."""

    pattern: str
    slots_lost: int
    """Without any surviving owner: every key in them is gone."""
    slots_doubtful: int
    """With a surviving owner, but as many owners are lost as acknowledge a write: the newest writes
    may be gone."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What a recovery on these survivors gives up."""

    survivors: tuple[NodeId, ...]
    members_lost: tuple[NodeId, ...]
    voters: tuple[NodeId, ...]
    """Everybody whose vote counts now."""
    voters_lost: tuple[NodeId, ...]
    keyspaces: tuple[KeyspaceLoss, ...]


def recovery_refusal(topology: Topology, reachable: Collection[NodeId]) -> str | None:
    """Why there is nothing to recover while these nodes can be reached; None: it may be done."""
    sets = voter_sets(topology)
    if not has_majority(sets, reachable):
        return None
    voters = sorted({voter: None for voters in sets for voter in voters})
    live = [voter for voter in voters if voter in reachable]
    return (
        f"a majority of the voters is reachable ({', '.join(live)} of {', '.join(voters)}): "
        "there is nothing to recover"
    )


def losses(topology: Topology, survivors: Collection[NodeId]) -> Losses:
    """What goes with the members that are not among ``survivors``."""
    members = [member.node_id for member in topology.members]
    voters = sorted({voter: None for voters in voter_sets(topology) for voter in voters})
    owners = SlotMap.compile(topology).owners
    found = []
    for keyspace in topology.keyspaces:
        lost = doubtful = 0
        for slot_owners in owners:
            held_by = slot_owners[: keyspace.n]
            left = sum(owner in survivors for owner in held_by)
            if left == 0:
                lost += 1
            elif len(held_by) - left >= min(keyspace.w, len(held_by)):
                doubtful += 1
        found.append(KeyspaceLoss(keyspace.pattern, lost, doubtful))
    return Losses(
        survivors=tuple(node for node in members if node in survivors),
        members_lost=tuple(node for node in members if node not in survivors),
        voters=tuple(voters),
        voters_lost=tuple(voter for voter in voters if voter not in survivors),
        keyspaces=tuple(found),
    )


def propose_recovery(topology: Topology, survivors: Collection[NodeId]) -> Topology:
    """The first document of the new generation, on the survivors alone.

    A change under way is taken back. Learners become full members: a person accepts the loss.

    Raises:
        Refused: no survivor is a member.
    """
    kept = tuple(replace(m, learner=False) for m in topology.members if m.node_id in survivors)
    if not kept:
        raise Refused(Code.UNKNOWN_NODE, "no survivor is a member")
    members = with_voters(kept)
    following = replace(
        topology,
        epoch=Epoch(topology.epoch + RECOVERY_EPOCHS),
        generation=topology.generation + 1,
        members=members,
        keyspaces=taken_back(topology.keyspaces),
        change=None,
        proposal=None,
        proposer=NOBODY,
        proposed_ms=0,
        owners_epoch=topology.epoch + RECOVERY_EPOCHS,
        owners_past=topology.owners_epoch,
        reason=f"recovered on {', '.join(m.node_id for m in members)}"[:1000],
    )
    if topology.ring.placement == "even":
        following = replace(following, assignment=even_assignment(topology, members))
    return checked(following)


def recovery_problems(current: Topology, recovered: Topology) -> list[str]:
    """Everything that forbids a node that knows ``current`` to take up ``recovered``."""
    found = problems(recovered)
    if recovered.cluster_id != current.cluster_id:
        found.append(f"belongs to cluster {recovered.cluster_id}, not {current.cluster_id}")
    if recovered.generation <= current.generation:
        found.append(f"generation {recovered.generation} is not above {current.generation}")
    if recovered.epoch < current.epoch + RECOVERY_EPOCHS:
        found.append(f"epoch {recovered.epoch} is not far enough above epoch {current.epoch}")
    if recovered.joint:
        found.append("a recovered cluster begins without a change under way")
    if recovered.feature_level < current.feature_level:
        found.append("the feature level never falls")
    if recovered.flushes < current.flushes or recovered.flushed_hlc < current.flushed_hlc:
        found.append("a flush is never taken back")
    return found
