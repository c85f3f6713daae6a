"""Learners: whom they ask, when a slot is learned, and when they may vote again."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from nodecore.config import Addresses
from nodecore.effects import Emit
from nodecore.ids import Epoch, NodeId, Now
from nodecore.placement.proposals import (
    bootstrap,
    propose_cancel,
    propose_join,
    propose_remove,
    propose_stable,
)
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Keyspace, Member, Topology
from nodecore.strong.learning import FETCH, LEARNED, Learning, LearningPorts
from nodecore.strong.lesson import slots_of_fetch
from tests.nodecore.strong.fakes import NOW
from transport.messages import ChangeStep, Lane, Message

N1, N2, N3, N4 = (NodeId(f"n{number}") for number in range(1, 5))


def member(number: int) -> Member:
    return Member(NodeId(f"n{number}"), Addresses(f"127.0.0.1:{7000 + number}", "", ""))


FIRST = bootstrap("c", [member(number) for number in (1, 2, 3)])


def later(document: Topology) -> Topology:
    return replace(document, epoch=Epoch(document.epoch + 1))


class Learner:
    def __init__(self, node: NodeId = N1, life: int = 1) -> None:
        self.sent: list[tuple[NodeId, ChangeStep]] = []
        self.events: list[Emit] = []
        self.epochs_asked = 0
        self.now_s = 100.0
        self.learning = Learning(
            LearningPorts(
                node, self._send, lambda _peer: True, self.events.append, lambda _slot, _now: 0,
                lambda _now: None, self._ask_for_epoch, Random(life),
            )
        )  # fmt: skip

    @property
    def now(self) -> Now:
        return Now(self.now_s, NOW.wall_ms)

    def _send(self, peer: NodeId, _lane: Lane, _stream: int, message: Message) -> None:
        assert isinstance(message, ChangeStep)
        self.sent.append((peer, message))

    def _ask_for_epoch(self, _now: Now) -> None:
        self.epochs_asked += 1

    def adopt(self, document: Topology, *, trusted: bool = False) -> None:
        slot_map = SlotMap.compile(document)
        self.learning.on_topology(document, slot_map, self.now, trusted=trusted)

    def answer(self, *, complete: bool = True, of: Learner | None = None) -> list[NodeId]:
        """All that was asked streams everything; who was asked. ``of``: what that one asked."""
        asking = of or self
        asked, asking.sent = asking.sent, []
        for peer, message in asked:
            assert message.step == FETCH
            assert isinstance(message.fields, dict)
            found = slots_of_fetch(message.fields)
            assert found is not None
            number, slots = found
            incomplete: list[int] = [] if complete else slots
            fields = {"id": number, "slots": slots, "incomplete": incomplete, "ended": True}
            self.learning.on_streamed(peer, fields, self.now)
        return [peer for peer, _message in asked]

    def tick(self, seconds: float = 1.0) -> None:
        self.now_s += seconds
        self.learning.tick(self.now)


def test_who_lost_its_state_votes_only_after_both_others_and_a_new_epoch() -> None:
    learner = Learner()
    learner.adopt(FIRST)
    assert not learner.learning.votes(5)
    assert learner.learning.lacking == 16_384
    assert sorted(learner.answer()) == [N2, N3]
    assert learner.learning.states[5] == LEARNED
    assert not learner.learning.votes(5), "rounds of this epoch may rest on forgotten promises"
    learner.tick()
    assert learner.epochs_asked == 1
    learner.adopt(later(FIRST))
    assert learner.learning.votes(5)
    assert learner.learning.lacking == 0


def test_what_was_streamed_to_an_earlier_life_is_not_learned() -> None:
    before, learner = Learner(life=1), Learner(life=2)
    before.adopt(FIRST)
    learner.adopt(FIRST)
    assert sorted(learner.answer(of=before)) == [N2, N3]
    assert learner.learning.states[5] != LEARNED
    learner.answer()
    assert learner.learning.states[5] == LEARNED


def test_sources_that_are_learners_themselves_do_not_count() -> None:
    learner = Learner()
    learner.adopt(FIRST)
    for _round in range(3):
        learner.answer(complete=False)
        learner.tick()
    assert learner.learning.states[5] != LEARNED
    assert learner.learning.losses == 0, "nobody has accepted a loss"
    learner.answer()
    assert learner.learning.states[5] == LEARNED


def test_what_all_have_lost_is_given_up_only_where_no_more_than_memory_was_promised() -> None:
    for durability, losses in (("memory", 16_384), ("process", 0)):
        learner = Learner()
        strong = Keyspace("strong:*", mode="strong", durability=durability)
        learner.adopt(replace(FIRST, keyspaces=(Keyspace(), strong)))
        learner.answer(complete=False)
        learner.tick()
        assert learner.learning.losses == losses


def test_a_recovered_cluster_goes_on_with_what_is_left() -> None:
    learner = Learner()
    learner.adopt(FIRST)
    learner.answer(complete=False)
    recovered = replace(FIRST, generation=1, epoch=Epoch(1_000_001))
    learner.adopt(recovered)
    learner.tick()
    learner.answer(complete=False)
    learner.tick()
    assert learner.learning.losses == 16_384


def test_an_owner_to_be_votes_at_once_and_reports_when_it_has_copied() -> None:
    learner = Learner(N4)
    joint = propose_join(FIRST, member(4), N1)
    learner.adopt(joint)
    left = learner.learning.left
    assert 0 < left < 16_384
    slot = next(slot for slot in range(16_384) if learner.learning.is_learning(slot))
    assert learner.learning.votes(slot)
    assert len(learner.answer()) >= 2
    assert learner.learning.left == 0
    assert learner.epochs_asked == 0


def test_a_key_that_was_promised_more_keeps_its_slot_open_until_a_round_has_settled_it() -> None:
    learner = Learner(N4)
    learner.adopt(propose_join(FIRST, member(4), N1))
    learning = learner.learning
    slot = next(slot for slot in range(16_384) if learning.is_learning(slot))
    assert learning.on_copy(slot, b"k", outranked=True, stored=False)
    learner.answer()
    assert learning.left == 1
    assert learning.stuck() == [(slot, b"k")]
    learning.on_settled(slot, b"k", learner.now)
    assert learning.left == 0


def test_a_copy_without_room_does_not_count() -> None:
    learner = Learner()
    learner.adopt(FIRST)
    learner.learning.on_copy(5, b"k", outranked=False, stored=False)
    learner.answer()
    assert learner.learning.is_learning(5)
    learner.tick()
    learner.answer()
    assert not learner.learning.is_learning(5)


def test_an_owner_that_was_away_too_long_learns_again() -> None:
    learner = Learner()
    learner.adopt(FIRST, trusted=True)
    learner.learning.found(learner.now)
    near = replace(FIRST, epoch=Epoch(FIRST.epoch + 2), owners_epoch=FIRST.epoch + 1)
    learner.adopt(near)
    assert learner.learning.votes(5)
    learner.adopt(
        replace(
            near,
            epoch=Epoch(near.epoch + 3),
            owners_epoch=near.epoch + 2,
            owners_past=near.epoch + 1,
        )
    )
    assert not learner.learning.votes(5)


def test_who_has_missed_one_change_of_owners_votes_on_whatever_was_begun_besides() -> None:
    """One change can't have taken a slot from its owner and given it back; two can."""
    learner = Learner()
    learner.adopt(FIRST, trusted=True)
    learner.learning.found(learner.now)
    done = propose_stable(propose_join(FIRST, member(4), N2))
    document = propose_cancel(propose_join(done, member(5), N2), "test")
    assert document.epoch - FIRST.epoch == 4
    owned = SlotMap.compile(document).owners
    learner.adopt(document)
    assert all(learner.learning.votes(slot) for slot in range(16_384) if N1 in owned[slot])
    assert learner.learning.lacking == 0
    twice = propose_stable(propose_remove(document, N4, N2))
    other = Learner()
    other.adopt(FIRST, trusted=True)
    other.learning.found(other.now)
    other.adopt(twice)
    assert other.learning.lacking == 16_384, "n4 may have had every slot of n1 meanwhile"


