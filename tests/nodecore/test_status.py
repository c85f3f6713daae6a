"""Merging what nodes say: newest document, majority view, unknown figures stay unknown."""

from __future__ import annotations

from dataclasses import replace

from nodecore.config import Addresses
from nodecore.ids import Epoch, NodeId
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Member, Topology
from nodecore.statistics import NodeStatistics, PeerView
from nodecore.status import (
    merge_status,
    natural_order,
    newest,
    slot_counts,
    status_of,
    suspected_by,
)


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
    status = merge_status(
        document, slot_counts(SlotMap.compile(document)), reports, {"n1": 77, "n2": None}
    )
    assert [member.id for member in status.members] == ["n1", "n2", "n10"]
    first, second, third = status.members
    assert (first.pid, second.pid, third.pid) == (77, None, 10)
    assert (second.status, second.keys, first.keys) == ("failed", None, 5)
    assert sum(member.slots_primary or 0 for member in status.members) == 16_384
    assert sum(member.slots_replica or 0 for member in status.members) == 2 * 16_384


def test_order_is_natural() -> None:
    names = ["n10", "n2", "a", "n1"]
    assert sorted(names, key=natural_order) == ["a", "n1", "n2", "n10"]
