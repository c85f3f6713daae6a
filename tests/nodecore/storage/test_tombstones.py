"""Waiting tombstones and the floors that they leave."""

from __future__ import annotations

from nodecore.limits import TOMBSTONE_S
from nodecore.storage.tombstones import Tombstones

WAIT_MS = int(TOMBSTONE_S * 1000)


def test_tombstones_come_due_in_order_within_the_budget() -> None:
    current = {b"a": 1, b"b": 2, b"c": 3}
    tombstones = Tombstones(lambda key, hlc: current.get(key) == hlc, lambda: len(current))
    for number, (key, hlc) in enumerate(current.items()):
        tombstones.add(key, hlc, number)
    assert tombstones.due(WAIT_MS - 1, 9) == []
    assert tombstones.due(WAIT_MS + 1, 1) == [b"a"]
    assert tombstones.due(WAIT_MS + 1, 9) == [b"b"]
    assert tombstones.oldest() == b"c"
    assert tombstones.oldest() is None


def test_a_tombstone_that_was_replaced_is_skipped() -> None:
    current = {b"a": 9}
    tombstones = Tombstones(lambda key, hlc: current.get(key) == hlc, lambda: 1)
    tombstones.add(b"a", 1, 0)
    tombstones.add(b"a", 9, 10)
    assert tombstones.due(WAIT_MS, 9) == []
    assert tombstones.due(WAIT_MS + 10, 9) == [b"a"]


def test_replaced_tombstones_do_not_pile_up() -> None:
    latest = 0
    tombstones = Tombstones(lambda _key, hlc: hlc == latest, lambda: 1)
    for latest in range(1, 20_000):
        tombstones.add(b"a", latest, 0)
    assert tombstones.overhead_bytes < 200_000


def test_floors_only_rise_and_leave_with_their_slot() -> None:
    tombstones = Tombstones(lambda _key, _hlc: True, lambda: 0)
    tombstones.collected(7, 5)
    tombstones.collected(7, 3)
    assert (tombstones.floor(7), tombstones.floor(8)) == (5, 0)
    tombstones.forget_slot(7)
    assert tombstones.floor(7) == 0
