from __future__ import annotations

from dataclasses import replace

import pytest

from nodecore.errors import Code
from nodecore.ids import SLOTS_COUNT, NodeId
from nodecore.placement.change_reasons import ChangeReason
from nodecore.placement.drafting import Refused
from nodecore.placement.proposals import (
    bootstrap,
    propose_cancel,
    propose_coordinator,
    propose_join,
    propose_replace,
    propose_stable,
)
from nodecore.placement.rebalance import plan_of
from nodecore.placement.ring import OwnerTable
from nodecore.placement.rules import problems, step_problems
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.steering import (
    REJECTION_MS,
    draft,
    propose_approval,
    propose_change_policy,
    propose_pause,
    propose_rejection,
    propose_wish,
    propose_withdrawal,
)
from nodecore.placement.topology import RingSettings, Topology, Wish
from tests.nodecore.placement.members import cluster, member

N1, N2, N9 = NodeId("n1"), NodeId("n2"), NodeId("n9")
AT_MS = 1_700_000_000_000
JOIN = Wish("join", N9, member("n9"))


def topology(size: int, placement: str = "ring") -> Topology:
    return bootstrap("c1", cluster(size), RingSettings(vnodes=64, placement=placement))


def manual(document: Topology) -> Topology:
    following = propose_change_policy(document, approval="manual")
    assert step_problems(document, following) == []
    return following


def refusal(propose: object) -> Refused:
    assert callable(propose)
    with pytest.raises(Refused) as caught:
        propose()
    return caught.value


def test_a_wish_becomes_a_change_at_once() -> None:
    document = topology(4)
    assert propose_wish(document, JOIN, N1, AT_MS) == propose_join(document, member("n9"), N1)


@pytest.mark.parametrize("placement", ["ring", "even"])
@pytest.mark.parametrize(
    "wish",
    [
        JOIN,
        Wish("leave", N2),
        Wish("remove", N2),
        Wish("replace", N9, member("n9"), N2),
        Wish("rebalance", N1, weights=((N2, 2.0),), zones=((N1, "a"),)),
    ],
    ids=lambda wish: wish.kind,
)
def test_a_wish_waits_survives_the_wire_and_is_approved(wish: Wish, placement: str) -> None:
    document = manual(topology(4, placement=placement))
    waiting = propose_wish(document, wish, N1, AT_MS)
    assert step_problems(document, waiting) == []
    assert waiting.proposal == replace(wish, asked_ms=AT_MS)
    assert not waiting.joint
    assert Topology.from_plain(waiting.to_plain()) == waiting
    approved = propose_approval(waiting, N2)
    assert step_problems(waiting, approved) == []
    assert approved.proposal is None
    assert approved.change == draft(waiting, wish, N2).change
    assert step_problems(approved, propose_stable(approved)) == []


def test_one_wish_waits_at_a_time() -> None:
    waiting = propose_wish(manual(topology(4)), JOIN, N1, AT_MS)
    again = refusal(lambda: propose_wish(waiting, JOIN, N2, AT_MS))
    assert (again.code, again.reason) == (Code.CHANGE_RUNNING, ChangeReason.APPROVAL_NEEDED)
    other = refusal(lambda: propose_wish(waiting, Wish("leave", N2), N2, AT_MS))
    assert other.reason is ChangeReason.ANOTHER_CHANGE


def test_a_rejected_wish_is_not_taken_again_for_a_while() -> None:
    waiting = propose_wish(manual(topology(4)), JOIN, N1, AT_MS)
    rejected = propose_rejection(waiting, AT_MS)
    assert step_problems(waiting, rejected) == []
    soon = refusal(lambda: propose_wish(rejected, JOIN, N1, AT_MS + REJECTION_MS - 1))
    assert (soon.code, soon.reason) == (Code.REFUSED, ChangeReason.REJECTED)
    assert propose_wish(rejected, Wish("leave", N2), N1, AT_MS).proposal is not None
    assert propose_wish(rejected, JOIN, N1, AT_MS + REJECTION_MS).proposal is not None


