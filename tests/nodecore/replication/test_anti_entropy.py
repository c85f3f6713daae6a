from __future__ import annotations

from nodecore.ids import NodeId
from nodecore.placement.key_copies import KeyCopies
from nodecore.placement.proposals import bootstrap
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Keyspace, RingSettings
from nodecore.replication.anti_entropy import SETTLED_MS, SLOTS_PER_STEP, AntiEntropy
from nodecore.replication.streaming import SlotStreams
from nodecore.table.interface import Kind
from nodecore.timers import Timers
from tests.nodecore.replication.change_fakes import FakeStore, Outbox, member, moment
from transport.messages import ChangeStep, PeerApply

SLOTS = 16_384
NOW = moment(100.0)
OLD_HLC = (NOW.wall_ms - SETTLED_MS - 1000) << 16
STEPS = SLOTS // SLOTS_PER_STEP


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


def compare(first: Owner, second: Owner) -> list[ChangeStep]:
    """A whole round of both; returns what was said to differ."""
    said: list[ChangeStep] = []
    for asker, asked in ((first, second), (second, first)):
        for _step in range(STEPS):
            asker.rooms.step(NOW)
        for message in asker.take():
            assert isinstance(message.fields, dict)
            asked.rooms.on_step(NodeId(asker.outbox.node_id), message.step, message.fields, NOW)
        said += asked.take()
    return said


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
    for owner in (first, second):
        peer = NodeId("n2" if owner is first else "n1")
        owner.rooms.on_step(peer, "differ", {"slots": [slot]}, NOW)
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
    for fields in ({}, {"digests": 5}, {"before_ms": 1, "digests": [[1], "x", [99_999, 1]]}):
        owner.rooms.on_step(NodeId("n2"), "digests", fields, NOW)
    owner.rooms.on_step(NodeId("n2"), "differ", {"slots": [-1, "x"]}, NOW)
    assert not owner.take()
    assert not owner.outbox.requests
