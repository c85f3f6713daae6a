"""Tallies count distinct processes of one epoch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodecore.ids import Epoch, Incarnation, NodeId
from nodecore.replication.quorum import Tally, Verdict, quorum

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")
E, LIFE = Epoch(3), Incarnation(1)


def tally(needed: int = 2) -> Tally:
    return Tally((A, B, C), needed, E)


def verdict_of(found: Tally) -> Verdict:
    return found.verdict


def test_one_process_counts_once() -> None:
    found = tally()
    for _ in range(5):
        assert found.ack(A, E, LIFE)
    assert found.copies == 1
    assert verdict_of(found) is Verdict.PENDING


def test_other_epochs_strangers_and_older_lives_do_not_count() -> None:
    found = tally()
    assert not found.ack(A, Epoch(2), LIFE)
    assert not found.ack(A, Epoch(4), LIFE)
    assert not found.ack(NodeId("x"), E, LIFE)
    assert found.ack(A, E, Incarnation(2))
    assert not found.ack(A, E, Incarnation(1))
    assert found.copies == 1


def test_the_first_member_that_has_not_failed_must_have_acknowledged() -> None:
    found = tally()
    found.ack(B, E, LIFE)
    found.ack(C, E, LIFE)
    assert verdict_of(found) is Verdict.PENDING
    found.fail(A)
    assert verdict_of(found) is Verdict.REACHED


def test_too_many_failures_make_it_impossible() -> None:
    found = tally()
    found.fail(B)
    assert verdict_of(found) is Verdict.PENDING
    found.fail(C)
    assert verdict_of(found) is Verdict.IMPOSSIBLE
    assert not found.settled
    found.ack(A, E, LIFE)
    assert found.settled


def test_a_late_acknowledgement_takes_a_failure_back() -> None:
    found = tally()
    found.fail(A)
    found.fail(B)
    found.ack(A, E, LIFE)
    found.ack(C, E, LIFE)
    assert verdict_of(found) is Verdict.REACHED


_EVENTS = st.lists(st.tuples(st.sampled_from([A, B, C]), st.booleans()), max_size=12)


@given(_EVENTS, st.integers(1, 3))
def test_reached_means_that_so_many_distinct_members_acknowledged(
    events: list[tuple[NodeId, bool]], needed: int
) -> None:
    found = tally(needed)
    acked: list[NodeId] = []
    for node, good in events:
        if good:
            found.ack(node, E, LIFE)
            acked.append(node)
        else:
            found.fail(node)
    distinct = [node for node in (A, B, C) if node in acked]
    assert found.copies == len(distinct)
    if verdict_of(found) is Verdict.REACHED:
        assert len(distinct) >= needed


def test_a_quorum_is_the_smallest_majority() -> None:
    assert [quorum(count) for count in range(1, 8)] == [1, 2, 2, 3, 3, 4, 4]