def test_documents_that_changed_no_owner_cost_no_vote_however_many_were_missed() -> None:
    """A change that was begun and taken back, again and again, while two of five were cut off: if they
    forgot their votes, the majority of some slots would be lost for good.
    """
    learner = Learner()
    learner.adopt(FIRST, trusted=True)
    learner.learning.found(learner.now)
    document = FIRST
    for _again in range(3):
        document = propose_cancel(propose_join(document, member(4), N2), "test")
    joint = propose_join(document, member(4), N2)
    assert joint.epoch - FIRST.epoch == 7
    learner.adopt(joint)
    assert learner.learning.votes(5)
    assert learner.learning.lacking == 0


def test_a_source_that_lacks_it_too_does_not_keep_the_others_from_being_asked() -> None:
    learner = Learner(N4)
    joint = propose_join(FIRST, member(4), N1)
    learner.adopt(joint)
    slot = next(slot for slot in range(16_384) if learner.learning.is_learning(slot))
    asked: list[NodeId] = []
    for _round in range(4):
        for peer, message in learner.sent:
            assert isinstance(message.fields, dict)
            found = slots_of_fetch(message.fields)
            assert found is not None
            asked += [peer] if slot in found[1] else []
        learner.answer(complete=False)
        learner.tick()
    assert sorted(set(asked)) == [N1, N2, N3]


def test_a_founder_that_does_not_know_yet_that_it_is_new_learns_what_comes_to_it_meanwhile() -> (
    None
):
    """The others may have begun to vote: a change must not end with copies that were never made."""
    learner = Learner()
    learner.learning.founding = True
    five = bootstrap("c", [member(number) for number in (1, 2, 3, 4, 5)])
    learner.adopt(five, trusted=True)
    assert learner.learning.lacking == 0
    assert not any(map(learner.learning.votes, range(16_384)))
    learner.adopt(propose_remove(five, NodeId("n5"), N2))
    wanted = learner.learning.left
    assert wanted > 1_000, "n1 follows n5 in some slots"
    learner.learning.found(learner.now)
    assert learner.learning.left == wanted
    while learner.sent:
        learner.answer()
        learner.tick()
    assert learner.learning.left == 0
    assert all(map(learner.learning.votes, range(16_384))) is False, "of other slots it is no owner"


def test_a_founder_that_was_here_before_learns_everything() -> None:
    learner = Learner()
    learner.learning.founding = True
    learner.adopt(FIRST, trusted=True)
    learner.learning.begin(learner.now)
    assert learner.learning.lacking == 16_384
    assert not learner.learning.votes(5)
