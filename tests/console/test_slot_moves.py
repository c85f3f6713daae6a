"""What a change of the owners moved: joins, removals and weights, against the least that must."""

from __future__ import annotations

import pytest

from console.slot_moves import holdings, slot_moves
from nodecore.config import Addresses
from nodecore.ids import Epoch, NodeId
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Member, Topology

KEY_SLOTS = list(range(0, 16_384, 4))


def slot_map(weights: dict[str, float]) -> SlotMap:
    members = tuple(
        Member(NodeId(name), Addresses(), weight=weight) for name, weight in weights.items()
    )
    return SlotMap.compile(Topology("c", Epoch(1), members))


FIVE = dict.fromkeys(["n1", "n2", "n3", "n4", "n5"], 1.0)
FOUR = {name: weight for name, weight in FIVE.items() if name != "n3"}
HEAVY = {**FIVE, "n2": 2.0}


@pytest.mark.parametrize(
    ("before", "after", "minimum"),
    [(FOUR, FIVE, 1 / 5), (FIVE, FOUR, 1 / 5), (FIVE, HEAVY, 2 / 6 - 1 / 5)],
    ids=["join", "leave", "weight"],
)
def test_only_what_must_move_moves(
    before: dict[str, float], after: dict[str, float], minimum: float
) -> None:
    moves = slot_moves(slot_map(before), slot_map(after), KEY_SLOTS)
    assert moves.minimum == pytest.approx(minimum)
    assert 0.5 < moves.share / moves.minimum < 1.5
    assert 0.5 < moves.keys_share / moves.minimum < 1.5
    assert moves.strayed == 0


def test_what_goes_between_nodes_that_stay_has_strayed() -> None:
    before, after = slot_map(FOUR), slot_map(FIVE)
    slot = next(n for n in range(16_384) if "n3" not in after.owners[n])
    absent = next(name for name in FOUR if name not in before.owners[slot])
    owners = list(after.owners)
    owners[slot] = (NodeId(absent), *before.owners[slot][1:])
    after.owners = tuple(owners)
    assert slot_moves(before, after, []).strayed == 1


def test_nothing_has_moved_without_a_change() -> None:
    moves = slot_moves(slot_map(FIVE), slot_map(FIVE), [])
    assert (moves.slots, moves.keys, moves.keys_share, moves.strayed, moves.minimum) == (
        0, 0, 0.0, 0, 0.0,
    )  # fmt: skip


def test_holdings_add_up() -> None:
    rows = holdings(slot_map(HEAVY), KEY_SLOTS)
    assert [row.node_id for row in rows] == sorted(FIVE)
    assert sum(row.slots for row in rows) == 16_384
    assert sum(row.keys for row in rows) == len(KEY_SLOTS)
    assert sum(row.share for row in rows) == pytest.approx(1.0)
    assert [row.fair for row in rows if row.node_id == "n2"] == [pytest.approx(1 / 3)]
