"""Documents and the steps between them: every proposal is sound, every bad one is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodecore.errors import Code
from nodecore.ids import Epoch, NodeId
from nodecore.placement.proposals import (
    Refused,
    bootstrap,
    may_remove,
    propose_cancel,
    propose_coordinator,
    propose_flush,
    propose_full_member,
    propose_join,
    propose_keyspace,
    propose_keyspace_removal,
    propose_learner,
    propose_leave,
    propose_readmission,
    propose_rebalance,
    propose_recovery,
    propose_remove,
    propose_stable,
)
from nodecore.placement.rules import problems, step_problems
from nodecore.placement.topology import Change, Keyspace, RingSettings, Topology
from nodecore.placement.voters import has_majority, voter_sets, voters_count, voters_of, with_voters
from tests.nodecore.placement.members import cluster, member

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
STRONG = Keyspace("s:*", mode="strong", durability="process")


def topology(size: int, **ring: object) -> Topology:
    return bootstrap("c1", cluster(size), RingSettings(**ring))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("eligible", "voters"), [(0, 0), (1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (6, 5), (99, 5)]
)
def test_voters_are_the_largest_odd_number_up_to_five(eligible: int, voters: int) -> None:
    assert voters_count(eligible) == voters
    assert len(voters_of(with_voters(cluster(eligible)))) == voters


def test_standing_voters_stay_and_the_longest_standing_follow() -> None:
    members = [
        member("a", born=9), member("b", born=1), member("c", born=5, voter=True),
        member("d", born=5), member("e", born=7, voter=True), member("f", born=2),
    ]  # fmt: skip
    assert voters_of(with_voters(members)) == ("b", "c", "d", "e", "f")
    assert voters_of(with_voters(members[:4])) == ("b", "c", "d")
    assert voters_of(with_voters(members, excluded=[NodeId("b")])) == ("a", "c", "d", "e", "f")


def test_majority_of_every_set() -> None:
    sets = [(N1, N2, N3), (N2, N3, NodeId("n4"))]
    assert has_majority(sets, [N2, N3])
    assert not has_majority(sets, [N1, N2])
    assert not has_majority([], [N1])
    assert not has_majority([()], [N1])


def test_bootstrap_is_the_same_for_every_order() -> None:
    members = cluster(5)
    shuffled = members[:]
    Random(3).shuffle(shuffled)
    document = bootstrap("c1", members)
    assert bootstrap("c1", shuffled) == document
    assert document.epoch == 1
    assert {m.born for m in document.members} == {1}
    assert {k.pattern: k.mode for k in document.keyspaces} == {
        "*": "eventual",
        "strong:*": "strong",
    }
    assert Topology.from_plain(document.to_plain()) == document


def test_bootstrap_refuses_nonsense() -> None:
    for members in ([], [member("n1"), member("n1")], [member("N 1")]):
        with pytest.raises(Refused):
            bootstrap("c1", members)
    with pytest.raises(Refused):
        bootstrap("c1", [], RingSettings(placement="even"))
    with pytest.raises(Refused, match="default"):
        bootstrap("c1", cluster(1), keyspaces=[])


def test_joining_node_votes_only_once_stable() -> None:
    document = topology(2)
    joint = propose_join(document, replace(member("n3"), voter=True, learner=True), N1)
    assert joint.change is not None
    newcomer = joint.change.members_next[-1]
    assert (newcomer.voter, newcomer.learner, newcomer.born) == (False, False, 2)
    assert voter_sets(joint) == (("n1",), ("n1",))
    stable = propose_stable(joint)
    assert voter_sets(stable) == (("n1", "n2", "n3"),)


def test_removed_voter_is_replaced_in_the_next_set() -> None:
    document = topology(6)
    gone = voters_of(document.members)[0]
    joint = propose_remove(document, gone, N2)
    assert joint.change is not None
    assert len(voter_sets(joint)[1]) == 5
    assert gone not in voter_sets(joint)[1]
    assert propose_stable(joint).member(gone) is None


def test_cancel_returns_to_the_old_owners() -> None:
    document = topology(3)
    back = propose_cancel(propose_join(document, member("n4"), N1), "target died")
    assert back.members == document.members
    assert back.epoch == 3
    assert "target died" in back.reason


def test_one_change_at_a_time() -> None:
    joint = propose_join(topology(3), member("n4"), N1)
    attempts: list[Callable[[], Topology]] = [
        lambda: propose_join(joint, member("n5"), N1),
        lambda: propose_leave(joint, N2, N1),
        lambda: propose_remove(joint, N2, N1),
        lambda: propose_rebalance(joint, N1, weights={N1: 2.0}),
        lambda: propose_keyspace(joint, Keyspace("a*"), N1),
        lambda: propose_keyspace_removal(joint, "strong:*"),
    ]
    for attempt in attempts:
        with pytest.raises(Refused) as refused:
            attempt()
        assert refused.value.code is Code.CHANGE_RUNNING
    assert propose_flush(joint, 7).joint
    moved = propose_coordinator(joint, N2)
    assert moved.change is not None
    assert moved.change.coordinator == N2


@pytest.mark.parametrize(
    ("attempt", "code"),
    [
        (lambda t: propose_join(t, member("n1"), N1), Code.TAKEN),
        (lambda t: propose_join(t, member("N!"), N1), Code.BAD_REQUEST),
        (lambda t: propose_join(t, member("n9"), NodeId("zz")), Code.BAD_REQUEST),
        (lambda t: propose_leave(t, NodeId("n9"), N1), Code.UNKNOWN_NODE),
        (lambda t: propose_leave(topology(1), N1, N1), Code.REFUSED),
        (lambda t: propose_stable(t), Code.BAD_REQUEST),
        (lambda t: propose_cancel(t, ""), Code.BAD_REQUEST),
        (lambda t: propose_coordinator(t, N1), Code.BAD_REQUEST),
        (lambda t: propose_rebalance(t, N1), Code.BAD_REQUEST),
        (lambda t: propose_rebalance(t, N1, weights={NodeId("x"): 1.0}), Code.UNKNOWN_NODE),
        (lambda t: propose_rebalance(t, N1, weights={N1: 0.0}), Code.BAD_REQUEST),
        (lambda t: propose_keyspace(t, Keyspace("a*", n=3, w=4), N1), Code.BAD_REQUEST),
        (lambda t: propose_keyspace(t, Keyspace("a*b*"), N1), Code.BAD_REQUEST),
        (lambda t: propose_keyspace(t, Keyspace("strong:*"), N1), Code.BAD_REQUEST),
        (lambda t: propose_keyspace(t, replace(STRONG, pattern="strong:*", n=5), N1), Code.BAD_REQUEST),
        (lambda t: propose_keyspace_removal(narrow_strong(t), "strong:a:*"), Code.BAD_REQUEST),
        (lambda t: propose_keyspace(t, Keyspace("a*", mode="strong"), N1), Code.BAD_REQUEST),
        (lambda t: propose_keyspace_removal(t, "*"), Code.BAD_REQUEST),
        (lambda t: propose_keyspace_removal(t, "nope*"), Code.BAD_REQUEST),
        (lambda t: propose_learner(topology(1), N1), Code.REFUSED),
        (lambda t: propose_readmission(t, NodeId("n9")), Code.UNKNOWN_NODE),
        (lambda t: propose_recovery(t, [NodeId("n9")]), Code.UNKNOWN_NODE),
    ],
)  # fmt: skip
def test_refusals_name_their_reason(attempt: object, code: Code) -> None:
    with pytest.raises(Refused) as refused:
        attempt(topology(3))  # type: ignore[operator]
    assert refused.value.code is code
    assert str(refused.value)


def test_cluster_is_not_larger_than_the_limit() -> None:
    with pytest.raises(Refused, match="at most 256"):
        propose_join(topology(256, vnodes=1), member("x"), N1)


@pytest.mark.parametrize("placement", ["ring", "even"])
def test_keyspaces_come_change_and_go(placement: str) -> None:
    document = topology(5, placement=placement)
    wide = propose_keyspace(document, Keyspace("wide:*", n=4), N1)
    assert step_problems(document, wide) == []
    assert [k.pattern for k in wide.keyspaces] == ["*", "strong:*", "wide:*"]
    gone = propose_keyspace_removal(wide, "wide:*")
    assert step_problems(wide, gone) == []
    assert gone.keyspaces == document.keyspaces
    four = propose_keyspace(document, replace(STRONG, pattern="strong:*", n=4, w=3), N1)
    assert step_problems(document, four) == []


@pytest.mark.parametrize("placement", ["ring", "even"])
@pytest.mark.parametrize("pattern", ["strong:*", "strong:a:*"])
def test_strong_keys_lose_copies_through_a_joint_document(placement: str, pattern: str) -> None:
    document = topology(5, placement=placement)
    document = propose_keyspace(document, Keyspace(n=1, w=1), N1)
    joint = propose_keyspace(document, replace(STRONG, pattern=pattern, n=1, w=1), N2)
    assert step_problems(document, joint) == []
    assert joint.change is not None
    assert (joint.change.kind, joint.change.coordinator) == ("rebalance", N2)
    (fewer,) = [k for k in joint.keyspaces if k.pattern == pattern]
    assert (fewer.n, fewer.n_next) == (3, 1)
    stable, back = propose_stable(joint), propose_cancel(joint, "why")
    for following, copies in ((stable, 1), (back, 3)):
        assert step_problems(joint, following) == []
        (settled,) = [k for k in following.keyspaces if k.pattern == pattern]
        assert (settled.n, settled.n_next) == (copies, 0)
    assert problems(propose_recovery(joint, [N1])) == []
    assert problems(replace(stable, keyspaces=joint.keyspaces)) != []


def narrow_strong(document: Topology) -> Topology:
    """Keys of a narrower pattern have more copies than those of the one that would inherit them."""
    wide = replace(STRONG, pattern="strong:a:*", n=3)
    document = propose_keyspace(document, wide, N1)
    joint = propose_keyspace(document, replace(STRONG, pattern="strong:*", n=2), N1)
    return propose_stable(joint)


def test_flush_never_goes_back() -> None:
    document = propose_flush(propose_flush(topology(1), 100), 50)
    assert (document.flushes, document.flushed_hlc) == (2, 100)
    assert step_problems(document, replace(document, epoch=Epoch(4), flushes=1)) != []


def test_learner_loses_its_vote_until_it_is_complete() -> None:
    document = topology(4)
    learner = propose_learner(document, N1)
    assert step_problems(document, learner) == []
    assert voters_of(learner.members) == ("n2", "n3", "n4")
    entry = learner.member(N1)
    assert entry is not None
    assert (entry.learner, entry.born) == (True, 2)
    complete = propose_full_member(learner, N1)
    assert step_problems(learner, complete) == []
    assert complete.members[0].learner is False
    again = propose_readmission(document, N2)
    assert voters_of(again.members) == voters_of(document.members)
    assert again.members[1].born == 2
    joint = propose_join(document, member("n5"), N1)
    for following in (propose_learner(joint, N2), propose_readmission(joint, N2)):
        assert step_problems(joint, following) == []


def test_recovery_begins_a_new_generation() -> None:
    for placement in ("ring", "even"):
        document = propose_join(topology(5, placement=placement), member("n6"), N1)
        recovered = propose_recovery(document, [N2])
        assert problems(recovered) == []
        assert recovered.generation == 1
        assert recovered.epoch > document.epoch + 1000
        assert voters_of(recovered.members) == ("n2",)
        assert not recovered.joint


def test_automatic_removal() -> None:
    document = topology(5)
    ids = [m.node_id for m in document.members]
    n5 = NodeId("n5")
    assert may_remove(document, ids[:4], n5) is None
    for topo, live, node, text in (
        (document, ids[:4], NodeId("x"), "not a member"),
        (document, ids, n5, "alive"),
        (document, ids[:2], n5, "majority"),
        (topology(3), ids[:2], N3, "2 members would remain, 3 copies"),
        (propose_leave(document, N1, N1), ids[:4], n5, "another change"),
    ):
        reason = may_remove(topo, live, node)
        assert reason is not None
        assert text in reason.text


def test_every_problem_is_reported() -> None:
    document = topology(3)
    bad = replace(
        document,
        epoch=Epoch(0),
        cluster_id="",
        ring=RingSettings(vnodes=0, hash="nope", placement="odd"),
        keyspaces=(Keyspace("a", n=0, mode="x", on_partition="y", durability="z", ttl_ms=-1),),
        members=(replace(member("b", weight=float("nan"), voter=True), learner=True), member("a")),
        flushes=-1,
        reason="r" * 2000,
    )
    text = "\n".join(problems(bad))
    for part in (
        "epoch", "cluster_id", "vnodes", "ring hash", "placement", "prefix followed", "n 0", "mode",
        "on_partition", "durability", "ttl_ms", "default", "ordered", "weight", "no vote",
        "negative", "reason",
    ):  # fmt: skip
        assert part in text, part


def test_changes_must_be_what_they_say() -> None:
    document = topology(3)
    joint = propose_join(document, member("n4"), N1)
    assert joint.change is not None
    for change in (
        replace(joint.change, kind="leave"),
        replace(joint.change, kind="dance"),
        replace(joint.change, node_id=N1),
        replace(joint.change, coordinator=NodeId("x")),
        replace(joint.change, members_next=()),
        Change("rebalance", N1, joint.change.members_next, N1),
    ):
        assert problems(replace(joint, change=change)) != []
    even = topology(3, placement="even")
    assert problems(replace(even, assignment=b"")) != []
    assert problems(replace(even, assignment=b"x")) != []
    assert problems(replace(even, members=even.members[:2])) != []
    assert problems(replace(document, assignment=even.assignment)) != []


def test_steps_that_skip_or_fork_are_refused() -> None:
    document = topology(3)
    joint = propose_join(document, member("n4"), N1)
    other = propose_join(document, member("n5"), N1)
    stable = propose_stable(joint)
    for old, new in (
        (document, stable),
        (document, document),
        (document, replace(stable, epoch=Epoch(2))),
        (joint, replace(other, epoch=Epoch(3))),
        (joint, replace(propose_stable(other), epoch=Epoch(3))),
        (document, replace(joint, cluster_id="c2")),
        (document, replace(joint, generation=1)),
        (document, replace(joint, feature_level=0)),
    ):
        assert step_problems(old, new) != []
    assert step_problems(document, joint) == step_problems(joint, stable) == []


def step(document: Topology, die: int, somebody: NodeId, number: int) -> Topology:
    actions: list[Callable[[], Topology]] = [
        lambda: propose_join(document, member(f"x{number}"), somebody),
        lambda: propose_leave(document, somebody, somebody),
        lambda: propose_remove(document, somebody, somebody),
        lambda: propose_stable(document),
        lambda: propose_stable(document),
        lambda: propose_cancel(document, "random"),
        lambda: propose_flush(document, number),
        lambda: propose_learner(document, somebody),
        lambda: propose_full_member(document, somebody),
        lambda: propose_rebalance(document, somebody, weights={somebody: 2.0}),
    ]
    return actions[die]()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.lists(st.integers(0, 9), max_size=12), st.integers(0, 1 << 30))
def test_random_lives_are_sound_step_by_step(size: int, dice: list[int], seed: int) -> None:
    rng = Random(seed)
    document = topology(size, vnodes=4)
    for number, die in enumerate(dice):
        try:
            following = step(document, die, rng.choice(document.all_members).node_id, number)
        except Refused:
            continue
        assert step_problems(document, following) == []
        assert Topology.from_plain(following.to_plain()) == following
        assert 1 <= len(voters_of(following.members)) <= 5
        document = following
