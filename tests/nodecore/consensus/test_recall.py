"""Voters without memory: what they find out from the others, when they vote again, and no fork."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nodecore.consensus.outcome import ProposalOutcome
from nodecore.consensus.recall import RECALL, RECALLED
from nodecore.consensus.record import AcceptorRecord
from nodecore.ids import NodeId
from nodecore.placement.proposals import propose_remove, propose_stable
from tests.nodecore.consensus.world import Peer, World, abstains, flush_by
from transport.messages import Accepted, ChangeStep, Message, Prepare, Promise


def asked_by(world: World, node_id: str) -> set[NodeId]:
    return {
        target
        for source, target, message in world.sent
        if source == node_id and isinstance(message, ChangeStep) and message.step == RECALL
    }


def come_back_wiped(world: World, node_id: str, teller: str) -> Peer:
    """On an empty disk, with the newest document from ``teller``."""
    peer = world.restart(node_id, wiped=True)
    peer.chain.start(world.first, world.now)
    peer.chain.hear_epoch(NodeId(teller), world[teller].chain.epoch, world.now)
    peer.wake()
    world.run(0.02)
    return peer


def last_answer(world: World, source: str) -> Message:
    return next(message for sender, _, message in reversed(world.sent) if sender == source)


def test_founders_that_have_heard_each_other_vote_on_what_they_missed() -> None:
    world = World(5)
    world.isolate("n4", "n5")
    world["n1"].propose(flush_by(world, "n1"))
    world.run(1)
    world.cuts.clear()
    for node_id in ("n4", "n5"):
        world[node_id].chain.hear_epoch(NodeId("n1"), 2, world.now)
    world.run(0.1)
    assert not abstains(world["n4"])
    assert not abstains(world["n5"])
    world["n1"].dead = world["n2"].dead = True
    results = world["n3"].propose(flush_by(world, "n3"))
    world.run(3)
    assert results[0].outcome is ProposalOutcome.CHOSEN


def test_founders_that_were_cut_off_do_not_keep_a_change_from_ending() -> None:
    world = World(5, founded=False)
    world.isolate("n3", "n4")
    world.run(5)
    joint = propose_remove(world.first, NodeId("n2"), NodeId("n1"))
    world["n1"].propose(joint)
    world.run(1)
    assert world["n1"].chain.epoch == 2
    world.cuts.clear()
    for node_id in ("n3", "n4"):
        world[node_id].chain.hear_epoch(NodeId("n1"), 2, world.now)
    world.run(0.02)
    # Two of the three voters to be can't know what they promised: no majority may vote.
    assert [n for n in world.peers if world[n].chain.abstaining] == ["n3", "n4"]
    results = world["n1"].propose(propose_stable(joint))
    world.run(5)
    assert results[0].outcome is ProposalOutcome.CHOSEN
    assert not any(abstains(peer) for peer in world.peers.values())


def test_founder_that_restarts_has_to_find_out_once_only() -> None:
    world = World(3, founded=False)
    early = world.restart("n3")
    world.run(1)
    assert asked_by(world, "n3") == {"n1", "n2"}
    assert not abstains(early)
    world.sent.clear()
    world.restart("n3")
    world.run(1)
    assert not asked_by(world, "n3")


def test_voter_without_memory_promises_the_highest_that_it_may_have_promised() -> None:
    world = World(3)
    world["n1"].propose(flush_by(world, "n1"))
    world.run(1)
    world["n2"].chain.on_message(NodeId("n1"), 0, Prepare(3, 9 << 20, "n1"), world.now)
    peer = come_back_wiped(world, "n3", "n1")
    assert abstains(peer)
    world.run(1)
    assert not abstains(peer)
    assert world.epochs() == {2}, "it took no epoch"
    peer.chain.on_message(NodeId("n1"), 0, Prepare(3, 8 << 20, "n1"), world.now)
    answer = last_answer(world, "n3")
    assert isinstance(answer, Promise)
    assert (answer.granted, answer.promised_counter) == (False, 9 << 20)


def test_voter_without_memory_accepts_the_latest_that_it_may_have_accepted() -> None:
    """n1 learns that its value was chosen by n3's forgotten vote; n2 and n3 must not choose another."""
    world = World(3)
    world["n1"].propose(flush_by(world, "n1"))
    world.run(1)
    world.cuts = {("n1", "n2"), ("n2", "n1"), ("n3", "n1")}
    world["n1"].propose(flush_by(world, "n1"))
    asked = next(m for _, _, m in reversed(world.sent) if isinstance(m, Prepare))
    n1, n3 = world["n1"].chain, world["n3"].chain
    n1.on_message(NodeId("n3"), 0, Promise(3, True, asked.counter, "n1", 0, "", None), world.now)
    world.run(0.05)
    accepted = next(m for _, _, m in reversed(world.sent) if isinstance(m, Accepted))
    assert accepted.granted
    world.cuts = {("n1", "n2"), ("n2", "n1")}
    peer = come_back_wiped(world, "n3", "n1")
    assert peer.chain is not n3
    world.run(0.5)
    world.cuts.clear()
    world["n2"].propose(flush_by(world, "n2"))
    world.run(0.5)
    n1.on_message(NodeId("n3"), 0, accepted, world.now)
    world.run(8)
    assert world.epochs() == {3}
    assert world.chosen[3].reason == "flush by n1"
    assert not abstains(peer)


