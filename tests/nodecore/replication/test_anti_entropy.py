from __future__ import annotations

from nodecore.ids import NodeId
from nodecore.placement.key_copies import KeyCopies
from nodecore.placement.proposals import bootstrap
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Keyspace, RingSettings
from nodecore.replication.anti_entropy import SETTLED_MS, AntiEntropy
from nodecore.replication.slot_groups import FAN_OUT, encode_group
from nodecore.replication.streaming import SlotStreams
from nodecore.table.interface import Kind
from nodecore.timers import Timers
from tests.nodecore.replication.change_fakes import FakeStore, Outbox, member, moment
from transport.codec import encode
from transport.messages import ChangeStep, PeerApply

SLOTS = 16_384
NOW = moment(100.0)
OLD_HLC = (NOW.wall_ms - SETTLED_MS - 1000) << 16


class Owner:
    """One of two owners of everything."""

    def __init__(self, name: str) -> None:
        topology = bootstrap("c", [member(1), member(2)], RingSettings(vnodes=8), (Keyspace(),))
        self.slot_map = SlotMap.compile(topology)
        self.store = FakeStore()
        self.outbox = Outbox(name)
        ports = self.outbox.ports()
        self.streams = SlotStreams(ports, self.store, Timers())
        complete = bytearray(b"\1" * SLOTS)
        self.rooms = AntiEntropy(ports, self.store, self.streams, complete)
        self.rooms.on_topology(topology, self.slot_map, KeyCopies(topology, self.slot_map))
        self.complete = complete
        self.listed: list[bytes] = []
        """Keys that were sent to the other owner."""

    def put(self, key: bytes, value: bytes = b"v", hlc: int = OLD_HLC, kind: int = 0) -> int:
        slot = self.store.table.slot_of(key)
        self.store.table.put(key, kind, value, hlc, 1, 0)
        self.store.put(slot, key, value, hlc)
        return slot

    def take(self) -> list[ChangeStep]:
        sent, self.outbox.sent = self.outbox.sent, []
        steps = [message for _peer, message in sent]
        assert all(isinstance(step, ChangeStep) for step in steps)
        return [step for step in steps if isinstance(step, ChangeStep)]


def exchange(first: Owner, second: Owner) -> list[ChangeStep]:
    """Deliver what both have said until they fall silent; returns all of it."""
    heard: list[ChangeStep] = []
    while True:
        batch = [(second, first, step) for step in first.take()]
        batch += [(first, second, step) for step in second.take()]
        if not batch:
            return heard
        for asked, asker, step in batch:
            heard.append(step)
            assert isinstance(step.fields, dict)
            asked.rooms.on_step(NodeId(asker.outbox.node_id), step.step, step.fields, NOW)


def compare(first: Owner, second: Owner) -> list[ChangeStep]:
    """A whole round of both; returns what was said to differ."""
    said: list[ChangeStep] = []
    for asker in (first, second):
        rounds = asker.rooms.rounds
        while asker.rooms.rounds == rounds:
            asker.rooms.step(NOW)
            said += exchange(first, second)
    return [step for step in said if step.step == "differ"]


def finish_streams(owner: Owner) -> None:
    """Acknowledge every page of the streams that run."""
    while owner.outbox.requests:
        owner.listed += pages(owner)
        owner.outbox.answer(NOW)


def pages(owner: Owner) -> list[bytes]:
    found: list[bytes] = []
    for _peer, message, _on_end in owner.outbox.requests:
        assert isinstance(message, PeerApply)
        assert message.cause == "repair"
        assert isinstance(message.entries, list)
        found += [entry[0] for entry in message.entries]
    return found


def test_equal_owners_have_nothing_to_say() -> None:
    first, second = Owner("n1"), Owner("n2")
    for number in range(50):
        first.put(b"%d" % number)
        second.put(b"%d" % number)
    assert compare(first, second) == []
    assert first.rooms.compared + second.rooms.compared == SLOTS


