"""Keyspaces on whole nodes: edits at run time, default expiry, strict levels, rules in partitions."""

from __future__ import annotations

from typing import Any

import pytest

from nodecore.errors import Code
from nodecore.requests import (
    Applied,
    Change,
    Done,
    Failed,
    Flag,
    Level,
    Outcome,
    Read,
    Unknown,
    Update,
    Value,
    Write,
)
from tests.nodecore.node_pump import Pump

TTL_MS = 30_000


def done(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.result, dict)
    return outcome.result


def failed(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome


def policy(pump: Pump, pattern: str, name: str = "n1") -> dict[str, Any] | None:
    listed = done(pump.admin(name, "keyspace.list"))["keyspaces"]
    return next((entry for entry in listed if entry["pattern"] == pattern), None)


def entry_of(pump: Pump, key: bytes) -> Value:
    outcome = pump.submit("n1", Read((key,)))
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.result, list)
    found = outcome.result[0]
    assert isinstance(found, Value)
    return found


def minority(**settings: object) -> Pump:
    """A cluster of three in which n1 stands alone and knows it; it holds copies of everything."""
    pump = Pump(3, down_grace_s=1000.0)
    done(pump.admin("n2", "keyspace.set", pattern="p:*", **settings))
    pump.submit("n1", Write((b"p:there", b"free"), (b"v", b"v")))
    pump.cut_off("n1")
    pump.run(12.0)
    assert pump.nodes["n1"].coordinator.policy.minority
    return pump


def test_a_policy_is_made_changed_and_deleted_and_every_node_follows() -> None:
    pump = Pump(3)
    made = done(pump.admin("n2", "keyspace.set", pattern="session:*", n=2, w=1, ttl_ms=TTL_MS))
    assert made["applied"]
    assert made["before"] is None
    assert {change["setting"] for change in made["changes"]} == {"n", "w", "ttl_ms"}
    pump.run(1.0)
    for name in pump.nodes:
        found = policy(pump, "session:*", name)
        assert found is not None
        assert (found["n"], found["w"], found["r"], found["ttl_ms"]) == (2, 1, 1, TTL_MS)
        assert done(pump.admin(name, "keyspace.progress"))["epoch"] == made["epoch"]
    changed = done(pump.admin("n1", "keyspace.set", pattern="session:*", r=2))
    assert changed["changes"] == [{"setting": "r", "from": 1, "to": 2}]
    gone = done(pump.admin("n3", "keyspace.delete", pattern="session:*"))
    assert gone["after"] is None
    assert policy(pump, "session:*", "n3") is None


def test_a_preview_and_an_edit_without_effect_propose_nothing() -> None:
    pump = Pump(3)
    epoch = pump.nodes["n1"].epoch()
    planned = done(pump.admin("n1", "keyspace.set", pattern="a:*", n=2, preview=True))
    assert not planned["applied"]
    assert planned["effects"]
    same = done(pump.admin("n1", "keyspace.set", pattern="*", n=3, w=2))
    assert (same["applied"], same["changes"]) == (False, [])
    assert pump.nodes["n1"].epoch() == epoch


@pytest.mark.parametrize(
    ("verb", "arguments", "words"),
    [
        ("keyspace.set", {"pattern": "a:*", "n": 0, "w": 9, "durability": "paper"}, ("n 0", "w 9", "paper")),
        ("keyspace.set", {"pattern": "a:*", "n": "2"}, ("n must be a whole number",)),
        ("keyspace.set", {"pattern": "a:*", "colour": 1}, ("'colour'",)),
        ("keyspace.set", {"pattern": ""}, ("pattern",)),
        ("keyspace.set", {"pattern": "*", "mode": "strong"}, ("delete it first",)),
        ("keyspace.delete", {"pattern": "none:*"}, ("none:*",)),
        ("keyspace.delete", {"pattern": "*"}, ("default",)),
        ("keyspace.delete", {}, ("pattern",)),
    ],
)  # fmt: skip
def test_a_wrong_edit_is_refused_with_every_reason(
    verb: str, arguments: dict[str, object], words: tuple[str, ...]
) -> None:
    refused = failed(Pump(1).admin("n1", verb, **arguments))
    assert refused.code is Code.BAD_REQUEST
    for word in words:
        assert word in refused.text


