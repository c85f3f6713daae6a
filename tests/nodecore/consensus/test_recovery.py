"""A new generation at the chain: founded by an operator, learned by the others, never mixed."""

from __future__ import annotations

from nodecore.consensus.outcome import ProposalOutcome
from nodecore.ids import NodeId
from nodecore.placement.proposals import propose_flush
from nodecore.placement.recovery import propose_recovery
from nodecore.placement.topology import Topology
from tests.nodecore.consensus.world import World
from transport.messages import Prepare


def recovered_by(world: World, *names: str) -> Topology:
    """The survivors' document, installed at each of them."""
    current = world[names[0]].chain.document
    assert current is not None
    document = propose_recovery(current, [NodeId(name) for name in names])
    for name in names:
        assert world[name].chain.install(document, world.now) == []
        world[name].wake()
    return document


def kill(world: World, *names: str) -> None:
    for name in names:
        world[name].dead = True


def test_survivors_decide_again() -> None:
    world = World(5)
    kill(world, "n3", "n4", "n5")
    stuck = world["n1"].propose(propose_flush(world.first, 1))
    world.run(11)
    assert stuck[0].outcome is not ProposalOutcome.CHOSEN
    document = recovered_by(world, "n1", "n2")
    results = world["n2"].propose(propose_flush(document, 2))
    world.run(2)
    assert [result.outcome for result in results] == [ProposalOutcome.CHOSEN]
    assert world.epochs() == {document.epoch + 1}


def test_three_survivors_that_hear_of_it_first_from_each_other_may_vote() -> None:
    world = World(7)
    kill(world, *(m.node_id for m in world.first.members if m.voter and m.node_id > "n2"))
    names = [name for name, peer in world.peers.items() if not peer.dead]
    assert len(names) == 4
    document = propose_recovery(world.first, names)
    assert world[names[0]].chain.install(document, world.now) == []
    world.run(0.1)
    for name in names[1:]:
        assert world[name].chain.document == document
        assert world[name].chain.install(document, world.now) == []
    assert not any(world[name].chain.abstaining for name in names)
    results = world[names[0]].propose(propose_flush(document, 1))
    world.run(2)
    assert results[0].outcome is ProposalOutcome.CHOSEN


def test_a_proposal_under_way_ends_when_a_new_generation_begins() -> None:
    world = World(3)
    kill(world, "n2", "n3")
    results = world["n1"].propose(propose_flush(world.first, 1))
    world.run(1)
    assert results == []
    recovered_by(world, "n1")
    assert [r.outcome for r in results] in ([ProposalOutcome.LOST], [ProposalOutcome.UNKNOWN])


def test_promises_of_the_former_life_bind_nobody_and_the_new_ones_survive_a_restart() -> None:
    world = World(3)
    world["n1"].chain.on_message(NodeId("n3"), 5, Prepare(2, 9 << 40, "n3"), world.now)
    kill(world, "n2", "n3")
    document = recovered_by(world, "n1")
    peer = world.restart("n1")
    assert peer.chain.document == document
    assert not peer.chain.abstaining
    results = peer.propose(propose_flush(document, 1))
    world.run(1)
    assert results[0].outcome is ProposalOutcome.CHOSEN


def test_a_crash_while_it_is_taken_up_leaves_the_former_life_or_the_new_one() -> None:
    for record in ("acceptor", "topology"):
        world = World(3)
        kill(world, "n2", "n3")
        world.crash_on_persist = (NodeId("n1"), record)
        document = propose_recovery(world.first, [NodeId("n1")])
        world["n1"].chain.install(document, world.now)
        peer = world.restart("n1")
        assert peer.chain.install(document, world.now) == []
        assert peer.chain.document == document
        assert not peer.chain.abstaining


def test_who_comes_back_learns_the_new_generation_and_never_revives_the_old_one() -> None:
    world = World(5)
    kill(world, "n3", "n4", "n5")
    document = recovered_by(world, "n1", "n2")
    world.run(0.1)
    world.cuts |= {(a, b) for a in ("n1", "n2") for b in ("n3", "n4", "n5")}
    world.cuts |= {(b, a) for a, b in world.cuts}
    for name in ("n3", "n4", "n5"):
        world.restart(name)
    # Cut off, a majority of the former voters decides in the former life.
    results = world["n4"].propose(propose_flush(world.first, 1))
    world.run(2)
    assert results[0].outcome is ProposalOutcome.CHOSEN
    world.cuts.clear()
    for name in ("n3", "n4", "n5"):
        world["n1"].chain.hear_epoch(NodeId(name), 2, world.now)
        world.run(1)
        assert world[name].chain.document == document
    assert world["n1"].chain.document == document
    again = world["n3"].chain.install(document, world.now)
    assert again == []
    older = propose_recovery(world.first, [NodeId("n3")])
    assert world["n3"].chain.install(older, world.now) != []