def test_a_missing_entry_makes_both_exchange_the_slot() -> None:
    first, second = Owner("n1"), Owner("n2")
    slot = first.put(b"lost")
    said = compare(first, second)
    assert [(step.step, step.fields) for step in said] == [("differ", {"slots": [slot]})]
    assert pages(first) == [b"lost"]
    assert pages(second) == []


def test_another_version_differs_and_a_fresh_one_is_left_alone() -> None:
    first, second = Owner("n1"), Owner("n2")
    first.put(b"key", hlc=OLD_HLC)
    second.put(b"key", hlc=OLD_HLC - 1)
    assert compare(first, second)
    first, second = Owner("n1"), Owner("n2")
    first.put(b"key", hlc=NOW.wall_ms << 16)
    assert not compare(first, second)


def test_tombstones_are_no_difference_but_a_missed_delete_is() -> None:
    first, second = Owner("n1"), Owner("n2")
    first.put(b"gone", b"", kind=Kind.TOMBSTONE)
    assert not compare(first, second)
    second.put(b"gone", hlc=OLD_HLC - 1)
    assert compare(first, second)


def test_slots_that_are_copied_or_partial_are_skipped() -> None:
    first, second = Owner("n1"), Owner("n2")
    one, other = first.put(b"one"), first.put(b"other")
    first.complete[one] = second.complete[one] = 0
    first.store.partial_slots.add(other)
    second.store.partial_slots.add(other)
    assert not compare(first, second)


def test_garbage_from_a_peer_is_ignored() -> None:
    owner = Owner("n1")
    run = encode_group([1, 2])
    for fields in (
        {},
        {"groups": 5, "before_ms": 1},
        {"groups": [[run, 1]]},
        {"before_ms": 1, "groups": [[1], "x", [b"abc", 1], [b"\xff\xff\0\2", 1], [run, "x"]]},
        {"before_ms": 1, "groups": [run, 7, b"\0\0\0\0"]},
    ):
        owner.rooms.on_step(NodeId("n2"), "digests", fields, NOW)
    owner.rooms.on_step(NodeId("n2"), "narrow", {"before_ms": 1, "groups": [b"abc", 5]}, NOW)
    owner.rooms.on_step(NodeId("n2"), "differ", {"slots": [-1, "x"]}, NOW)
    assert not owner.take()
    assert not owner.outbox.requests


def test_a_peer_cannot_ask_for_more_slots_than_there_are() -> None:
    owner = Owner("n1")
    everything = encode_group(list(range(SLOTS)))
    owner.rooms.on_step(NodeId("n2"), "narrow", {"before_ms": 1, "groups": [everything] * 100}, NOW)
    (answer,) = owner.take()
    assert isinstance(answer.fields, dict)
    assert len(answer.fields["groups"]) == FAN_OUT


def test_a_slot_that_one_end_cannot_compare_does_not_hide_the_others() -> None:
    first, second = Owner("n1"), Owner("n2")
    first.complete[5] = 0
    slot = first.put(b"lost")
    assert [step.fields for step in compare(first, second)] == [{"slots": [slot]}]


def test_twenty_differences_among_a_hundred_thousand_keys_cost_little() -> None:
    first, second = Owner("n1"), Owner("n2")
    keys = [b"key:%d" % number for number in range(100_000)]
    differing = set(keys[::5_000])
    for key in keys:
        first.put(key)
        second.put(key, hlc=OLD_HLC - (key in differing))
    asked_before = len(first.outbox.requests)
    said: list[ChangeStep] = []
    for owner in (first, second):
        while owner.rooms.rounds == 0:
            owner.rooms.step(NOW)
            said += exchange(first, second)
            for each in (first, second):
                finish_streams(each)
    size = sum(len(encode(step)) for step in said)
    listed = len(first.listed) + len(second.listed)
    print(f"{size} bytes of digests, {listed} keys listed")
    assert asked_before == 0
    assert differing <= set(first.listed), "every difference was found"
    assert size <= 16 * 1024
    assert listed <= 0.02 * len(keys)
