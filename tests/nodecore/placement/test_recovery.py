"""When a cluster may be recovered by hand, what it costs, and which document may be taken up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecore.ids import SLOTS_COUNT, Epoch, NodeId
from nodecore.placement.proposals import bootstrap, propose_flush, propose_join, propose_stable
from nodecore.placement.recovery import (
    RECOVERY_EPOCHS,
    losses,
    propose_recovery,
    recovery_problems,
    recovery_refusal,
)
from nodecore.placement.rules import problems
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Keyspace, RingSettings, Topology
from nodecore.placement.voters import has_majority, voter_sets
from tests.nodecore.placement.members import cluster, member

DOCUMENT = bootstrap("c1", cluster(5), RingSettings(vnodes=16))
IDS = [m.node_id for m in DOCUMENT.members]


@given(st.sets(st.sampled_from(IDS), min_size=1))
def test_it_is_refused_exactly_while_a_majority_is_reachable(reachable: set[NodeId]) -> None:
    refusal = recovery_refusal(DOCUMENT, reachable)
    assert (refusal is not None) == (len(reachable) > 2)
    if refusal is None:
        recovered = propose_recovery(DOCUMENT, reachable)
        assert problems(recovered) == []
        assert recovery_problems(DOCUMENT, recovered) == []
        assert {m.node_id for m in recovered.members} == reachable
        assert has_majority(voter_sets(recovered), reachable)


def test_a_joint_document_needs_both_majorities() -> None:
    first = bootstrap("c1", cluster(3))
    joint = propose_join(first, member("n4"), IDS[0])
    for number in (4, 5):
        joint = propose_join(propose_stable(joint), member(f"n{number + 1}"), IDS[0])
    assert joint.change is not None
    old, new = voter_sets(joint)
    assert recovery_refusal(joint, old) is not None
    assert recovery_refusal(joint, old[: len(old) // 2]) is None
    assert recovery_refusal(joint, [v for v in new if v not in old]) is None


def test_losses_count_slots_by_keyspace() -> None:
    spaces = (Keyspace(n=3, w=2), Keyspace("one:*", n=1, w=1))
    document = bootstrap("c1", cluster(5), RingSettings(vnodes=16), spaces)
    survivors = [NodeId("n1"), NodeId("n2")]
    found = losses(document, survivors)
    assert found.survivors == ("n1", "n2")
    assert found.members_lost == found.voters_lost == ("n3", "n4", "n5")
    owners = SlotMap.compile(document).owners
    lost = [sum(not any(o in survivors for o in held[:n]) for held in owners) for n in (3, 1)]
    assert [space.slots_lost for space in found.keyspaces] == lost
    assert 0 < lost[0] < lost[1]
    # With one copy a slot is lost or it is not; with three, two lost ones may hold the newest write.
    assert found.keyspaces[1].slots_doubtful == 0
    doubtful = sum(sum(o not in survivors for o in held) == 2 for held in owners)
    assert found.keyspaces[0].slots_doubtful == doubtful
    assert lost[0] + doubtful < SLOTS_COUNT


def test_even_placement_keeps_what_survivors_hold() -> None:
    document = bootstrap("c1", cluster(4), RingSettings(placement="even"))
    survivors = [NodeId("n1"), NodeId("n2"), NodeId("n3")]
    recovered = propose_recovery(document, survivors)
    before, after = SlotMap.compile(document).owners, SlotMap.compile(recovered).owners
    for old, new in zip(before, after, strict=True):
        assert set(survivors) & set(old) <= set(new)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"cluster_id": "c2"}, "belongs to cluster c2"),
        ({"generation": 0}, "generation 0 is not above 0"),
        ({"epoch": Epoch(RECOVERY_EPOCHS)}, "not far enough above"),
        ({"feature_level": 0}, "feature level"),
        ({"flushes": 0}, "flush"),
        ({"members": ()}, "members"),
    ],
)
def test_a_wrong_document_is_refused(change: dict[str, object], text: str) -> None:
    current = propose_flush(DOCUMENT, 5)
    recovered = replace(propose_recovery(current, IDS[:2]), **change)  # type: ignore[arg-type]
    assert text in "; ".join(recovery_problems(current, recovered))


def test_a_recovered_cluster_does_not_begin_within_a_change() -> None:
    recovered = propose_recovery(DOCUMENT, IDS[:2])
    joint: Topology = propose_join(recovered, member("n9"), IDS[0])
    assert "a recovered cluster begins without a change under way" in recovery_problems(
        DOCUMENT, joint
    )
