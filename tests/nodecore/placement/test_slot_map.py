"""The compiled map: owners now and next, ranges, flags; the plan between two maps."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from nodecore.errors import InvalidTopology
from nodecore.ids import SLOTS_COUNT, Epoch, NodeId
from nodecore.placement.hashing import RingHash, make_hash
from nodecore.placement.proposals import (
    bootstrap,
    propose_flush,
    propose_join,
    propose_leave,
    propose_rebalance,
    propose_stable,
)
from nodecore.placement.rebalance import (
    DECISIONS_S,
    SlotSizes,
    coldest_first,
    diff,
    minimum_share,
    plan_of,
    preview,
)
from nodecore.placement.slot_map import SlotMap, alike, trim
from nodecore.placement.topology import Keyspace, RingSettings, Topology
from nodecore.table.interface import SLOT_CLOSED, SLOT_FIRST, SLOT_READ, SLOT_SOLE
from tests.nodecore.placement.members import cluster, member

N1 = NodeId("n1")


def topology(size: int, **ring: object) -> Topology:
    return bootstrap("c1", cluster(size), RingSettings(**ring))  # type: ignore[arg-type]


def test_documents_that_place_alike_share_their_tables() -> None:
    document = topology(5)
    flushed = propose_flush(document, 5)
    assert SlotMap.compile(document).owners is SlotMap.compile(flushed).owners
    assert SlotMap.compile(flushed).epoch == 2


def test_rooms_that_compile_the_same_document_share_its_map() -> None:
    for placement in ("ring", "even"):
        slots = SlotMap.compile(topology(5, placement=placement))
        assert SlotMap.compile(topology(5, placement=placement)) is slots
        assert alike(slots, slots) is slots.groups


def test_owners_and_ranges_agree() -> None:
    slots = SlotMap.compile(topology(5))
    assert (slots.copies, slots.copies_max) == (3, 3)
    ranges = slots.ranges()
    assert ranges[0][0] == 0
    assert ranges[-1][1] == SLOTS_COUNT - 1
    for (_, last, owners), (first, _, following) in pairwise(ranges):
        assert first == last + 1
        assert owners != following
    for first, last, owners in ranges:
        assert all(slots.owners_of(slot, 3) == owners for slot in range(first, last + 1))
    assert sum(slots.primary_counts().values()) == SLOTS_COUNT
    assert len(slots.ranges(1)) <= len(ranges)
    assert len(slots.owners_of(7, 2)) == 2
    assert len(slots.owners_of(7, 9)) == 3
    assert slots.next_owners_of(7, 3) == ()
    order = [m.node_id for m in slots.members]
    assert [tuple(order[i] for i in e) for e in slots.indexes(order)] == list(slots.owners)
    held = slots.slots_of(N1, 3)
    assert all(N1 in slots.owners[slot] for slot in held)
    assert len(held) == sum(N1 in owners for owners in slots.owners)


def test_small_clusters_have_as_many_owners_as_members() -> None:
    assert {len(owners) for owners in SlotMap.compile(topology(2)).owners} == {2}


def test_flags_of_a_lonely_node() -> None:
    document = topology(1)
    flags = SlotMap.compile(document).flags(N1)
    assert flags == bytes([SLOT_READ | SLOT_SOLE | SLOT_FIRST]) * SLOTS_COUNT
    joint = propose_join(document, member("n2"), N1)
    slots = SlotMap.compile(joint)
    # Writes go to the newcomer too, so nothing is sole; the old owner goes on reading.
    assert set(slots.flags(N1)) == {SLOT_READ | SLOT_FIRST}
    assert set(slots.flags(NodeId("n2"))) == {SLOT_CLOSED}


def test_flags_follow_the_number_of_copies() -> None:
    slots = SlotMap.compile(topology(5))
    one, three = slots.flags(N1, 1), slots.flags(N1, 3)
    primary = slots.primary_counts()[N1]
    assert one.count(SLOT_READ | SLOT_SOLE | SLOT_FIRST) == primary
    assert set(three) == {SLOT_CLOSED, SLOT_READ, SLOT_READ | SLOT_FIRST}
    assert three.count(SLOT_READ | SLOT_FIRST) == primary
    assert len(slots.slots_of(N1, 3)) == SLOTS_COUNT - three.count(SLOT_CLOSED)


def test_keyspace_with_more_copies_widens_the_table() -> None:
    document = topology(6)
    wide = replace(document, keyspaces=(Keyspace(), Keyspace("wide:*", n=5)))
    slots = SlotMap.compile(wide)
    assert (slots.copies, slots.copies_max) == (3, 5)
    assert {len(owners) for owners in slots.owners} == {5}
    assert trim(slots.owners, 3) == SlotMap.compile(document).owners


def test_joint_map_holds_both_tables_and_the_stable_one_follows() -> None:
    joint = propose_join(topology(5), member("n9"), N1)
    slots = SlotMap.compile(joint)
    assert slots.owners == SlotMap.compile(topology(5)).owners
    assert slots.owners_next == SlotMap.compile(propose_stable(joint)).owners
    assert NodeId("n9") in dict(slots.shares(following=True).primary_share)
    assert NodeId("n9") not in dict(slots.shares().primary_share)


@pytest.mark.parametrize("placement", ["ring", "even"])
def test_plan_of_a_join_moves_only_to_the_new_node(placement: str) -> None:
    joint = propose_join(topology(5, placement=placement), member("n9"), N1)
    slots = SlotMap.compile(joint)
    plan = plan_of(slots)
    assert plan.targets() == ("n9",)
    assert plan.slots == len(plan.moves) == len(plan.drops)
    assert slots.owners_next is not None
    for move in plan.moves:
        assert move.sources == slots.owners[move.slot]
        assert move.target in slots.owners_next[move.slot]
    assert plan_of(SlotMap.compile(propose_stable(joint))).moves == ()


@pytest.mark.parametrize("placement", ["ring", "even"])
def test_plan_of_a_leave_moves_what_the_leaver_held(placement: str) -> None:
    joint = propose_leave(topology(5, placement=placement), NodeId("n3"), N1)
    slots = SlotMap.compile(joint)
    plan = plan_of(slots)
    assert len([slot for slot, node in plan.drops if node == "n3"]) == len(
        slots.slots_of(NodeId("n3"), 3)
    )
    assert "n3" not in plan.targets()


def test_preview_adds_up() -> None:
    slots = SlotMap.compile(propose_join(topology(5), member("n9"), N1))
    sizes = SlotSizes([2] * SLOTS_COUNT, [100] * SLOTS_COUNT)
    shown = preview(slots, sizes, bytes_per_s=1000)
    assert shown.copies_moved == shown.slots_moved > 0
    assert shown.keys_moved == 2 * shown.copies_moved
    assert shown.bytes_moved == 100 * shown.copies_moved
    assert shown.seconds == pytest.approx(shown.bytes_moved / 1000 + DECISIONS_S)
    assert shown.minimum_share == pytest.approx(1 / 6)
    assert shown.share_moved == pytest.approx(1 / 6, rel=0.3)
    by_id = {node.node_id: node for node in shown.nodes}
    assert by_id[NodeId("n9")].copies_in == shown.copies_moved
    assert by_id[NodeId("n9")].first_share_before == 0
    assert sum(node.first_share_after for node in shown.nodes) == pytest.approx(1)
    assert sum(node.copies_out for node in shown.nodes) == shown.copies_moved


def test_preview_of_a_stable_map_is_empty() -> None:
    sizes = SlotSizes([1] * SLOTS_COUNT, [1] * SLOTS_COUNT)
    shown = preview(SlotMap.compile(topology(3)), sizes, 10)
    assert (shown.copies_moved, shown.seconds, shown.minimum_share) == (0, 0, 0)


def test_coldest_slots_go_first() -> None:
    slots = SlotMap.compile(propose_join(topology(3), member("n9"), N1))
    heat = [(slot * 7919) % 100 for slot in range(SLOTS_COUNT)]
    ordered = coldest_first(plan_of(slots), lambda slot: heat[slot])
    assert [heat[move.slot] for move in ordered] == sorted(heat[move.slot] for move in ordered)
    assert sorted(ordered) == sorted(plan_of(slots).moves)


def test_change_of_order_moves_nothing() -> None:
    a, b, c = (NodeId(n) for n in "abc")
    assert diff(((a, b),), ((b, a),)).moves == ()
    plan = diff(((a, b), ()), ((b, c), (a, b)))
    assert [(m.slot, m.sources, m.target) for m in plan.moves] == [
        (0, (a, b), c), (1, (), a), (1, (), b),
    ]  # fmt: skip
    assert plan.drops == ((0, a),)
    with pytest.raises(ValueError, match="argument"):
        diff(((a,),), ())


def test_minimum_share_follows_weights() -> None:
    old = [member("a"), member("b")]
    assert minimum_share(old, [*old, member("c", weight=2)]) == pytest.approx(0.5)
    assert minimum_share(old, old[:1]) == pytest.approx(0.5)
    assert minimum_share(old, old) == 0


def test_rebalance_compiles_other_settings_next() -> None:
    joint = propose_rebalance(topology(4), N1, ring=RingSettings(placement="even"))
    slots = SlotMap.compile(joint)
    assert slots.shares(following=True).primary_max_over_mean <= 1.001
    assert SlotMap.compile(propose_stable(joint)).owners == slots.owners_next
    back = propose_rebalance(propose_stable(joint), N1, ring=RingSettings(vnodes=16))
    assert propose_stable(back).ring.vnodes == 16
    assert propose_stable(back).assignment == b""


def test_custom_hash_needs_a_resolver() -> None:
    document = replace(topology(3), ring=RingSettings(hash="my.hash:points"))
    with pytest.raises(InvalidTopology, match="can't be loaded"):
        SlotMap.compile(document)

    def resolver(name: str) -> RingHash:
        return make_hash("md5")

    custom = SlotMap.compile(document, resolver)
    assert custom.owners == SlotMap.compile(topology(3, hash="md5")).owners


def test_maps_that_can_not_be() -> None:
    document = topology(3, placement="even")
    with pytest.raises(InvalidTopology, match="not a member"):
        SlotMap.compile(replace(document, members=document.members[:2]))
    with pytest.raises(InvalidTopology, match="no default keyspace"):
        SlotMap.compile(replace(document, keyspaces=(Keyspace("a*"),)))
    assert SlotMap.compile(replace(document, epoch=Epoch(9))).epoch == 9
