"""Reads of a node that owns nothing, against owners that answer what the test says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

from nodecore.ids import Epoch, NodeId, Version
from nodecore.placement.proposals import bootstrap, propose_remove
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Keyspace, RingSettings
from nodecore.replication.calls import Calls
from nodecore.replication.hints import Hint, Hints
from nodecore.replication.policy import Policy
from nodecore.replication.read_answers import Found
from nodecore.replication.reads import Reader
from nodecore.replication.repairs import Repairs
from nodecore.replication.versions import CLOCK_OFFSET_MS_MAX, HybridClock
from nodecore.requests import Done, Level, Outcome, Read, Value
from nodecore.resilience.breakers import LinkBreakers
from nodecore.routing import Peers, Routing
from nodecore.storage.causes import Cause
from nodecore.storage.eviction import make_policy
from nodecore.storage.memory import Store
from nodecore.table import make_table
from nodecore.table.interface import Kind
from nodecore.timers import Timers
from tests.nodecore.replication.change_fakes import member, moment
from transport.messages import Lane, Message, PeerApply, PeerRead, PeerValues

NOW = moment(10.0)
KEY = b"key"
OWN, FAR = 5 << 16, 9 << 16


class Bystander:
    """A member that owns no copy of the key: whatever it answers it has asked for. Or the first owner."""

    def __init__(self, *, owns: bool = False, first_leaves: bool = False) -> None:
        members = [member(number) for number in range(1, 6 if first_leaves else 5)]
        document = bootstrap("c", members, RingSettings(vnodes=8), (Keyspace(),))
        slot_map = SlotMap.compile(document)
        table = make_table("reference")
        slot = table.slot_of(KEY)
        self.owners = slot_map.owners[slot]
        self.following = self.owners
        if first_leaves:
            document = propose_remove(document, self.owners[0], members[0].node_id)
            slot_map = SlotMap.compile(document)
            assert slot_map.owners_next is not None
            self.following = slot_map.owners_next[slot]
        holders = {*self.owners, *self.following}
        own = next(m.node_id for m in members if m.node_id not in holders)
        if owns:
            own = self.owners[0]
        self.sent: list[tuple[NodeId, int, Message]] = []
        self.hints = Hints()
        timers = Timers()
        breakers = LinkBreakers(100.0, Random(1), lambda _event: None)
        self.peers = Peers(own, lambda _peer: True, breakers.allows)
        for owner in self.owners:
            self.peers.on_link(owner, True)
        self.calls = Calls(self._send, breakers, timers, 2.0, Random(1))
        store = Store(table, make_policy("lru", 1 << 24), 1 << 24, Random(1))
        self.own, self.store = own, store
        clock = HybridClock(table, 7, lambda _name, _plain: None)
        self.repairs = Repairs(own, store, clock, self.calls, lambda _key: self.belongs)
        self.reader = Reader(
            store,
            self.peers,
            self.calls,
            breakers,
            timers,
            self.repairs,
            Policy(),
            lambda _peer, _epoch, _then, _now: None,
        )
        self.reader.hints = self.hints
        self.belongs = True
        self.document, self.slot_map = document, slot_map
        self.reader.routing = Routing(own, document, slot_map)
        self.epoch = document.epoch
        self.outcomes: list[Outcome] = []
        self.told_to_count: list[NodeId] = []

    def adopt_next(self) -> None:
        """A newer document is in force, with the same owners."""
        document = replace(self.document, epoch=Epoch(self.epoch + 1))
        self.reader.routing = Routing(self.own, document, SlotMap.compile(document))
        self.epoch = document.epoch

    def _send(self, peer: NodeId, _lane: Lane, stream: int, message: Message) -> None:
        self.sent.append((peer, stream, message))

    def miss(self, owner: NodeId, version: Version, value: bytes, kind: int = Kind.STRING) -> None:
        self.hints.add(owner, Hint(KEY, kind, value, version, 0, NOW.mono_s))

    def counting(
        self,
        answers: Mapping[NodeId, list[object] | None],
        level: Level = Level.DEFAULT,
        *,
        counts: bool = True,
    ) -> list[NodeId]:
        """Owners that were told to count the use, while the key was read, in order."""
        self.told_to_count = []
        self.read(answers, level, counts=counts)
        return self.told_to_count

    def read(
        self,
        answers: Mapping[NodeId, list[object] | None],
        level: Level = Level.DEFAULT,
        *,
        counts: bool = True,
    ) -> Value | None:
        """Read the key; owners answer these entries."""
        begun = self.reader.read(Read((KEY,), level), self.note_outcome, NOW, counts=counts)
        assert begun is None
        for _round in range(len(self.owners)):
            self.reader.flush(NOW)
            asked, self.sent = self.sent, []
            for peer, stream, message in asked:
                if isinstance(message, PeerRead):
                    if message.counted:
                        self.told_to_count.append(peer)
                    values = PeerValues(int(self.epoch), 1, [answers[peer]], 0)
                    self.calls.on_reply(peer, stream, values, NOW)
        outcome = self.outcomes.pop()
        assert isinstance(outcome, Done)
        assert isinstance(outcome.result, list)
        found = outcome.result[0]
        assert found is None or isinstance(found, Value)
        return found

    def note_outcome(self, outcome: Outcome, _now: object) -> None:
        self.outcomes.append(outcome)

    def asked_until(self, rounds: int, answer: list[object] | None) -> list[NodeId]:
        """Let everybody who is asked answer the same; who was, in order."""
        asked: list[NodeId] = []
        for _round in range(rounds):
            self.reader.flush(NOW)
            sent, self.sent = self.sent, []
            for peer, stream, _message in sent:
                asked.append(peer)
                values = PeerValues(int(self.epoch), 1, [answer], 0)
                self.calls.on_reply(peer, stream, values, NOW)
        return asked

    def repaired(self) -> list[tuple[NodeId, object]]:
        self.repairs.flush(self.epoch, NOW)
        return [
            (peer, message.entries)
            for peer, _stream, message in self.sent
            if isinstance(message, PeerApply)
        ]


def entry(hlc: int, value: bytes) -> list[object]:
    return [Kind.STRING, value, hlc, 1, 0]


def test_a_hint_stands_for_the_write_that_an_owner_missed() -> None:
    node = Bystander()
    first, second, third = node.owners
    node.miss(first, Version(OWN, 1), b"mine")
    node.miss(second, Version(OWN, 1), b"mine")
    found = node.read({first: None, second: None, third: entry(OWN, b"mine")})
    assert found is not None
    assert found.value == b"mine"
    assert node.repaired() == [(first, [[KEY, Kind.STRING, b"mine", OWN, 1, 0]])]


def test_a_hint_beats_an_older_value_and_gives_way_to_a_newer_one() -> None:
    node = Bystander()
    first, second, third = node.owners
    node.miss(first, Version(OWN, 1), b"mine")
    older = node.read(dict.fromkeys((first, second, third), entry(OWN - 1, b"before")))
    newer = node.read(dict.fromkeys((first, second, third), entry(FAR, b"after")))
    assert older is not None
    assert newer is not None
    assert (older.value, newer.value) == (b"mine", b"after")


def test_a_delete_that_an_owner_missed_is_a_miss() -> None:
    node = Bystander()
    node.miss(node.owners[0], Version(OWN, 1), b"", Kind.TOMBSTONE)
    assert node.read(dict.fromkeys(node.owners, entry(OWN - 1, b"before"))) is None


def test_hints_for_others_say_nothing_about_who_answered() -> None:
    node = Bystander()
    first, second, _third = node.owners
    node.miss(second, Version(FAR, 1), b"mine")
    found = node.read(dict.fromkeys(node.owners, entry(OWN, b"theirs")))
    assert found is not None
    assert found.value == b"theirs", "the first owner was not among those that missed the write"
    assert first != second


def test_a_version_from_too_far_ahead_does_not_repair_the_own_copy() -> None:
    node = Bystander()
    bound_ms = NOW.wall_ms + CLOCK_OFFSET_MS_MAX
    mad = Found(Kind.STRING, b"mad", (bound_ms + 1) << 16, 1, 0)
    node.repairs.add(KEY, mad, [node.own], NOW)
    assert node.store.get(KEY, NOW) is None
    assert node.repairs.made == 0
    sound = Found(Kind.STRING, b"sound", bound_ms << 16, 1, 0)
    node.repairs.add(KEY, sound, [node.own], NOW)
    held = node.store.get(KEY, NOW)
    assert held is not None
    assert held.value == b"sound"


def test_one_owner_counts_a_use_and_the_reader_counts_what_nobody_did() -> None:
    node = Bystander()
    used: list[bytes] = []
    node.reader.on_used = used.extend
    first, second, third = node.owners
    held = entry(OWN, b"v")
    everywhere = {first: held, second: held, third: held}
    # Two are asked at once: only one of them may count.
    assert node.counting(everywhere, Level.QUORUM) == [first]
    # Who lacks the key, or can't say, counts nothing: then the next that is asked does.
    assert node.counting({**everywhere, first: None}) == [first, second]
    assert node.counting({**everywhere, first: []}) == [first, second]
    assert used == []
    assert node.counting({**everywhere, first: None}, Level.QUORUM)[0] == first
    assert node.counting(dict.fromkeys(node.owners)) == [first, second]


def test_a_use_that_its_owner_did_not_find_is_counted_by_the_reader() -> None:
    node = Bystander()
    used: list[bytes] = []
    node.reader.on_used = used.extend
    first, *others = node.owners
    dead: list[object] = [Kind.TOMBSTONE, b"", OWN - 1, 1, 0]
    answers = {first: dead, **dict.fromkeys(others, entry(OWN, b"v"))}
    assert node.counting(answers, Level.QUORUM) == [first]
    assert used == [KEY]


def test_a_look_that_a_change_begins_with_is_no_use() -> None:
    node = Bystander()
    assert node.counting(dict.fromkeys(node.owners, entry(OWN, b"v")), counts=False) == []


def test_a_read_begins_again_when_the_document_changes_under_it() -> None:
    """Owners of two epochs together are no quorum of either."""
    node = Bystander()
    first, *_others = node.owners
    assert node.reader.read(Read((KEY,), Level.QUORUM), node.note_outcome, NOW) is None
    node.reader.flush(NOW)
    asked, node.sent = node.sent, []
    node.adopt_next()
    for peer, stream, _message in asked:
        answer = entry(OWN, b"older") if peer == first else entry(OWN + 1, b"old")
        node.calls.on_reply(peer, stream, PeerValues(1, 1, [answer], 0), NOW)
    assert node.outcomes == []
    node.reader.flush(NOW)
    again = [(peer, message) for peer, _, message in node.sent]
    assert again == [
        (owner, PeerRead(node.epoch, [KEY], counted=False)) for owner in node.owners[:2]
    ]
    for peer, stream, _message in node.sent:
        node.calls.on_reply(peer, stream, PeerValues(2, 1, [entry(FAR, b"new")], 0), NOW)
    (outcome,) = node.outcomes
    assert isinstance(outcome, Done)
    assert isinstance(outcome.result, list)
    assert outcome.result[0].value == b"new"


def test_what_waits_to_be_asked_is_asked_of_the_owners_of_the_new_document() -> None:
    node = Bystander()
    assert node.reader.read(Read((KEY,)), node.note_outcome, NOW) is None
    node.adopt_next()
    node.reader.flush(NOW)
    ((peer, _stream, message),) = node.sent
    assert peer == node.owners[0]
    assert isinstance(message, PeerRead)
    assert message.epoch == node.epoch


def test_a_node_that_is_being_refilled_knows_what_it_has_acknowledged_since() -> None:
    """Its copy is no answer, but it beats what the owners hold that have refused it for its time."""
    node = Bystander(owns=True)
    node.reader.filled = lambda _slot: False
    node.store.apply(KEY, Kind.STRING, b"mine", Version(FAR, 1), 0, Cause.CLIENT, NOW)
    others = [owner for owner in node.owners if owner != node.own]
    found = node.read(dict.fromkeys(others))
    assert found is not None
    assert found.value == b"mine"
    found = node.read(dict.fromkeys(others, entry(OWN, b"theirs")))
    assert found is not None
    assert found.value == b"mine"


def test_a_read_that_ends_after_the_key_has_moved_away_repairs_no_own_copy() -> None:
    node = Bystander()
    node.belongs = False
    node.repairs.add(KEY, Found(Kind.STRING, b"v", OWN, 1, 0), [node.own], NOW)
    assert node.store.get(KEY, NOW) is None


def test_before_a_change_has_ended_enough_owners_to_be_must_say_so() -> None:
    """Else a write that they alone have acknowledged, as soon as it had, would not be found."""
    node = Bystander(first_leaves=True)
    first, second, third = node.owners
    (newcomer,) = set(node.following) - {second, third}
    held = entry(OWN, b"v")
    assert node.reader.read(Read((KEY,), Level.QUORUM), node.note_outcome, NOW) is None
    asked = node.asked_until(2, held)
    assert asked == [first, second, third], "the second alone is no quorum of those to be"
    assert len(node.outcomes) == 1
    # Who is still copying tells enough by answering at all.
    unfilled = dict.fromkeys((first, second), held) | {third: [], newcomer: []}
    found = node.read(unfilled, Level.QUORUM)
    assert found is not None
    assert found.value == b"v"


def test_a_hit_of_one_copy_waits_for_no_owners_to_be_and_a_miss_does() -> None:
    node = Bystander(first_leaves=True)
    first, second, third = node.owners
    answers = dict.fromkeys((*node.owners, *node.following), entry(OWN, b"v"))
    assert node.counting(answers) == [first]
    # Whoever is quicker than the first owner may not have heard yet of what that has just changed.
    node.reader.read(Read((KEY,)), node.note_outcome, NOW)
    assert node.asked_until(4, entry(OWN, b"v")) == [first]
    node.reader.read(Read((KEY,)), node.note_outcome, NOW)
    asked = node.asked_until(4, None)
    assert asked == [first, second, third]