def test_two_edits_at_once_are_both_made() -> None:
    pump = Pump(3)
    outcomes: list[Outcome] = []
    for name in ("n1", "n2", "n3"):
        arguments = {"pattern": f"{name}:*", "w": 3}
        node = pump.nodes[name]
        node.admin("keyspace.set", arguments, lambda found, _now: outcomes.append(found), pump.now)
        pump.drain(name)
    pump.run(12.0)
    assert len(outcomes) == 3
    for name, outcome in zip(pump.nodes, outcomes, strict=True):
        if isinstance(outcome, Done):
            assert policy(pump, f"{name}:*") is not None or any(
                policy(pump, f"{other}:*") for other in pump.nodes
            )
    made = [name for name in pump.nodes if policy(pump, f"{name}:*") is not None]
    assert len(made) >= sum(isinstance(outcome, Done) for outcome in outcomes)
    assert len(made) == 3 or any(isinstance(outcome, Unknown) for outcome in outcomes)


def test_a_minority_changes_no_policy_and_says_whom_it_misses() -> None:
    pump = Pump(3, down_grace_s=1000.0)
    pump.cut_off("n1")
    pump.run(12.0)
    refused = failed(pump.admin("n1", "keyspace.set", pattern="a:*", n=2))
    assert refused.code is Code.NO_QUORUM


def holders(pump: Pump, key: bytes) -> list[str]:
    return [name for name, node in pump.nodes.items() if node.store.get(key, pump.now) is not None]


def edit_and_wait(pump: Pump, verb: str, seconds: float, **arguments: object) -> None:
    """Run a verb and go on for so long, not until everything that could follow has followed."""
    outcomes: list[Outcome] = []
    pump.nodes["n1"].admin(verb, arguments, lambda found, _now: outcomes.append(found), pump.now)
    pump.drain("n1")
    pump.run(seconds)
    (outcome,) = outcomes
    assert isinstance(outcome, Done), outcome


def test_copies_follow_n_at_once() -> None:
    """Long before the comparison of digests would have found them missing or too many."""
    pump = Pump(4)
    done(pump.admin("n1", "keyspace.set", pattern="c:*", n=1, w=1))
    keys = tuple(b"c:%d" % number for number in range(100))
    pump.submit("n2", Write(keys, keys))
    assert {len(holders(pump, key)) for key in keys} == {1}
    edit_and_wait(pump, "keyspace.set", 1.5, pattern="c:*", n=3)
    assert {len(holders(pump, key)) for key in keys} == {3}
    done(pump.admin("n4", "keyspace.delete", pattern="c:*"))
    edit_and_wait(pump, "keyspace.set", 1.5, pattern="*", n=2)
    assert {len(holders(pump, key)) for key in keys} == {2}
    for key in keys:
        assert entry_of(pump, key).value == key


def test_an_owner_that_was_away_while_n_was_raised_copies_before_it_answers() -> None:
    pump = Pump(3, down_grace_s=1000.0)
    done(pump.admin("n1", "keyspace.set", pattern="c:*", n=2, w=2))
    keys = tuple(b"c:%d" % number for number in range(50))
    pump.submit("n1", Write(keys, keys))
    third = {key: name for key in keys for name in pump.nodes if name not in holders(pump, key)}
    pump.cut_off("n3")
    pump.run(8.0)
    done(pump.admin("n1", "keyspace.set", pattern="c:*", n=3))
    pump.heal()
    pump.run(6.0)
    for key, name in third.items():
        assert name in holders(pump, key)
    assert done(pump.admin("n3", "keyspace.progress"))["slots_left"] == 0


