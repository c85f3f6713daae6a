"""Snapshots: letters and owners that stay, processes beside members, faults and heat merged."""

from __future__ import annotations

from dataclasses import replace

from console.snapshots import LocalProcess, Observation, Observed, SnapshotAssembler
from console.source import ProcessState
from console.view_models.nodes import node_rows
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


def test_a_leased_fault_of_ones_own_has_no_end() -> None:
    faults = tuple(
        FaultState(fault_id, "latency", "n1->n3", "latency", owner, 1, 4000, 0)
        for fault_id, owner in (("f1", "console-1"), ("f2", "console-1"), ("f3", "cli"))
    )
    reports = {"n1": Observation(replace(statistics("n1"), faults=faults), 0.0)}
    seen = Observed(5, reports, [topology("n1")], owner="console-1", leased=("f1",))
    snapshot = SnapshotAssembler("x").assemble(seen)
    assert [(fault.owner, fault.ends_wall_ms) for fault in snapshot.faults] == [
        ("you", 0),
        ("you", 4000),
        ("cli", 4000),
    ]


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


def test_the_parts_of_a_cut_are_one_fault_on_its_node() -> None:
    def on(name: str, *parts: tuple[str, str]) -> Observation:
        faults = tuple(
            FaultState(fault_id, "cut", link, "cut", "cli", 1, 0, 2) for fault_id, link in parts
        )
        return Observation(replace(statistics(name), faults=faults), 0.0)

    reports = {
        "n1": on("n1", ("cut-1", "n1->n3")),
        "n2": on("n2", ("cut-1", "n2->n3"), ("v1.5", "n2->n1")),
        "n3": on("n3", ("cut-1", "client->n3"), ("cut-1.2", "n3->*")),
    }
    snapshot = SnapshotAssembler("x").assemble(Observed(5, reports, [topology("n1", "n2", "n3")]))
    found = {fault.fault_id: (fault.target, fault.hits) for fault in snapshot.faults}
    # A name that only looks like a part stays a fault of its own.
    assert found == {"cut-1": ("n3", 8), "v1.5": ("n2->n1", 2)}
    words = {row.node_id: row.fault_text for row in node_rows(snapshot, {}, None, {})}
    assert words == {"n1": "cut", "n2": "", "n3": "cut"}
