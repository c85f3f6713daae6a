"""Policy and memory of a running node: changed, kept, checked, returned to the configuration."""

from __future__ import annotations

import pytest

from nodecore.errors import Code
from nodecore.ids import Version
from nodecore.requests import Done, Failed, Outcome, Write
from nodecore.storage.causes import Cause
from nodecore.storage.memory import HANDED_OVER_PER_TICK_MAX
from tests.nodecore.node_pump import MEMORY_BYTES, Pump


def world() -> Pump:
    return Pump(1, maxmemory_bytes=MEMORY_BYTES)


def done(outcome: Outcome) -> dict[str, object]:
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.result, dict)
    return outcome.result


def test_a_policy_is_changed_reported_and_kept_over_a_restart() -> None:
    pump = world()
    assert done(pump.admin("n1", "config.get"))["eviction"] == "s3fifo"
    found = done(pump.admin("n1", "config.set", settings={"eviction": "arc"}))
    assert (found["eviction"], found["overrides"]) == ("arc", {"eviction": "arc"})
    assert pump.nodes["n1"].statistics(pump.now).eviction_policy == "arc"
    assert any(event.kind == "config.changed" for _name, event in pump.events)
    pump.boot("n1")
    assert done(pump.admin("n1", "config.get"))["eviction"] == "arc"
    done(pump.admin("n1", "config.set", settings={"eviction": "default"}))
    pump.boot("n1")
    assert done(pump.admin("n1", "config.get"))["eviction"] == "s3fifo"


def test_a_smaller_memory_is_respected_and_a_larger_one_used() -> None:
    pump = world()
    node = pump.nodes["n1"]
    for number in range(6000):
        version = Version(number + 1, 1)
        node.store.apply(b"%d" % number, 0, b"v" * 500, version, 0, Cause.CLIENT, pump.now)
    found = done(pump.admin("n1", "config.set", settings={"maxmemory": "2MiB", "eviction": "lru"}))
    assert (found["maxmemory"], found["eviction"]) == (2 << 20, "lru")
    pump.run(3.0)
    assert node.store.memory_bytes <= 2 << 20
    assert node.store.statistics().keys > 1000
    assert done(pump.admin("n1", "config.set", settings={"maxmemory": 1 << 30}))["ruling"] == "lru"
    assert node.store.policy.name == "lru"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eviction": "nope"}, "eviction must be one of"),
        ({"eviction": 3}, "eviction must be one of"),
        ({"maxmemory": "lots"}, "maxmemory: expected a number of bytes"),
        ({"maxmemory": 1000}, "maxmemory must lie between"),
        ({"maxmemory": True}, "maxmemory must lie between"),
        ({"colour": "red"}, "no setting 'colour'"),
        ({}, "at least one"),
        ({"eviction": "arc", "maxmemory": "1"}, "must lie between"),
    ],
)
def test_what_is_wrong_changes_nothing(settings: dict[str, object], message: str) -> None:
    pump = world()
    outcome = pump.admin("n1", "config.set", settings=settings)
    assert isinstance(outcome, Failed)
    assert outcome.code is Code.BAD_REQUEST
    assert message in outcome.text
    assert done(pump.admin("n1", "config.get"))["overrides"] == {}


def test_a_damaged_record_is_passed_over_with_a_warning() -> None:
    pump = world()
    pump.disks["n1"]["settings"] = {"eviction": "nope", "maxmemory": 4 << 20}
    pump.boot("n1")
    found = done(pump.admin("n1", "config.get"))
    assert (found["eviction"], found["maxmemory"]) == ("s3fifo", 4 << 20)
    assert any(event.kind == "config.ignored" for _name, event in pump.events)


def test_a_second_change_waits_for_the_first_and_no_write_is_lost_meanwhile() -> None:
    pump = world()
    node = pump.nodes["n1"]
    count = 2 * HANDED_OVER_PER_TICK_MAX + 100
    for number in range(count):
        node.store.apply(b"%d" % number, 0, b"v", Version(number + 1, 1), 0, Cause.CLIENT, pump.now)
    assert done(pump.admin("n1", "config.set", settings={"eviction": "arc"}))["changing"]
    refused = pump.admin("n1", "config.set", settings={"eviction": "lru"})
    assert isinstance(refused, Failed)
    assert refused.code is Code.CHANGE_RUNNING
    for number in range(20):
        pump.submit("n1", Write((b"new%d" % number,), (b"v",)))
        pump.run(0.05)
    pump.run(1.0)
    found = done(pump.admin("n1", "config.get"))
    assert (found["changing"], found["eviction"]) == (False, "arc")
    assert node.store.statistics().keys == count + 20
    assert all(node.store.table.get(b"%d" % number) is not None for number in range(count))
