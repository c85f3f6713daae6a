"""Merging what nodes say: newest document, majority view, unknown figures stay unknown."""

from __future__ import annotations

from dataclasses import replace

from console.cluster_status import (
    merge_status,
    natural_order,
    newest,
    operations_per_second,
    status_of,
    suspected_by,
)
from console.snapshots import LocalProcess, Observation, Observed, SnapshotAssembler
from console.source import ProcessState
from nodecore.config import Addresses
from nodecore.ids import Epoch, NodeId
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Member, Topology
from nodecore.statistics import FaultState, KeyHeat, NodeStatistics, PeerView


def topology(*ids: str, epoch: int = 3) -> Topology:
    members = tuple(
        Member(NodeId(name), Addresses(f"127.0.0.1:{number + 1}"), voter=True)
        for number, name in enumerate(ids)
    )
    return Topology("c", Epoch(epoch), members)


def statistics(node_id: str, **views: str) -> NodeStatistics:
    peers = tuple(PeerView(peer, status, 1) for peer, status in views.items())
    return NodeStatistics(node_id, 1000, 1.0, pid=10, peers=peers, keys=5)


def test_majority_decides_and_the_graver_view_wins_a_tie() -> None:
    reports = {
        "n1": statistics("n1", n3="suspect", n2="alive"),
        "n2": statistics("n2", n3="alive", n1="alive"),
    }
    assert status_of("n3", reports) == "suspect"
    reports["n4"] = statistics("n4", n3="alive")
    assert status_of("n3", reports) == "alive"
    assert status_of("n9", reports) == "unknown"
    assert suspected_by("n3", reports) == ("n1",)


def test_a_node_knows_best_that_it_is_joining() -> None:
    reports = {
        "n1": statistics("n1", n2="alive"),
        "n2": replace(statistics("n2"), status="joining"),
    }
    assert status_of("n2", reports) == "joining"


def test_rates_need_two_snapshots_of_one_process() -> None:
    before = statistics("n1")
    now = replace(before, reads=300, writes=200, at_wall_ms=1500)
    assert operations_per_second(now, before) == 1000.0
    assert operations_per_second(now, None) is None
    assert operations_per_second(now, replace(before, pid=9)) is None
    assert operations_per_second(before, before) is None


def test_newest_document_wins() -> None:
    old, new = topology("n1"), topology("n1", epoch=4)
    assert newest([new, old]) is new
    assert newest([replace(old, generation=1), new]).generation == 1  # type: ignore[union-attr]
    assert newest([]) is None


def test_status_has_figures_only_of_those_who_answered() -> None:
    document = topology("n10", "n2", "n1")
    reports = {
        "n1": statistics("n1", n2="failed", n10="alive"),
        "n10": statistics("n10", n2="failed"),
    }
    status = merge_status(document, SlotMap.compile(document), reports, {}, {"n2": None, "n1": 77})
    assert [member.id for member in status.members] == ["n1", "n2", "n10"]
    first, second, third = status.members
    assert (first.pid, second.pid, third.pid) == (77, None, 10)
    assert (second.status, second.keys, first.keys) == ("failed", None, 5)
    assert sum(member.slots_primary or 0 for member in status.members) == 16_384
    assert sum(member.slots_replica or 0 for member in status.members) == 2 * 16_384


def test_order_is_natural() -> None:
    names = ["n10", "n2", "a", "n1"]
    assert sorted(names, key=natural_order) == ["a", "n1", "n2", "n10"]


def process(node_id: str, state: ProcessState, fault: str = "") -> LocalProcess:
    return LocalProcess(node_id, state, 42, "", {"native": "127.0.0.1:1"}, fault)


def observed(document: Topology | None, **changes: object) -> Observed:
    reports = {name: Observation(statistics(name), 0.1) for name in ("n1", "n2", "n3")}
    base = Observed(5, reports, [document] if document is not None else [])
    return replace(base, **changes)  # type: ignore[arg-type]


def test_snapshot_keeps_letters_and_the_owner_object() -> None:
    assembler = SnapshotAssembler("default")
    first = assembler.assemble(observed(topology("n1", "n2", "n3")))
    assert [(row.node_id, row.letter) for row in first.members] == [
        ("n1", "A"),
        ("n2", "B"),
        ("n3", "C"),
    ]
    second = assembler.assemble(observed(topology("n1", "n2", "n3")))
    assert second.owners is first.owners
    assert first.owners is not None
    assert len(first.owners) == 16_384
    gone = assembler.assemble(observed(topology("n1", "n3", epoch=5)))
    assert [row.letter for row in gone.members] == ["A", "C"]
    back = assembler.assemble(observed(topology("n1", "n2", "n3", epoch=7)))
    assert [row.letter for row in back.members] == ["A", "B", "C"]
    assert (first.sequence, second.sequence) == (1, 2)


def test_processes_outside_of_the_document_are_shown() -> None:
    processes = [process("n4", ProcessState.RUNNING), process("n5", ProcessState.EXITED, "kill")]
    assembler = SnapshotAssembler("default")
    snapshot = assembler.assemble(observed(topology("n1"), processes=processes))
    rows = {row.node_id: row for row in snapshot.members}
    assert rows["n4"].status == "joining"
    assert rows["n5"].status == "left"
    assert rows["n5"].pid is None
    assert [(fault.kind, fault.target) for fault in snapshot.faults] == [("kill", "n5")]


def test_one_fault_on_several_nodes_is_one_line() -> None:
    def with_fault(name: str, hits: int) -> Observation:
        fault = FaultState("f1", "latency", f"{name}->n3", "latency 200", "console", 1, 0, hits)
        return Observation(replace(statistics(name), faults=(fault,)), 0.0)

    reports = {"n1": with_fault("n1", 2), "n2": with_fault("n2", 3)}
    snapshot = SnapshotAssembler("x").assemble(Observed(5, reports, [topology("n1", "n2", "n3")]))
    (fault,) = snapshot.faults
    assert (fault.fault_id, fault.target, fault.hits) == ("f1", "*->n3", 5)


def test_hot_keys_are_merged_and_name_the_owner() -> None:
    def with_heat(name: str, rate: float) -> Observation:
        heat = KeyHeat(b"k", rate, 0.0, 100)
        return Observation(replace(statistics(name), hot_keys=(heat,)), 0.0)

    reports = {"n1": with_heat("n1", 10.0), "n2": with_heat("n2", 5.0)}
    document = topology("n1", "n2")
    snapshot = SnapshotAssembler("x").assemble(Observed(5, reports, [document]))
    ((heat, owner),) = snapshot.hot_keys
    assert heat.reads_per_s == 15.0
    assert owner == SlotMap.compile(document).owners[100][0]


def test_old_figures_are_shown_with_their_age_and_have_no_vote() -> None:
    reports = {
        "n1": Observation(statistics("n1", n2="failed"), 10.0),
        "n2": Observation(statistics("n2", n1="alive"), 0.0),
    }
    snapshot = SnapshotAssembler("x").assemble(Observed(5, reports, [topology("n1", "n2")]))
    rows = {row.node_id: row for row in snapshot.members}
    assert rows["n2"].status == "alive"
    assert rows["n1"].statistics_age_s == 10.0
