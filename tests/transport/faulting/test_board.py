"""Lives of faults: leases, ends, owners, bounds."""

from __future__ import annotations

from random import Random

import pytest

from tests.transport.faulting.test_spec import plain
from transport.faults import FaultBoard, FaultRefused, FaultSpec, parse_fault
from transport.messages import Lane

LATENCY: FaultSpec = parse_fault(plain("latency"))
CUT: FaultSpec = parse_fault(plain("cut"))


def test_leases_end_unless_they_are_renewed_by_their_owner() -> None:
    board = FaultBoard()
    board.add("f1", LATENCY, "console", 0.0, lease_s=5.0)
    board.add("f2", LATENCY, "other", 0.0, lease_s=5.0)
    board.add("f3", LATENCY, "console", 0.0, ends_at_s=6.0)
    board.add("f4", LATENCY, "console", 0.0)
    assert board.next_expiry_s() == 5.0
    assert board.expire(4.9) == []
    assert board.renew("console", 4.9) == 1, "a fixed end is not moved"
    assert [fault.fault_id for fault in board.expire(5.0)] == ["f2"]
    assert [fault.fault_id for fault in board.expire(6.0)] == ["f3"]
    assert board.next_expiry_s() == pytest.approx(9.9)
    assert [fault.fault_id for fault in board.expire(100.0)] == ["f1"]
    assert board.next_expiry_s() is None
    assert [fault.fault_id for fault in board.faults()] == ["f4"]


def test_what_is_not_taken_changes_nothing() -> None:
    board = FaultBoard(faults_max=2)
    board.add("f1", LATENCY, "me", 10.0)
    changes = board.changes
    for keywords, text in (
        ({"lease_s": 1.0, "ends_at_s": 20.0}, "not both"),
        ({"lease_s": 0.0}, "lease of 0 s"),
        ({"ends_at_s": 10.0}, "before it begins"),
    ):
        with pytest.raises(FaultRefused, match=text):
            board.add("f2", LATENCY, "me", 10.0, **keywords)
    with pytest.raises(FaultRefused, match="'f1' is in use"):
        board.add("f1", CUT, "me", 10.0)
    board.add("f2", CUT, "me", 10.0)
    with pytest.raises(FaultRefused, match="2 faults are active"):
        board.add("f3", CUT, "me", 10.0)
    assert board.changes == changes + 1
    assert len(board) == 2


def test_removal_by_id_and_by_owner() -> None:
    board = FaultBoard()
    for name, owner in (("f1", "a"), ("f2", "b"), ("f3", "a")):
        board.add(name, LATENCY, owner, 0.0)
    assert board.remove("f9") is None
    assert board.remove("f2") is not None
    changes = board.changes
    assert board.remove_all("b") == []
    assert board.changes == changes
    assert [fault.fault_id for fault in board.remove_all("a")] == ["f1", "f3"]
    assert board.changes == changes + 1
    board.add("f1", LATENCY, "a", 0.0)
    assert len(board.remove_all()) == 1


def test_matching_follows_changes_and_keeps_their_order() -> None:
    board = FaultBoard()
    where = ("n1", "n3", "down", Lane.DATA)
    assert board.matching(*where) == ()
    board.add("z", LATENCY, "a", 0.0)
    board.add("a", parse_fault(plain("bandwidth", link="*->n3")), "a", 0.0)
    board.add("up", parse_fault(plain("latency", stream="up")), "a", 0.0)
    assert [fault.fault_id for fault in board.matching(*where)] == ["z", "a"]
    board.remove("z")
    assert [fault.fault_id for fault in board.matching(*where)] == ["a"]


def test_cuts_refuse_new_connections_even_one_way() -> None:
    board, rng = FaultBoard(), Random(1)
    assert not board.refuses("n1", "n3", Lane.DATA, rng)
    board.add("f1", LATENCY, "a", 0.0)
    assert not board.refuses("n1", "n3", Lane.DATA, rng)
    fault = board.add("f2", parse_fault(plain("cut", stream="up")), "a", 0.0)
    assert board.refuses("n1", "n3", Lane.DATA, rng)
    assert board.refuses("n1", "n3", Lane.CONTROL, rng)
    assert not board.refuses("n3", "n1", Lane.DATA, rng)
    assert fault.hits == 2
    board.remove_all()
    board.add("f3", parse_fault(plain("cut", toxicity=0.5)), "a", 0.0)
    refused = sum(board.refuses("n1", "n3", Lane.DATA, rng) for _ in range(1000))
    assert 400 < refused < 600


def test_disk_and_clock_faults_are_found_by_their_place() -> None:
    board = FaultBoard()
    board.add("f1", parse_fault(plain("skew")), "a", 0.0)
    board.add("f2", parse_fault(plain("eio")), "a", 0.0)
    assert [fault.fault_id for fault in board.at("clock")] == ["f1"]
    assert [fault.fault_id for fault in board.at("disk")] == ["f2"]
    assert board.matching("clock", "", "down", Lane.DATA) == ()
