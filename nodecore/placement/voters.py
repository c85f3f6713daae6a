"""Who decides the next topology document, and which sets of nodes must agree.

Voters are the largest odd number of members that is at most five: an even number would need one
more agreement and survive no more failures. The choice is stable (standing voters stay, the
longest-standing members follow), because every change of voters is itself a risk. In a joint
document a majority of the old and a majority of the next voters must agree.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from nodecore.ids import NodeId
from nodecore.placement.topology import Member, Topology

VOTERS_MAX: Final = 5
"""Two failures survived; more voters make each decision slower and rarely safer."""


def voters_count(eligible: int) -> int:
    """Largest odd number <= min(eligible, 5); 0 without anybody."""
    capped = min(eligible, VOTERS_MAX)
    return capped if capped % 2 else max(0, capped - 1)


def with_voters(members: Sequence[Member], excluded: Collection[NodeId] = ()) -> tuple[Member, ...]:
    """The members, ordered by id, with the voter flags of a fresh choice.

    Learners and ``excluded`` (nodes that are joining) are not eligible.
    """
    eligible = [m for m in members if not m.learner and m.node_id not in excluded]
    eligible.sort(key=lambda m: (not m.voter, m.born, m.node_id))
    chosen = [m.node_id for m in eligible[: voters_count(len(eligible))]]
    ordered = sorted(members, key=lambda m: m.node_id)
    return tuple(
        m if m.voter == (m.node_id in chosen) else replace(m, voter=not m.voter) for m in ordered
    )


def voters_of(members: Sequence[Member]) -> tuple[NodeId, ...]:
    """Ids of the voters among ``members``."""
    return tuple(member.node_id for member in members if member.voter)


def voter_sets(topology: Topology) -> tuple[tuple[NodeId, ...], ...]:
    """The sets of which each must give a majority: one, or in a joint document two."""
    if topology.change is None:
        return (voters_of(topology.members),)
    return (voters_of(topology.members), voters_of(topology.change.members_next))


def has_majority(sets: Sequence[Sequence[NodeId]], agreeing: Collection[NodeId]) -> bool:
    """Whether ``agreeing`` holds a majority of every set; False when there is no set or an empty one."""
    return bool(sets) and all(
        sum(voter in agreeing for voter in voters) * 2 > len(voters) for voters in sets
    )
