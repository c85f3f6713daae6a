"""Even placement: exact balance, minimal movement, zones; its encoding."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodecore.errors import InvalidTopology
from nodecore.ids import SLOTS_COUNT, NodeId
from nodecore.placement import assignment, even
from nodecore.placement.hashing import make_hash
from nodecore.placement.quotas import apportion
from nodecore.placement.ring import OwnerTable, assign, share_statistics
from nodecore.placement.topology import Member
from tests.nodecore.placement.members import cluster, member


def copies_of(table: OwnerTable, node: str) -> int:
    return sum(node in owners for owners in table)


def moves(before: OwnerTable, after: OwnerTable) -> list[NodeId]:
    return [node for old, new in zip(before, after, strict=True) for node in new if node not in old]


def check(table: OwnerTable, members: list[Member], copies: int) -> None:
    assert len(table) == SLOTS_COUNT
    wanted = min(copies, len(members))
    assert all(len(owners) == len(set(owners)) == wanted for owners in table)
    statistics = share_statistics(table, members)
    bound = max(1.001, -(-SLOTS_COUNT // len(members)) / (SLOTS_COUNT / len(members)))
    assert statistics.primary_max_over_mean <= bound + 1e-9
    assert statistics.copies_max_over_mean <= bound + 1e-9


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 10, 16])
@pytest.mark.parametrize("copies", [1, 3])
def test_new_cluster_is_even(size: int, copies: int) -> None:
    members = cluster(size)
    check(even.assign(None, members, copies), members, copies)


def test_replicas_of_one_node_spread_over_all_others() -> None:
    table = even.assign(None, cluster(10), 3)
    partners = dict.fromkeys(range(1, 11), 0)
    for owners in table:
        if owners[0] == "n1":
            partners[int(owners[1][1:])] += 1
    assert all(count > 0 for n, count in partners.items() if n != 1)


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(st.lists(st.sampled_from(["join", "leave"]), min_size=1, max_size=5), st.integers(3, 6))
def test_every_change_stays_even_and_moves_the_least(steps: list[str], size: int) -> None:
    members = cluster(size)
    table = even.assign(None, members, 3)
    for number, step in enumerate(steps):
        if step == "join":
            newcomer = member(f"x{number}")
            members = sorted([*members, newcomer], key=lambda m: m.node_id)
            following = even.assign(table, members, 3)
            moved = moves(table, following)
            assert set(moved) == {newcomer.node_id}
            assert len(moved) <= -(-3 * SLOTS_COUNT // len(members))
        elif len(members) > 4:
            gone = members[number % len(members)]
            members = [m for m in members if m is not gone]
            following = even.assign(table, members, 3)
            # What the leaver held must move; whole slots may cost a handful more.
            assert len(moves(table, following)) <= copies_of(table, gone.node_id) + len(members)
        else:
            continue
        check(following, members, 3)
        table = following


def test_assignment_is_a_function_of_its_arguments() -> None:
    members = cluster(7, 3)
    table = even.assign(None, members, 3)
    assert table == even.assign(None, members[::-1], 3)
    assert even.assign(table, members, 3) == table
    joined = [*members, member("x", "z1")]
    assert even.assign(table, joined, 3) == even.assign(table, joined[::-1], 3)


def test_ring_can_be_turned_into_even_placement_cheaply() -> None:
    members = cluster(5)
    ring = assign(members, 160, make_hash("blake3"), 3)
    table = even.assign(ring, members, 3)
    check(table, members, 3)
    excess = [max(0, copies_of(ring, m.node_id) - 3 * SLOTS_COUNT // 5) for m in members]
    assert len(moves(ring, table)) <= sum(excess) + 5


@pytest.mark.parametrize(("size", "zones"), [(6, 2), (6, 3), (7, 3), (10, 4), (5, 5)])
def test_zones_come_before_balance_of_replicas(size: int, zones: int) -> None:
    members = cluster(size, zones)
    table = even.assign(None, members, 3)
    joined = [*members, member("x", "z0")]
    for each, among in ((table, members), (even.assign(table, joined, 3), joined)):
        zone_of = {m.node_id: m.zone for m in among}
        assert all(len({zone_of[node] for node in owners}) == min(3, zones) for owners in each)
        assert share_statistics(each, among).primary_max_over_mean <= 1.001


def test_weights_are_followed() -> None:
    members = [member("a"), member("b"), member("c", weight=2), member("d"), member("e")]
    table = even.assign(None, members, 2)
    assert copies_of(table, "c") == pytest.approx(2 * copies_of(table, "a"), abs=2)
    assert share_statistics(table, members).primary_max_over_mean < 1.001


def test_number_of_copies_can_change() -> None:
    members = cluster(5)
    two = even.assign(None, members, 2)
    three = even.assign(two, members, 3)
    check(three, members, 3)
    assert len(moves(two, three)) == SLOTS_COUNT
    check(even.assign(three, members, 1), members, 1)


@given(
    st.integers(0, 500),
    st.lists(st.floats(0.01, 100), min_size=1, max_size=8),
    st.data(),
)
def test_apportion_splits_exactly_within_bounds(
    total: int, weights: list[float], data: st.DataObject
) -> None:
    bounds = [(0, total)] * len(weights)
    current = [data.draw(st.integers(0, 100)) for _ in weights]
    quotas = apportion(total, weights, bounds, current)
    assert sum(quotas) == total
    fair = [total * weight / sum(weights) for weight in weights]
    assert all(abs(q - f) <= 1.001 for q, f in zip(quotas, fair, strict=True))


def test_apportion_refuses_impossible_bounds() -> None:
    with pytest.raises(ValueError, match="bounds allow 4 of 5"):
        apportion(5, [1, 1], [(0, 2), (0, 2)], [0, 0])


def test_encoding_round_trip_is_compact() -> None:
    table = even.assign(None, cluster(10), 3)
    encoded = assignment.encode(table)
    assert assignment.decode(encoded) == table
    assert len(encoded) < 4096
    empty = ((),) * SLOTS_COUNT
    assert assignment.decode(assignment.encode(empty)) == empty


def damaged() -> list[bytes]:
    good = assignment.encode(even.assign(None, cluster(3), 2))
    plain = zlib.decompress(good)
    twice = bytearray(plain)
    twice[-1] = twice[-1 - SLOTS_COUNT]
    return [
        b"",
        b"nonsense",
        good[:-5],
        good + b"x",
        zlib.compress(b""),
        zlib.compress(b"\x02" + plain[1:]),
        zlib.compress(plain[:-1]),
        zlib.compress(plain + b"\0"),
        zlib.compress(bytes(twice)),
        zlib.compress(plain[:-1] + b"\xff"),
        zlib.compress(bytes(50_000_000)),
    ]


@pytest.mark.parametrize("data", damaged())
def test_damaged_assignments_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidTopology, match="damaged"):
        assignment.decode(data)


def test_unequal_tables_can_not_be_encoded() -> None:
    with pytest.raises(ValueError, match="equally many"):
        assignment.encode(((NodeId("a"),), *(((),) * (SLOTS_COUNT - 1))))