def test_strong_keys_lose_copies_and_no_value_however_fast_n_falls() -> None:
    """What a first owner missed is held by two others, of which one is let go each time."""
    pump = Pump(4, down_grace_s=1000.0)
    keys = tuple(b"strong:%d" % number for number in range(40))
    pump.cut_off("n1")
    pump.run(8.0)
    for key in keys:
        assert isinstance(pump.submit("n2", Write((key,), (key,))), Done)
    pump.heal()
    pump.run(6.0)
    for copies in (2, 1):
        outcome = pump.admin("n2", "keyspace.set", pattern="strong:*", n=copies, w=1)
        found = done(outcome)
        assert {"setting": "n", "from": copies + 1, "to": copies} in found["changes"]
        pump.run(1.0)
        asked = [done(pump.admin(name, "keyspace.progress")) for name in pump.nodes]
        assert all(answer["slots_left"] == 0 for answer in asked)
        after = policy(pump, "strong:*")
        assert after is not None
        assert (after["n"], after["n_next"]) == (copies, 0)
    for key in keys:
        assert entry_of(pump, key).value == key


def test_a_strong_keyspace_that_is_made_again_is_empty_for_who_missed_its_end() -> None:
    pump = Pump(3, down_grace_s=1000.0)
    keys = tuple(b"s:%d" % number for number in range(10))
    done(pump.admin("n1", "keyspace.set", pattern="s:*", mode="strong"))
    pump.run(2.0)
    for key in keys:
        assert isinstance(pump.submit("n1", Write((key,), (key,))), Done)
    pump.cut_off("n3")
    pump.run(8.0)
    done(pump.admin("n1", "keyspace.delete", pattern="s:*"))
    done(pump.admin("n1", "keyspace.set", pattern="s:*", mode="strong"))
    pump.heal()
    pump.run(6.0)
    for name in ("n3", "n1"):
        for key in keys:
            outcome = pump.submit(name, Read((key,)))
            assert isinstance(outcome, Done), outcome
            assert outcome.result == [None]


def test_a_dead_owner_keeps_strong_copies_from_becoming_fewer() -> None:
    pump = Pump(4, down_grace_s=1000.0)
    pump.cut_off("n1")
    pump.run(8.0)
    done(pump.admin("n2", "keyspace.set", pattern="strong:*", n=2, w=2))
    pump.run(2.0)
    after = policy(pump, "strong:*", "n2")
    assert after is not None
    assert (after["n"], after["n_next"]) == (3, 0)


def test_the_default_expiry_goes_to_writes_that_name_none() -> None:
    pump = Pump(3)
    done(pump.admin("n1", "keyspace.set", pattern="t:*", ttl_ms=TTL_MS))
    pump.run(0.5)

    def update(change: Change, *arguments: bytes | int, key: bytes = b"t:k") -> int:
        outcome = pump.submit("n1", Update(key, change, arguments))
        assert isinstance(outcome, Done), outcome
        assert isinstance(outcome.result, Applied)
        return entry_of(pump, key).expires_ms

    def left(expires_ms: int) -> int:
        return round((expires_ms - pump.now.wall_ms) / 1000) if expires_ms else 0

    pump.submit("n1", Write((b"t:k", b"other"), (b"1", b"1")))
    assert left(entry_of(pump, b"t:k").expires_ms) == 30
    assert entry_of(pump, b"other").expires_ms == 0
    pump.submit("n1", Write((b"t:k",), (b"1",), pump.now.wall_ms + 5000))
    assert left(entry_of(pump, b"t:k").expires_ms) == 5
    assert left(update(Change.INCREMENT, 1)) == 5
    assert left(update(Change.SET, b"2", -1, 0, 0)) == 5
    assert left(update(Change.EXPIRE, 0, 0)) == 0
    assert left(update(Change.INCREMENT, 1)) == 0
    assert left(update(Change.SET, b"3", 0, 2, 0)) == 30
    assert left(update(Change.INCREMENT, 1, key=b"t:new")) == 30
    version = entry_of(pump, b"t:k").version
    update(Change.EXPIRE, 0, 0)
    version = entry_of(pump, b"t:k").version
    assert left(update(Change.COMPARE_AND_SET, version.hlc, version.node, b"4", 0)) == 30