def test_member_that_does_not_answer_makes_it_take_an_epoch() -> None:
    world = World(5)
    world["n1"].propose(flush_by(world, "n1"))
    world.run(1)
    world["n5"].dead = True
    peer = come_back_wiped(world, "n3", "n1")
    world.run(1.5)
    assert abstains(peer)
    world.run(6)
    assert not abstains(peer)
    assert world.epochs() == {3}
    assert next(m for m in world.chosen[3].members if m.node_id == "n3").born == 3


def test_voter_for_whom_an_operator_vouches_asks_no_more() -> None:
    world = World(3)
    world["n1"].propose(flush_by(world, "n1"))
    world.run(1)
    world["n2"].dead = True
    peer = come_back_wiped(world, "n3", "n1")
    document = peer.chain.document
    assert document is not None
    assert abstains(peer)
    assert peer.chain.install(document, world.now) == []
    assert not abstains(peer)
    world.sent.clear()
    world.run(5)
    assert not asked_by(world, "n3")


@pytest.mark.parametrize(
    "change",
    [
        {"life": 1},
        {"life": None},
        {"promised": [1 << 62, "n1"]},
        {"promised": "all"},
        {"accepted_ballot": [1, "n2"]},
        {"accepted_ballot": [1, "n2"], "accepted": {"epoch": 3}},
    ],
)
def test_answers_that_prove_nothing_count_for_nothing(change: dict[str, Any]) -> None:
    world = World(3)
    world["n1"].propose(flush_by(world, "n1"))
    world.run(1)
    world.isolate("n3")
    world.cuts -= {("n1", "n3"), ("n3", "n1")}
    peer = come_back_wiped(world, "n3", "n1")
    world.run(0.5)
    asked = [
        message
        for source, target, message in world.sent
        if (source, target) == ("n3", "n2") and isinstance(message, ChangeStep)
    ]
    assert isinstance(asked[-1].fields, dict)
    record = AcceptorRecord(3).to_plain()
    life = asked[-1].fields["life"]
    good = {"life": life, "record": record}
    wrong = {"life": change.get("life", life), "record": record | change}
    for bad in (ChangeStep(1, RECALLED, good), ChangeStep(2, RECALLED, wrong)):
        peer.chain.on_message(NodeId("n2"), 0, bad, world.now)
    assert abstains(peer)
    peer.chain.on_message(NodeId("n2"), 0, ChangeStep(2, RECALLED, good), world.now)
    assert not abstains(peer)


def test_strangers_are_told_nothing_and_members_behind_get_the_document() -> None:
    world = World(3)
    world["n1"].propose(flush_by(world, "n1"))
    world.run(1)
    world.sent.clear()
    chain = world["n1"].chain
    assert chain.on_message(NodeId("n9"), 0, ChangeStep(2, RECALL, {"life": 7}), world.now)
    assert not world.sent
    chain.on_message(NodeId("n2"), 0, ChangeStep(1, RECALL, {"life": 7}), world.now)
    assert [type(message).__name__ for _, _, message in world.sent] == ["TopologyDocument"]
    world.add("n4").chain.on_message(NodeId("n1"), 0, ChangeStep(2, RECALL, {}), world.now)
    assert len(world.sent) == 1


@pytest.mark.parametrize("seed", range(40))
def test_wiped_voters_never_fork_the_chain(seed: int) -> None:
    """Duels under loss and duplicates; again and again a voter that has voted comes back wiped.

    The world checks that no epoch has two documents.
    """
    world = World(3, seed)
    world.loss, world.duplicates, world.delay_s = 0.1, 0.1, 0.6
    for turn in range(30):
        for node_id in sorted(world.peers):
            if world[node_id].chain.document is not None and world.rng.random() < 0.7:
                world[node_id].propose(replace(flush_by(world, node_id), flushes=100 + turn))
        world.run(world.rng.uniform(0.1, 2.0))
        victim = world.rng.choice(sorted(world.peers))
        others = [node_id for node_id in sorted(world.peers) if node_id != victim]
        if any(abstains(world[other]) for other in others):
            world.run(2)
            continue
        teller = world.rng.choice(others)
        peer = world.restart(victim, wiped=True)
        peer.chain.start(world.first, world.now)
        peer.chain.learn(world[teller].chain.document.to_plain(), world.now)  # type: ignore[union-attr]
        peer.wake()
    world.loss = world.duplicates = 0.0
    world.run(30)
    newest = max(world.chosen)
    for peer in world.peers.values():
        for other in world.peers:
            peer.chain.hear_epoch(other, newest, world.now)
    world.run(5)
    assert len(world.epochs()) == 1
    assert not any(abstains(peer) for peer in world.peers.values())
