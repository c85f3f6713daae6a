from __future__ import annotations

from itertools import combinations

import pytest

from nodecore.ids import NodeId
from nodecore.placement.proposals import (
    bootstrap,
    propose_cancel,
    propose_join,
    propose_leave,
    propose_stable,
)
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Keyspace, RingSettings, Topology
from nodecore.replication.slot_needs import copies_to_make, streams_needed, wants
from nodecore.replication.slot_standing import Standing, standings
from tests.nodecore.replication.change_fakes import member

SLOTS = 16_384


def cluster(count: int) -> Topology:
    members = [member(number) for number in range(1, count + 1)]
    return bootstrap("c", members, RingSettings(vnodes=8), (Keyspace(),))


@pytest.mark.parametrize("n", range(1, 6))
@pytest.mark.parametrize("w", range(1, 6))
def test_the_streams_meet_every_write_quorum(n: int, w: int) -> None:
    needed = streams_needed(n, (Keyspace(n=n, w=w),))
    owners = range(n)
    for written in combinations(owners, min(w, n)):
        for streamed in combinations(owners, needed):
            assert set(written) & set(streamed)
    if needed > 1:
        # One fewer would miss some write.
        missed = [
            (written, streamed)
            for written in combinations(owners, min(w, n))
            for streamed in combinations(owners, needed - 1)
            if not set(written) & set(streamed)
        ]
        assert missed


def test_a_restarted_owner_wants_all_its_slots_from_the_others() -> None:
    topology = cluster(3)
    found = wants(NodeId("n1"), topology, SlotMap.compile(topology), bytearray(SLOTS))
    assert len(found) == SLOTS
    for need in found.values():
        assert sorted(need.sources) == ["n2", "n3"]
        assert need.streams == 2


def test_a_complete_owner_of_a_stable_document_wants_nothing() -> None:
    topology = cluster(3)
    complete = bytearray(b"\1" * SLOTS)
    assert wants(NodeId("n1"), topology, SlotMap.compile(topology), complete) == {}


def test_a_sole_owner_has_nobody_to_ask() -> None:
    topology = cluster(1)
    found = wants(NodeId("n1"), topology, SlotMap.compile(topology), bytearray(SLOTS))
    assert {(need.sources, need.streams) for need in found.values()} == {((), 0)}


def test_a_join_makes_only_the_newcomer_copy() -> None:
    joint = propose_join(cluster(4), member(5), NodeId("n1"))
    slot_map = SlotMap.compile(joint)
    counts = copies_to_make(slot_map)
    assert list(counts) == ["n5"]
    found = wants(NodeId("n5"), joint, slot_map, bytearray(SLOTS))
    assert len(found) == counts[NodeId("n5")]
    assert all("n5" not in need.sources and need.streams == 2 for need in found.values())


def test_owners_that_stay_catch_up_when_the_set_of_owners_shrinks() -> None:
    joint = propose_leave(cluster(3), NodeId("n3"), NodeId("n1"))
    slot_map = SlotMap.compile(joint)
    assert copies_to_make(slot_map) == {"n1": SLOTS, "n2": SLOTS}
    complete = bytearray(b"\1" * SLOTS)
    found = wants(NodeId("n1"), joint, slot_map, complete)
    assert len(found) == SLOTS
    # The own copy counts as one of the two.
    assert {need.streams for need in found.values()} == {1}


def test_nobody_copies_in_a_stable_document() -> None:
    assert copies_to_make(SlotMap.compile(cluster(4))) == {}


def by_slot(node: NodeId, before: SlotMap, now: SlotMap) -> list[Standing]:
    found: dict[int, Standing] = {}
    for slots, standing in standings(node, before, now):
        assert not any(slot in found for slot in slots)
        found |= dict.fromkeys(slots, standing)
    assert len(found) == SLOTS
    return [found[slot] for slot in range(SLOTS)]


def test_owners_stay_owners_and_newcomers_are_staged() -> None:
    stable = cluster(3)
    joint = propose_join(stable, member(4), NodeId("n1"))
    maps = SlotMap.compile(stable), SlotMap.compile(joint), SlotMap.compile(propose_stable(joint))
    n4 = NodeId("n4")
    found = by_slot(n4, maps[0], maps[1])
    assert all(not s.was_owner and not s.was_staged and not s.is_owner for s in found)
    staged = [slot for slot, standing in enumerate(found) if standing.is_staged]
    assert staged
    after = by_slot(n4, maps[1], maps[2])
    assert [slot for slot, standing in enumerate(after) if standing.is_owner] == staged
    assert all(after[slot].was_staged for slot in staged)
    cancelled = SlotMap.compile(propose_cancel(joint, "test"))
    assert all(s.is_stranger for s in by_slot(n4, maps[1], cancelled))


@pytest.mark.parametrize(
    ("standing", "gap", "same_change", "expected"),
    [
        (Standing(True, False, True, False), 1, False, True),
        (Standing(True, False, True, False), 2, False, True),
        (Standing(True, False, True, False), 3, False, False),
        (Standing(False, True, True, False), 1, False, True),
        (Standing(False, False, True, False), 1, False, False),
        (Standing(False, True, False, True), 1, True, True),
        (Standing(False, True, False, True), 2, False, False),
        (Standing(True, False, False, True), 2, True, False),
    ],
)
def test_what_survives_a_document(
    standing: Standing, gap: int, same_change: bool, expected: bool
) -> None:
    assert standing.survives(gap, same_change) is expected
