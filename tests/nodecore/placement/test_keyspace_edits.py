"""Edits of keyspaces: what stays, what is wrong, and what older writes demand of the new policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecore.ids import NodeId
from nodecore.placement.key_copies import KeyCopies
from nodecore.placement.keyspace_edits import (
    covering,
    differences,
    edited,
    effects,
    inherited,
    raised_positions,
)
from nodecore.placement.policies import propose_keyspace, propose_keyspace_removal
from nodecore.placement.proposals import bootstrap
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Keyspace, RingSettings, Topology
from tests.nodecore.replication.change_fakes import member

DEFAULT = Keyspace()
STRONG = Keyspace("strong:*", mode="strong", durability="process")
N1 = NodeId("n1")


def cluster(*keyspaces: Keyspace) -> Topology:
    members = [member(number) for number in range(1, 6)]
    return bootstrap("c", members, RingSettings(vnodes=16), keyspaces or (DEFAULT, STRONG))


def test_what_is_not_named_stays_and_a_new_pattern_starts_from_the_one_that_covers_it() -> None:
    topology = cluster(DEFAULT, Keyspace("a:*", n=4, w=3, ttl_ms=500))
    found, problems = edited(topology, "a:b:*", {"r": 2})
    assert problems == []
    assert found == Keyspace("a:b:*", n=4, w=3, r=2, ttl_ms=500)
    found, problems = edited(topology, "a:*", {"on_partition": "refuse", "write_through": True})
    assert problems == []
    assert found == Keyspace("a:*", n=4, w=3, ttl_ms=500, on_partition="refuse", write_through=True)


def test_a_strong_pattern_gets_a_durability_that_outlives_the_process() -> None:
    found, problems = edited(cluster(), "account:*", {"mode": "strong"})
    assert (found.durability, problems) == ("process", [])
    _found, problems = edited(cluster(), "account:*", {"mode": "strong", "durability": "memory"})
    assert "durability" in problems[0]


def test_all_mistakes_are_told_at_once() -> None:
    wrong = {"n": "3", "w": 9, "write_through": 1, "mode": "weak", "colour": "red", "ttl_ms": True}
    _keyspace, problems = edited(cluster(), "a*b*", wrong)
    text = "; ".join(problems)
    for word in (
        "'colour'",
        "n must be",
        "write_through must",
        "ttl_ms must",
        "w 9",
        "mode",
        "prefix",
    ):
        assert word in text
    _keyspace, problems = edited(cluster(), "a:*", {"ttl_ms": 11 * 365 * 86_400_000})
    assert "ten years" in problems[0]


@pytest.mark.parametrize(
    ("past", "now", "w_past"),
    [
        (Keyspace(n=3, w=1), Keyspace(n=3, w=2), 1),
        (Keyspace(n=3, w=2), Keyspace(n=3, w=1), 0),
        (Keyspace(n=3, w=2, w_past=1), Keyspace(n=5, w=3), 1),
        (Keyspace(n=3, w=2), Keyspace(n=3, w=2, r=3), 0),
        (STRONG, Keyspace("strong:*", w=3), 0),
    ],
)
def test_a_raised_w_remembers_that_older_writes_have_fewer_copies(
    past: Keyspace, now: Keyspace, w_past: int
) -> None:
    assert inherited(past, now).w_past == w_past


def test_keys_bring_their_few_copies_along_when_their_policy_is_made_or_deleted() -> None:
    topology = propose_keyspace(cluster(Keyspace(w=1), STRONG), Keyspace("a:*", w=3), N1)
    assert covering(topology.keyspaces, "a:*").w_past == 1
    topology = propose_keyspace(cluster(), Keyspace("a:*", w=1), N1)
    assert covering(topology.keyspaces, "a:*").w_past == 0
    topology = propose_keyspace_removal(topology, "a:*")
    assert covering(topology.keyspaces, "*") == Keyspace(w_past=1)
    assert covering(topology.keyspaces, "strong:*") == STRONG


def test_differences_and_effects_say_what_an_operator_must_know() -> None:
    past, now = Keyspace(n=3, w=2), Keyspace(n=2, w=2, ttl_ms=1000, w_past=1)
    changes = differences(past, now)
    assert {change["setting"]: (change["from"], change["to"]) for change in changes} == {
        "n": (3, 2),
        "ttl_ms": (0, 1000),
    }
    text = " ".join(effects(past, now))
    assert "loses 1 copy" in text
    assert "later writes" in text
    assert "asking 2 owners" in text
    assert "gets 2 copies more" in " ".join(effects(Keyspace(n=1, w=1), Keyspace(n=3)))
    assert effects(Keyspace(r=2), Keyspace(r=2)) == []
    assert effects(Keyspace(), Keyspace(on_partition="refuse")) == []
    assert "may miss the newest" in effects(Keyspace(r=2), Keyspace(r=1))[0]


def test_positions_that_get_copies_for_the_first_time() -> None:
    narrow = (DEFAULT, Keyspace("a:*", n=1, w=1))
    assert raised_positions((DEFAULT,), narrow) == [False, False, False]
    assert raised_positions(narrow, (DEFAULT,)) == [False, True, True]
    assert raised_positions((DEFAULT,), (Keyspace(n=4),)) == [False, False, False, True]


@given(st.lists(st.sampled_from("ab"), max_size=4).map("".join), st.integers(0, 16_383))
def test_a_key_belongs_to_the_first_owners_of_its_slot(text: str, slot: int) -> None:
    topology = cluster(Keyspace(n=2), Keyspace("a*", n=4), Keyspace("ab*", n=1, w=1))
    slot_map = SlotMap.compile(topology)
    copies = KeyCopies(topology, slot_map)
    key = text.encode()
    wanted = 1 if text.startswith("ab") else 4 if text.startswith("a") else 2
    assert copies.mixed
    assert copies.of(key) == wanted
    holders = [m.node_id for m in topology.members if copies.belongs(m.node_id, slot, key)]
    assert sorted(holders) == sorted(slot_map.owners[slot][:wanted])
    assert copies.position(NodeId("n9"), slot) is None