def test_rejections_are_bounded() -> None:
    document = manual(topology(4))
    for number in range(40):
        name = NodeId(f"x{number}")
        waiting = propose_wish(document, Wish("join", name, member(f"x{number}")), N1, AT_MS)
        document = propose_rejection(waiting, AT_MS)
    assert problems(document) == []
    assert len(document.rejections) == 16


def test_without_a_proposal_there_is_nothing_to_decide() -> None:
    document = topology(3)
    for propose in (
        lambda: propose_approval(document, N1),
        lambda: propose_rejection(document, AT_MS),
        lambda: propose_withdrawal(document, "why"),
    ):
        assert refusal(propose).reason is ChangeReason.NO_PROPOSAL


def test_a_pause_outlives_a_takeover_and_ends_by_resume_or_cancel() -> None:
    joint = propose_join(topology(4), member("n9"), N1)
    paused = propose_pause(joint, paused=True)
    assert step_problems(joint, paused) == []
    taken = propose_coordinator(paused, N2)
    assert step_problems(paused, taken) == []
    assert taken.change is not None
    assert taken.change.paused
    assert refusal(lambda: propose_pause(taken, paused=True)).reason is ChangeReason.PAUSED
    resumed = propose_pause(taken, paused=False)
    assert step_problems(taken, resumed) == []
    assert refusal(lambda: propose_pause(resumed, paused=False)).reason is ChangeReason.NOT_PAUSED
    cancelled = propose_cancel(taken, "why")
    assert step_problems(taken, cancelled) == []
    none = refusal(lambda: propose_pause(cancelled, paused=True))
    assert none.reason is ChangeReason.NO_CHANGE


def test_the_policy_may_change_while_a_change_is_under_way() -> None:
    joint = propose_join(topology(4), member("n9"), N1)
    slower = propose_change_policy(joint, bytes_per_s=4096)
    assert step_problems(joint, slower) == []
    assert slower.change == joint.change
    idle = refusal(lambda: propose_change_policy(slower, bytes_per_s=4096))
    assert idle.reason is ChangeReason.NOTHING_TO_CHANGE
    assert refusal(lambda: propose_change_policy(slower, bytes_per_s=7)).code is Code.BAD_REQUEST
    assert refusal(lambda: propose_change_policy(slower, approval="maybe")).code is Code.BAD_REQUEST


def owned(table: OwnerTable, node: NodeId) -> list[int]:
    return [slot for slot in range(SLOTS_COUNT) if node in table[slot]]


@pytest.mark.parametrize("placement", ["ring", "even"])
def test_a_replacement_takes_what_the_other_holds_and_nothing_else(placement: str) -> None:
    document = topology(5, placement=placement)
    joint = propose_replace(document, member("n9"), N2, N1)
    assert step_problems(document, joint) == []
    slots = SlotMap.compile(joint)
    assert slots.owners_next is not None
    assert owned(slots.owners_next, N9) == owned(slots.owners, N2)
    plan = plan_of(slots)
    assert plan.targets() == (N9,)
    assert len(plan.moves) == len(owned(slots.owners, N2))
    finished = propose_stable(joint)
    assert [m.node_id for m in finished.members] == ["n1", "n3", "n4", "n5", "n9"]


def test_a_returning_id_does_not_stand_at_the_places_of_its_replacement() -> None:
    finished = propose_stable(propose_replace(topology(4), member("n9"), N2, N1))
    back = propose_join(finished, member("n2"), N1)
    assert problems(back) == []
    entry = back.member(N2)
    assert entry is not None
    assert entry.ring_name == "n2~2"
    again = propose_stable(propose_replace(finished, member("n10"), N9, N1))
    successor = again.member(NodeId("n10"))
    assert successor is not None
    assert successor.ring_name == "n2"


def test_two_members_never_stand_at_one_place() -> None:
    document = topology(3)
    twin = replace(document.members[1], ring_name="n1")
    twins = replace(document, members=(document.members[0], twin, document.members[2]))
    assert any("one place of the ring" in problem for problem in problems(twins))


def test_the_last_member_that_could_vote_is_not_replaced() -> None:
    alone = topology(1)
    reason = refusal(lambda: propose_replace(alone, member("n9"), N1, N1)).reason
    assert reason is ChangeReason.LAST_VOTER
