"""Faults on a disk hit the writes they are about, and nodes refuse those that would do nothing."""

from __future__ import annotations

import errno
from random import Random

import pytest

from nodecore.config import NodeConfig
from nodecore.disk_faults import SLOW_FSYNC_MS_MAX, UNDISTURBED, DiskFaults, disk_fault_problem
from nodecore.errors import Code
from nodecore.requests import Failed
from tests.nodecore.node_pump import Pump
from transport.faults import FaultBoard, FaultSpec, parse_fault


def spec(kind: str, link: str = "disk", **attributes: float) -> FaultSpec:
    return parse_fault({"kind": kind, "link": link, "attributes": attributes})


def board_with(*specs: FaultSpec) -> FaultBoard:
    board = FaultBoard()
    for number, entry in enumerate(specs):
        board.add(f"f{number}", entry, "test", 0.0)
    return board


def test_nothing_happens_without_a_fault_of_the_disk() -> None:
    assert DiskFaults(FaultBoard(), Random(1)).on_write() is UNDISTURBED
    board = board_with(spec("skew", "clock", offset=5), spec("latency", "n1->n2", latency=5))
    assert DiskFaults(board, Random(1)).on_write() is UNDISTURBED
    assert [fault.hits for fault in board.faults()] == [0, 0]


def test_a_full_disk_fails_every_write_until_the_fault_ends() -> None:
    board = board_with(spec("enospc"))
    faults = DiskFaults(board, Random(1))
    assert [faults.on_write().error for _ in range(3)] == [errno.ENOSPC] * 3
    assert "f0" in faults.on_write().text
    assert board.faults()[0].hits == 4
    board.remove("f0")
    assert faults.on_write() is UNDISTURBED


def test_eio_hits_its_share_and_the_same_seed_hits_the_same() -> None:
    def errors(seed: int) -> list[int]:
        faults = DiskFaults(board_with(spec("eio", rate=0.25)), Random(seed))
        return [faults.on_write().error for _ in range(2_000)]

    found = errors(3)
    assert set(found) == {0, errno.EIO}
    assert 400 < found.count(errno.EIO) < 600
    assert found == errors(3)
    assert DiskFaults(board_with(spec("eio")), Random(1)).on_write().error == errno.EIO


def test_slow_disks_add_up_to_a_bound() -> None:
    board = board_with(spec("slow_fsync", delay=300), spec("slow_fsync", delay=400))
    faults = DiskFaults(board, Random(1))
    verdict = faults.on_write()
    assert verdict.delay_s == pytest.approx(0.7)
    assert verdict.error == 0
    board.add("f9", spec("slow_fsync", delay=SLOW_FSYNC_MS_MAX), "test", 0.0)
    assert faults.on_write().delay_s == SLOW_FSYNC_MS_MAX / 1000
    assert board.faults()[0].hits == 2


@pytest.mark.parametrize(
    ("entry", "data_dir", "says"),
    [
        (spec("enospc"), "/data", ""),
        (spec("slow_fsync", delay=500), "/data", ""),
        (spec("slow_fsync", delay=SLOW_FSYNC_MS_MAX + 1), "/data", "at most 2000 ms"),
        (spec("bitflip", rate=0.1), "/data", ""),
        (spec("bitflip", rate=0.1), "", "no data_dir"),
        (spec("eio"), "", "no data_dir"),
        (spec("jump", "clock", offset=100), "", ""),
        (spec("cut", "n1->n2"), "", ""),
    ],
)
def test_what_would_do_nothing_is_refused(entry: FaultSpec, data_dir: str, says: str) -> None:
    problem = disk_fault_problem(entry, NodeConfig(node_id="n1", data_dir=data_dir))
    assert says in problem
    assert bool(says) == bool(problem)


def test_the_verb_says_why_and_leaves_no_fault_behind() -> None:
    pump = Pump(1)
    refused = pump.admin("n1", "fault.add", id="f", kind="eio", link="disk", for_s=5)
    assert isinstance(refused, Failed)
    assert (refused.code, "no data_dir" in refused.text) == (Code.BAD_REQUEST, True)
    assert len(pump.nodes["n1"].fault_board) == 0
