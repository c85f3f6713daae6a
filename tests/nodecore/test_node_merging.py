"""Whole nodes after a partition: both sides wrote, one version wins everywhere, and all of it is told."""

from __future__ import annotations

from nodecore.requests import Done, Read, Value, Write
from tests.nodecore.node_pump import Pump

AWAY_S = 8.0
ROUNDS_S = 25.0
"""Two comparisons of all slots."""


def merges_of(pump: Pump, name: str) -> dict[str, list[dict[str, object]]]:
    outcome = pump.admin(name, "merges")
    assert isinstance(outcome, Done)
    assert isinstance(outcome.result, dict)
    return outcome.result


def value_at(pump: Pump, name: str, key: bytes) -> bytes:
    outcome = pump.submit(name, Read((key,)))
    assert isinstance(outcome, Done)
    assert isinstance(outcome.result, list)
    found = outcome.result[0]
    assert isinstance(found, Value)
    return found.value


def test_a_partition_in_which_both_sides_write_is_merged_and_reported() -> None:
    pump = Pump(3, down_grace_s=300.0)
    pump.submit("n1", Write((b"both", b"calm"), (b"before", b"before")))
    pump.cut_off("n3")
    pump.run(AWAY_S)
    assert [entry["peer"] for entry in merges_of(pump, "n1")["apart"]] == ["n3"]
    pump.submit("n1", Write((b"both", b"calm"), (b"majority", b"majority")))
    pump.run(0.5)
    pump.submit("n3", Write((b"both",), (b"minority",)))
    pump.heal()
    pump.run(ROUNDS_S)
    assert {value_at(pump, name, b"both") for name in pump.nodes} == {b"minority"}
    assert {value_at(pump, name, b"calm") for name in pump.nodes} == {b"majority"}
    statistics = {name: node.statistics(pump.now) for name, node in pump.nodes.items()}
    assert all(one.conflicts == 1 for one in statistics.values()), "one key, once on each owner"
    conflicts = [event for _name, event in pump.events if event.kind == "conflict.resolved"]
    assert {dict(event.fields)["key"] for event in conflicts} == {"both"}
    for name in pump.nodes:
        found = merges_of(pump, name)
        assert found["apart"] == []
        (report,) = found["merges"]
        assert report["end"] == "complete"
        assert report["conflicts_resolved"] == 1
        side = "conflicts_won_here" if name == "n3" else "conflicts_won_there"
        assert report[side] == 1
    reports = [name for name, event in pump.events if event.kind == "merge.report"]
    assert sorted(reports) == ["n1", "n2", "n3"]


def test_a_pause_without_writes_on_the_far_side_makes_no_conflict() -> None:
    pump = Pump(3, down_grace_s=300.0)
    pump.submit("n1", Write((b"key",), (b"one",)))
    pump.cut_off("n3")
    pump.run(AWAY_S)
    pump.submit("n1", Write((b"key",), (b"two",)))
    pump.submit("n2", Write((b"key",), (b"three",)))
    pump.heal()
    pump.run(ROUNDS_S)
    assert {value_at(pump, name, b"key") for name in pump.nodes} == {b"three"}
    assert sum(node.statistics(pump.now).conflicts for node in pump.nodes.values()) == 0
    (report,) = merges_of(pump, "n3")["merges"]
    assert report["hints_taken"] in (1, 2), "one from each coordinator, the older may come second"
    assert report["conflicts_resolved"] == 0
