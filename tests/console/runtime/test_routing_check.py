"""The routing check: what a node says about slots, against who should own them."""

from __future__ import annotations

from console.resp_replies import Reply
from console.runtime.routing_check import Misrouted, wrong_ranges

EXPECTED = ["h:1"] * 4 + ["h:2"] * 4


def slots(first: int, last: int, port: int) -> Reply:
    return [first, last, [b"h", port, b"id", []]]


def test_slots_of_another_owner_count() -> None:
    assert wrong_ranges([slots(0, 3, 1), slots(4, 7, 2)], EXPECTED) == 0
    assert wrong_ranges([slots(0, 4, 1), slots(5, 7, 2)], EXPECTED) == 1
    assert wrong_ranges([slots(0, 3, 1)], EXPECTED) == 4


def test_an_answer_that_makes_no_sense_is_wrong_everywhere() -> None:
    assert wrong_ranges(None, EXPECTED) == 8
    assert wrong_ranges([[1, 2]], EXPECTED) == 8


def test_what_disagrees_is_named() -> None:
    assert Misrouted().text() == ""
    found = Misrouted(reads=2, absent=1, example="n1: x")
    assert (found.total, found.text()) == (3, "2 plain reads, 1 keys not held (n1: x)")
