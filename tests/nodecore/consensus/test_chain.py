"""The chain over a lossy network: one document per epoch, three-valued outcomes, recovery."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nodecore.consensus.outcome import ProposalOutcome
from nodecore.consensus.settings import ChainSettings
from nodecore.errors import Code, InvalidTopology
from nodecore.ids import Epoch, NodeId
from nodecore.placement.proposals import (
    propose_cancel,
    propose_coordinator,
    propose_flush,
    propose_join,
    propose_remove,
    propose_stable,
)
from nodecore.placement.topology import Topology
from tests.nodecore.consensus.world import World, abstains, flush_by, member
from transport.messages import (
    Accept,
    Ack,
    ErrorReply,
    Message,
    Prepare,
    Promise,
    TopologyDocument,
    TopologyFetch,
)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_document_is_chosen_and_learned_by_all(size: int) -> None:
    world = World(size)
    results = world["n1"].propose(flush_by(world, "n1"))
    world.run(1)
    assert [result.outcome for result in results] == [ProposalOutcome.CHOSEN]
    assert world.epochs() == {2}
    assert world.chosen[2].flushes == 1
    for peer in world.peers.values():
        assert [document.epoch for document in peer.documents] == [1, 2]


def test_non_voter_may_propose() -> None:
    world = World(4)
    assert not next(m for m in world.first.members if m.node_id == "n4").voter
    results = world["n4"].propose(flush_by(world, "n4"))
    world.run(1)
    assert results[0].outcome is ProposalOutcome.CHOSEN
    assert world.epochs() == {2}


@pytest.mark.parametrize("seed", range(8))
def test_duelling_proposers_agree(seed: int) -> None:
    world = World(5, seed)
    world.loss, world.duplicates, world.delay_s = 0.1, 0.1, 0.2
    results = {}
    for node_id in ("n1", "n2", "n3", "n4", "n5"):
        results[node_id] = world[node_id].propose(flush_by(world, node_id))
        world.run(0.05)
    world.run(30)
    world.loss = 0.0
    outcomes = [outcome.outcome for group in results.values() for outcome in group]
    assert len(outcomes) == 5
    assert outcomes.count(ProposalOutcome.CHOSEN) <= 1
    assert 2 in world.chosen
    for node_id, group in results.items():
        if group[0].outcome is ProposalOutcome.CHOSEN:
            assert world.chosen[2].reason == f"flush by {node_id}"


def test_minority_fails_definitely_and_majority_goes_on() -> None:
    world = World(5)
    world.isolate("n1", "n2")
    results = world["n1"].propose(flush_by(world, "n1"))
    others = world["n3"].propose(flush_by(world, "n3"))
    world.run(11)
    assert (results[0].outcome, results[0].code) == (ProposalOutcome.FAILED, Code.NO_QUORUM)
    assert others[0].outcome is ProposalOutcome.CHOSEN
    world.cuts.clear()
    stale = world["n2"].propose(flush_by(world, "n2"))
    world.run(1)
    assert stale[0].outcome is ProposalOutcome.LOST
    assert world["n2"].chain.epoch == 2
    world["n1"].chain.hear_epoch(NodeId("n3"), 2, world.now)
    world.run(1)
    assert world.epochs() == {2}


def test_outcome_is_unknown_once_accepts_are_out_and_the_value_is_finished_by_others() -> None:
    world = World(3)
    proposal = flush_by(world, "n1")
    results = world["n1"].propose(proposal)
    world.run(0.011)
    while not any(isinstance(message, Accept) for _, _, message in world.sent):
        world.run(0.001)
    world.run(0.006)
    for other in ("n2", "n3"):
        world.cuts |= {(other, "n1")}
    world.cuts |= {("n1", "n2"), ("n1", "n3")}
    world.run(30)
    assert results[0].outcome in {ProposalOutcome.UNKNOWN, ProposalOutcome.CHOSEN}
    assert world["n2"].chain.epoch == world["n3"].chain.epoch == 2
    assert world.chosen[2].proposer == "n1"
    assert world.chosen[2].flushes == proposal.flushes


def test_voter_that_crashes_while_persisting_has_said_nothing() -> None:
    world = World(3)
    world.crash_on_persist = (NodeId("n2"), "acceptor")
    results = world["n1"].propose(flush_by(world, "n1"))
    world.run(3)
    assert results[0].outcome is ProposalOutcome.CHOSEN
    assert not any(
        source == "n2" for source, _, message in world.sent if isinstance(message, Promise)
    )
    world.restart("n2")
    world["n2"].chain.hear_epoch(NodeId("n1"), 2, world.now)
    world.run(1)
    assert world.epochs() == {2}


def test_promises_survive_a_restart() -> None:
    world = World(3)
    high = Prepare(2, 9 << 20, "n3")
    world["n2"].chain.on_message(NodeId("n3"), 5, high, world.now)
    assert world.sent[-1][2].granted  # type: ignore[attr-defined]
    peer = world.restart("n2")
    peer.chain.on_message(NodeId("n1"), 6, Prepare(2, 8 << 20, "n1"), world.now)
    answer = world.sent[-1][2]
    assert isinstance(answer, Promise)
    assert (answer.granted, answer.promised_counter) == (False, 9 << 20)


def test_damaged_records_are_refused() -> None:
    world = World(1)
    disk = dict(world["n1"].disk)
    for name, payload in (("topology", {"epoch": 1}), ("acceptor", {"epoch": "x"})):
        world["n1"].disk.clear()
        world["n1"].disk.update({**disk, name: payload})
        with pytest.raises(InvalidTopology):
            world.restart("n1")


@pytest.mark.parametrize("seed", range(5))
def test_life_of_a_cluster(seed: int) -> None:
    """Join, take-over, remove and cancel under loss; the chain never forks."""
    world = World(3, seed)
    world.loss, world.duplicates = 0.05, 0.1
    world.add("n4")

    def settle(node_id: str, document: Topology) -> None:
        for _ in range(20):
            world[node_id].propose(document)
            world.run(12)
            for peer in list(world.peers.values()):
                newest = max(world.chosen)
                if not peer.dead:
                    peer.chain.hear_epoch(NodeId(node_id), newest, world.now)
            world.run(2)
            if document.epoch in world.chosen and world[node_id].chain.epoch >= document.epoch:
                return
        raise AssertionError("never chosen")

    def current(node_id: str) -> Topology:
        document = world[node_id].chain.document
        assert document is not None
        return document

    settle("n1", propose_join(current("n1"), member("n4"), NodeId("n1")))
    settle("n2", propose_coordinator(current("n2"), NodeId("n2")))
    settle("n2", propose_stable(current("n2")))
    assert [m.node_id for m in world.chosen[4].members] == ["n1", "n2", "n3", "n4"]
    world["n3"].dead = True
    settle("n1", propose_remove(current("n1"), NodeId("n3"), NodeId("n1")))
    settle("n1", propose_cancel(current("n1"), "tested"))
    settle("n4", propose_remove(current("n4"), NodeId("n3"), NodeId("n4")))
    settle("n4", propose_stable(current("n4")))
    assert [m.node_id for m in world.chosen[8].members] == ["n1", "n2", "n4"]
    assert all(m.voter for m in world.chosen[8].members)
    world.restart("n3")
    world["n3"].chain.hear_epoch(NodeId("n4"), 8, world.now)
    world.loss = 0.0
    world["n3"].chain.on_message(
        NodeId("n4"), 0, TopologyDocument(8, current("n4").to_plain()), world.now
    )
    assert world["n3"].chain.epoch == 8
    world.run(5)
    stray = world["n3"].propose(flush_by(world, "n3"))
    world.run(12)
    assert stray[0].outcome is ProposalOutcome.FAILED


def test_joint_document_is_ended_only_by_both_majorities() -> None:
    world = World(5)
    joint = propose_remove(world.first, NodeId("n5"), NodeId("n1"))
    world["n1"].propose(joint)
    world.run(1)
    assert world.epochs() == {2}
    # Voters now n1..n5, next n1..n3: without n2 and n3 the old set has a majority, the next has none.
    world.isolate("n1", "n4", "n5")
    results = world["n1"].propose(propose_stable(joint))
    world.run(11)
    assert results[0].outcome is ProposalOutcome.FAILED
    world.cuts.clear()
    results = world["n1"].propose(propose_stable(joint))
    world.run(3)
    assert results[0].outcome is ProposalOutcome.CHOSEN


def test_proposals_that_can_not_be_are_refused_at_once() -> None:
    world = World(3)
    chain = world["n1"].chain
    stranger = world.add("n9")
    assert stranger.propose(flush_by(world, "n1"))[0].code is Code.NOT_READY
    assert world["n1"].propose(world.first)[0].code is Code.STALE_EPOCH
    far = replace(flush_by(world, "n1"), epoch=Epoch(9))
    assert world["n1"].propose(far)[0].code is Code.BAD_REQUEST
    jump = replace(world.first, epoch=Epoch(2), members=world.first.members[:2])
    assert world["n1"].propose(jump)[0].code is Code.BAD_REQUEST
    running = world["n1"].propose(flush_by(world, "n1"))
    assert world["n1"].propose(flush_by(world, "n1"))[0].code is Code.CHANGE_RUNNING
    world.run(1)
    assert running[0].outcome is ProposalOutcome.CHOSEN
    assert chain.epoch == 2


def test_strangers_and_bad_documents_get_no_vote() -> None:
    world = World(3)
    chain = world["n1"].chain
    for peer, message in (
        ("n9", Prepare(2, 1, "n9")),
        ("n2", Prepare(2, 1, "n3")),
        ("n2", Accept(2, 1, "n2", {"nonsense": 1})),
        ("n2", Accept(2, 1, "n2", replace(world.first, epoch=Epoch(3)).to_plain())),
    ):
        before = len(world.sent)
        assert chain.on_message(NodeId(peer), 1, message, world.now)
        assert len(world.sent) == before
    assert chain.refused == 2
    assert not chain.on_message(NodeId("n2"), 1, Ack(1, 1, []), world.now)


def test_bad_or_foreign_documents_are_not_learned() -> None:
    world = World(3)
    chain = world["n1"].chain
    good = propose_flush(world.first, 1)
    for plain in (
        None,
        {"epoch": 2},
        replace(good, cluster_id="other").to_plain(),
        replace(good, members=()).to_plain(),
        replace(world.first, reason="a fork").to_plain(),
    ):
        assert not chain.learn(plain, world.now)
    assert chain.refused == 5
    assert {event.kind for event in world["n1"].events} == {"topology.refused"}
    assert chain.learn(replace(good, epoch=Epoch(7)).to_plain(), world.now)
    assert not chain.learn(good.to_plain(), world.now)
    assert chain.epoch == 7


def test_fetch_is_answered_on_its_stream_and_limited_when_we_ask() -> None:
    world = World(2)
    chain = world["n1"].chain
    chain.on_message(NodeId("n2"), 77, TopologyFetch(0), world.now)
    answer: Message = TopologyDocument(1, world.first.to_plain())
    assert world.sent[-1] == (NodeId("n1"), NodeId("n2"), answer)
    before = len(world.sent)
    for _ in range(5):
        chain.hear_epoch(NodeId("n2"), 4, world.now)
    assert len(world.sent) == before + 1
    empty = world.add("n3")
    empty.chain.on_message(NodeId("n1"), 3, TopologyFetch(0), world.now)
    assert type(world.sent[-1][2]) is ErrorReply


def test_node_without_memory_abstains_until_it_is_readmitted() -> None:
    world = World(5)
    world["n1"].propose(flush_by(world, "n1"))
    world.run(1)
    world.cuts |= {("n2", "n3"), ("n3", "n2")}
    peer = world.restart("n3", wiped=True)
    peer.chain.start(world.first, world.now)
    peer.chain.hear_epoch(NodeId("n1"), 2, world.now)
    world.run(0.1)
    assert peer.chain.epoch == 2
    assert abstains(peer)
    before = len(world.sent)
    peer.chain.on_message(NodeId("n1"), 1, Prepare(3, 5 << 20, "n1"), world.now)
    assert len(world.sent) == before
    # The wish to vote survives a restart; while somebody can't be asked what was promised, the vote
    # comes with the epoch that says "born anew".
    peer = world.restart("n3")
    assert abstains(peer)
    world.run(10)
    assert not abstains(peer)
    world.cuts.clear()
    world["n2"].chain.hear_epoch(NodeId("n1"), 3, world.now)
    world.run(1)
    assert world.epochs() == {3}
    assert next(m for m in world.chosen[3].members if m.node_id == "n3").born == 3
    world["n1"].dead = True
    results = world["n2"].propose(flush_by(world, "n2"))
    world.run(3)
    assert results[0].outcome is ProposalOutcome.CHOSEN


def test_readmission_can_be_left_to_the_node() -> None:
    world = World(3, settings=ChainSettings(readmit_s=0))
    world["n1"].propose(flush_by(world, "n1"))
    world.run(1)
    peer = world.restart("n3", wiped=True)
    peer.chain.hear_epoch(NodeId("n1"), 2, world.now)
    world.run(10)
    assert peer.chain.abstaining
    assert world.epochs() == {2}


def test_recovered_cluster_outranks_its_former_life() -> None:
    world = World(3)
    chain = world["n1"].chain
    recovered = replace(
        world.first, generation=1, epoch=Epoch(1_000_001), members=world.first.members[:1]
    )
    assert chain.learn(recovered.to_plain(), world.now)
    former = replace(world.first, epoch=Epoch(2_000_000))
    assert not chain.learn(former.to_plain(), world.now)


def test_accepted_value_of_a_dead_proposer_is_finished() -> None:
    world = World(3)
    world["n1"].dead = True
    plain = flush_by(world, "n1").to_plain()
    for voter in ("n2", "n3"):
        world[voter].chain.on_message(NodeId("n1"), 0, Prepare(2, 1 << 20, "n1"), world.now)
        world[voter].chain.on_message(NodeId("n1"), 0, Accept(2, 1 << 20, "n1", plain), world.now)
        world[voter].wake()
    world.run(3)
    assert world.epochs() == {1}
    world.run(12)
    assert world.epochs() == {2}
    assert world.chosen[2].reason == "flush by n1"