def test_strict_levels_fail_where_the_default_is_sloppy() -> None:
    pump = Pump(3, down_grace_s=1000.0)
    pump.submit("n1", Write((b"k",), (b"v",)))
    pump.kill("n2")
    pump.run(12.0)
    for level, works in ((Level.ONE, True), (Level.QUORUM, True), (Level.ALL, False)):
        for request in (
            Write((b"k",), (b"v",), 0, level),
            Read((b"k",), level),
            Update(b"k", Change.APPEND, (b"",), level),
        ):
            outcome = pump.submit("n1", request)
            assert isinstance(outcome, Done) == works, (level, request, outcome)
            if isinstance(outcome, Failed):
                assert outcome.code is Code.NOT_ENOUGH_COPIES
    pump.kill("n3")
    pump.run(12.0)
    sloppy = pump.submit("n1", Write((b"k",), (b"w",)))
    assert isinstance(sloppy, Done)
    assert (sloppy.flags, sloppy.copies) == (Flag.SLOPPY, 1)
    strict = failed(pump.submit("n1", Write((b"k",), (b"x",), 0, Level.QUORUM)))
    assert strict.code is Code.NOT_ENOUGH_COPIES
    assert entry_of(pump, b"k").value == b"w"


def test_an_available_keyspace_is_served_by_a_minority_and_merged_afterwards() -> None:
    pump = minority(on_partition="available")
    alone = pump.submit("n1", Write((b"p:k",), (b"small side",)))
    assert isinstance(alone, Done)
    assert alone.flags & Flag.SLOPPY
    pump.heal()
    pump.run(15.0)
    for name in pump.nodes:
        outcome = pump.submit(name, Read((b"p:k",)))
        assert isinstance(outcome, Done)
        assert isinstance(outcome.result, list)
        assert [found and found.value for found in outcome.result] == [b"small side"]


def test_a_read_only_keyspace_is_read_and_not_written_by_a_minority() -> None:
    pump = minority(on_partition="read-only")
    for request in (
        Write((b"p:k",), (b"v",)),
        Write((b"free", b"p:k"), (b"x", b"v")),
        Write((b"p:k",), (b"v",), 0, Level.ONE),
        Update(b"p:k", Change.INCREMENT, (1,)),
        Update(b"p:there", Change.DELETE),
    ):
        refused = failed(pump.submit("n1", request))
        assert refused.code is Code.READ_ONLY
        assert "'p:*' is read-only in a partition: this node sees 1 of 3 voters" in refused.text
    assert entry_of(pump, b"free").value == b"v"
    assert entry_of(pump, b"p:there").value == b"v"
    missing = pump.submit("n1", Read((b"p:none",)))
    assert failed(missing).code is Code.NOT_ENOUGH_COPIES
    counters = pump.nodes["n1"].statistics(pump.now).counters
    assert (counters["in_minority"], counters["partition_writes_refused"]) == (1, 5)
    assert isinstance(pump.submit("n2", Write((b"p:k",), (b"large side",))), Done)
    pump.heal()
    pump.run(15.0)
    assert isinstance(pump.submit("n1", Write((b"p:k",), (b"again",))), Done)
    assert entry_of(pump, b"p:k").value == b"again"


def test_a_refusing_keyspace_is_neither_read_nor_written_by_a_minority() -> None:
    pump = minority(on_partition="refuse")
    for request in (
        Write((b"p:k",), (b"v",)),
        Update(b"p:k", Change.INCREMENT, (1,)),
        Read((b"p:there",)),
        Read((b"p:there",), Level.ONE),
    ):
        refused = failed(pump.submit("n1", request))
        assert refused.code is Code.NO_QUORUM
        assert refused.retry_after_s > 0
        assert "1 of 3 voters" in refused.text
    mixed = pump.submit("n1", Read((b"free", b"p:there")))
    assert isinstance(mixed, Done)
    assert isinstance(mixed.result, list)
    assert not isinstance(mixed.result[0], Failed)
    assert isinstance(mixed.result[1], Failed)
    assert pump.nodes["n1"].statistics(pump.now).counters["partition_reads_refused"] == 3
    pump.heal()
    pump.run(15.0)
    assert entry_of(pump, b"p:there").value == b"v"
