"""Copies beyond N: delivered first, dropped afterwards, never the other way round."""

from __future__ import annotations

from nodecore.errors import Code
from nodecore.limits import HINT_WINDOW_S
from nodecore.placement.key_copies import KeyCopies
from nodecore.placement.proposals import bootstrap
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Keyspace, RingSettings, Topology
from nodecore.replication.calls import CallFailed
from nodecore.replication.change_ports import PAGE_TRIES_MAX
from nodecore.replication.streaming import SlotStreams
from nodecore.replication.surplus import RETRY_S, Surplus
from nodecore.timers import Timers
from tests.nodecore.replication.change_fakes import FakeStore, Outbox, member, moment
from transport.messages import PeerApply

LOST = CallFailed(Code.UNREACHABLE, "no link", sent=False)


class Holder:
    """Node n3 of three; ``a:*`` had three copies and has now fewer, ``*`` keeps three."""

    def __init__(self, n: int) -> None:
        self.outbox = Outbox("n3")
        self.store = FakeStore()
        self.timers = Timers()
        ports = self.outbox.ports()
        self.streams = SlotStreams(ports, self.store, self.timers)
        self.rooms = Surplus(ports, self.store, self.streams, self.timers)
        self.adopt(3, 0.0)
        self.slot = next(
            slot
            for slot, owners in enumerate(SlotMap.compile(self.topology).owners)
            if owners[2] == "n3"
        )
        self.keys = [self._key(b"a:"), self._key(b"b:")]
        for key in self.keys:
            self.store.put(self.slot, key, hlc=7)
            self.store.table.put(key, 0, b"v", 7, 1, 0)
        self.adopt(n, 1.0)

    def _key(self, prefix: bytes) -> bytes:
        numbered = (prefix + b"%d" % number for number in range(1_000_000))
        return next(key for key in numbered if self.store.table.slot_of(key) == self.slot)

    def adopt(self, n: int, at_s: float) -> None:
        members = [member(number) for number in range(1, 4)]
        keyspaces = (Keyspace(), Keyspace("a:*", n=n, w=1))
        self.topology: Topology = bootstrap("c", members, RingSettings(vnodes=16), keyspaces)
        slot_map = SlotMap.compile(self.topology)
        copies = KeyCopies(self.topology, slot_map)
        self.streams.belongs = copies.belongs if copies.mixed else None
        self.rooms.on_topology(self.topology, slot_map, copies, moment(at_s))

    def held(self) -> list[bytes]:
        return sorted(self.store.slots.get(self.slot, {}))


def test_copies_beyond_n_go_to_the_owners_and_are_dropped_then() -> None:
    holder = Holder(2)
    holder.timers.fire(moment(1.1))
    pages = [(peer, page) for peer, page, _end in holder.outbox.requests]
    assert [peer for peer, _page in pages] == ["n1", "n2"]
    for _peer, page in pages:
        assert isinstance(page, PeerApply)
        assert isinstance(page.entries, list)
        assert [entry[0] for entry in page.entries] == [holder.keys[0]]
    holder.outbox.answer(moment(1.2))
    holder.timers.fire(moment(1.3))
    assert holder.held() == sorted(holder.keys), "dropped before every owner has it"
    holder.outbox.answer(moment(1.4))
    for _step in range(200):
        holder.timers.fire(moment(2.0 + _step))
    assert holder.held() == [holder.keys[1]]
    assert (holder.rooms.left, holder.rooms.dropped, holder.rooms.handed_over) == (0, 1, 2)


def test_only_owners_that_hold_the_key_are_told() -> None:
    holder = Holder(1)
    holder.timers.fire(moment(1.1))
    first = SlotMap.compile(holder.topology).owners[holder.slot][0]
    assert [peer for peer, _page, _end in holder.outbox.requests] == [first]


def test_an_owner_that_cannot_be_reached_is_tried_again() -> None:
    holder = Holder(2)
    holder.timers.fire(moment(1.1))
    holder.outbox.answer(moment(1.2))
    holder.outbox.answer(moment(1.2), LOST)
    holder.timers.fire(moment(1.3))
    assert holder.held() == sorted(holder.keys)
    holder.timers.fire(moment(1.3 + RETRY_S))
    assert len(holder.outbox.requests) == 2
    assert PAGE_TRIES_MAX > 1


def test_a_failed_owner_holds_up_nothing() -> None:
    holder = Holder(2)
    holder.outbox.failed.append("n1")
    holder.timers.fire(moment(1.1))
    assert [peer for peer, _page, _end in holder.outbox.requests] == ["n2"]
    holder.outbox.answer(moment(1.2))
    for step in range(200):
        holder.timers.fire(moment(2.0 + step))
    assert holder.held() == [holder.keys[1]]


def test_a_slot_that_is_wanted_again_is_kept_unless_it_is_too_old() -> None:
    holder = Holder(2)
    assert holder.rooms.left > 0
    assert holder.rooms.reclaim([holder.slot], moment(5.0)) == []
    holder.rooms.add(holder.slot, moment(5.0))
    assert holder.rooms.reclaim([holder.slot], moment(6.0 + HINT_WINDOW_S)) == [holder.slot]
