"""Duties towards slots: who owns, joins, stays, and from how many of whom a learner must copy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nodecore.ids import NodeId
from nodecore.placement.topology import Keyspace, Topology
from nodecore.strong.standing import Copies, Duty, copies_of
from nodecore.strong.standing import _judge as judge

A, B, C, D, E = (NodeId(name) for name in "abcde")
THREE = (Copies(3, 3, 3),)


def duty(
    node: NodeId,
    before: tuple[tuple[NodeId, ...], tuple[NodeId, ...]],
    now: tuple[tuple[NodeId, ...], tuple[NodeId, ...]],
    copies: tuple[Copies, ...] = THREE,
) -> Duty:
    return judge(node, copies, bool(now[1]), *before, *now)


def test_an_owner_that_stays_keeps_what_it_has() -> None:
    found = duty(A, ((A, B, C), ()), ((A, B, C), ()))
    assert found.owns
    assert found.survives(same_change=False)
    assert not found.moves
    assert found.needs == (((B, C), 2),), "both others, should it ever have to learn"


def test_an_owner_to_be_copies_from_a_majority_of_the_old_owners() -> None:
    found = duty(D, ((A, B, C), ()), ((A, B, C), (A, B, D)))
    assert (found.owns, found.joins, found.moves) == (False, True, True)
    assert found.needs == (((A, B, C), 2),)
    assert not found.survives(same_change=False)
    again = duty(D, ((A, B, C), (A, B, D)), ((A, B, C), (A, B, D)))
    assert again.survives(same_change=True)
    assert not again.survives(same_change=False), "another change begins with nothing"
    assert duty(D, ((A, B, C), (A, B, D)), ((A, B, D), ())).survives(same_change=False)


def test_owners_that_become_fewer_copy_too() -> None:
    found = duty(A, ((A, B, C), ()), ((A, B, C), (A, B)))
    assert found.moves
    assert found.survives(same_change=False)


def test_strangers_have_nothing_to_do() -> None:
    assert duty(E, ((A, B, C), ()), ((A, B, C), (A, B, D))).is_stranger
    fourth = duty(D, ((A, B, C, D), ()), ((A, B, C, D), ()))
    assert fourth.is_stranger, "an owner for others, not under N=3"


def test_more_copies_make_a_new_owner_that_learns_from_the_old_ones() -> None:
    found = duty(D, ((A, B, C, D), ()), ((A, B, C, D), ()), (Copies(3, 4, 4),))
    assert found.owns
    assert not found.survives(same_change=False)
    assert found.needs == (((A, B, C), 2),)


def test_a_new_keyspace_has_nothing_to_be_learned() -> None:
    found = duty(A, ((A, B, C), ()), ((A, B, C), ()), (Copies(None, 3, 3),))
    assert found.is_first
    assert found.survives(same_change=False)


def test_the_first_document_of_a_life_proves_nothing() -> None:
    found = duty(A, ((), ()), ((A, B, C), ()), (Copies(0, 3, 3),))
    assert not found.survives(same_change=False)
    assert found.needs == (((B, C), 2),)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ([Keyspace(), Keyspace("s:*", mode="strong", n=5)], (Copies(5, 3, 3),)),
        ([Keyspace(), Keyspace("s:a:*", mode="strong")], (Copies(None, 3, 3),)),
        ([Keyspace(), Keyspace("*", mode="strong", n=1)], (Copies(1, 3, 3),)),
        ([Keyspace()], (Copies(None, 3, 3),)),
    ],
)
def test_copies_before_are_those_of_the_keyspace_that_held_the_keys(
    before: list[Keyspace], expected: tuple[Copies, ...]
) -> None:
    old = Topology("c", 1, (), keyspaces=tuple(before))  # type: ignore[arg-type]
    now = replace(old, keyspaces=(Keyspace(), Keyspace("s:*", mode="strong")))
    if len({k.pattern for k in before}) == len(before):
        assert copies_of(old, now) == expected
    assert copies_of(None, now) == (Copies(0, 3, 3),)
