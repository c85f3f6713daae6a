"""Whole clusters of membership objects: deaths, pauses, cuts, refutations."""

from __future__ import annotations

import pytest

from nodecore.ids import NodeId, Now
from nodecore.membership.members import Status
from tests.nodecore.membership.world import World
from transport.messages import Ack, Gossip, Message, Probe, TopologyFetch


def no_status(world: World, status: Status) -> None:
    for peer in world.peers.values():
        assert [change for change in peer.changes if change[3] is status] == []


@pytest.mark.parametrize("size", [2, 3, 5, 12])
def test_healthy_cluster_suspects_nobody(size: int) -> None:
    world = World(size)
    world.run(30)
    assert world.events == []
    for peer in world.peers.values():
        assert peer.membership.live_nodes() == sorted(world.ids)
        assert peer.membership.detector.probes > 50


@pytest.mark.parametrize(("size", "within_s"), [(3, 5), (5, 5), (12, 5), (30, 6)])
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_node_is_failed_everywhere_within_seconds(
    size: int, within_s: float, seed: int
) -> None:
    world = World(size, seed)
    world.run(5)
    killed_s = world.now_s
    victim = world.ids[-1]
    world.kill(victim)
    world.run(within_s)
    assert set(world.view(victim).values()) == {Status.FAILED}
    for node, peer in world.peers.items():
        if node != victim:
            assert peer.said(victim, Status.SUSPECT)[0] - killed_s < 3
            assert [change for change in peer.changes if change[1] != victim] == []


def test_refused_connection_makes_a_node_suspect_at_once() -> None:
    world = World(5)
    world.run(3)
    world.kill("n5")
    for node in world.ids[:4]:
        peer = world.peers[node]
        peer.membership.hint_unreachable(NodeId("n5"), world.now(node), refused=True)
        assert peer.membership.status(NodeId("n5")) is Status.SUSPECT
        assert NodeId("n5") not in peer.membership.live_nodes()
        peer.wake()
    world.run(3)
    assert set(world.view("n5").values()) == {Status.FAILED}


def test_dead_link_alone_only_probes() -> None:
    world = World(3)
    world.run(3)
    peer = world.peers[NodeId("n1")]
    probes = peer.membership.detector.probes
    peer.membership.hint_unreachable(NodeId("n2"), world.now("n1"))
    assert peer.membership.detector.probes == probes + 1
    assert peer.membership.status(NodeId("n2")) is Status.ALIVE
    peer.wake()
    world.run(5)
    no_status(world, Status.SUSPECT)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [3, 5])
def test_pause_of_two_seconds_never_fails_anybody(size: int, seed: int) -> None:
    world = World(size, seed)
    world.run(4 + seed / 7)
    for _ in range(3):
        world.pause("n2")
        world.run(2)
        world.resume("n2")
        world.run(4)
        no_status(world, Status.FAILED)
        for node in world.ids:
            assert set(world.view(node).values()) == {Status.ALIVE}


def test_node_that_wakes_after_a_minute_blames_nobody_and_is_forgiven() -> None:
    world = World(5)
    world.run(5)
    world.pause("n3")
    world.run(60)
    assert set(world.view("n3").values()) - {None} >= {Status.FAILED}
    sleeper = world.peers[NodeId("n3")]
    before = len(sleeper.changes)
    world.resume("n3")
    world.run(6)
    assert [change for change in sleeper.changes[before:] if change[3] is Status.FAILED] == []
    for node in world.ids:
        assert set(world.view(node).values()) == {Status.ALIVE}
    assert sleeper.membership.refutations >= 1
    assert sleeper.membership.pauses >= 1
    assert sleeper.incarnations[-1] == sleeper.membership.incarnation


def test_lossy_network_buries_nobody() -> None:
    world = World(5, seed=3)
    world.loss = 0.15
    world.run(30)
    no_status(world, Status.FAILED)


def test_asymmetric_link_is_bridged_by_others() -> None:
    world = World(5)
    world.cuts.add(("n1", "n2"))
    world.run(60)
    no_status(world, Status.FAILED)
    no_status(world, Status.SUSPECT)
    assert world.peers[NodeId("n1")].membership.detector.indirect_probes > 0


def test_minority_suspects_the_majority_but_calls_nobody_failed() -> None:
    world = World(5)
    world.run(3)
    world.isolate(["n1", "n2"], ["n3", "n4", "n5"])
    world.run(20)
    for node in ("n1", "n2"):
        membership = world.peers[NodeId(node)].membership
        assert membership.live_nodes() == ["n1", "n2"]
        assert {membership.status(NodeId(n)) for n in ("n3", "n4", "n5")} == {Status.SUSPECT}
    for node in ("n3", "n4", "n5"):
        membership = world.peers[NodeId(node)].membership
        assert {membership.status(NodeId(n)) for n in ("n1", "n2")} == {Status.FAILED}
    world.cuts.clear()
    world.run(10)
    for node in world.ids:
        assert set(world.view(node).values()) == {Status.ALIVE}


def test_restarted_node_is_alive_again_even_when_it_forgot_its_incarnation() -> None:
    world = World(3)
    world.run(3)
    world.kill("n2")
    world.run(6)
    assert set(world.view("n2").values()) == {Status.FAILED}
    world.restart("n2", incarnation=0)
    world.run(4)
    assert set(world.view("n2").values()) == {Status.ALIVE}
    assert world.peers[NodeId("n2")].membership.incarnation > 1


def test_restarted_node_learns_who_is_down() -> None:
    world = World(5)
    world.run(2)
    world.kill("n5")
    world.run(6)
    fresh = world.restart("n1", incarnation=2)
    world.run(8)
    assert fresh.membership.status(NodeId("n5")) is Status.FAILED


def test_goodbye_is_no_failure() -> None:
    world = World(5)
    world.run(3)
    leaver = world.peers[NodeId("n4")]
    leaver.membership.leave(world.now("n4"))
    assert leaver.membership.status(NodeId("n4")) is Status.LEFT
    leaver.dead = True
    world.run(10)
    assert set(world.view("n4").values()) == {Status.LEFT}
    no_status(world, Status.FAILED)
    world.restart("n4", incarnation=2)
    world.run(4)
    assert set(world.view("n4").values()) == {Status.ALIVE}


def test_strangers_are_never_judged() -> None:
    world = World(3)
    peer = world.peers[NodeId("n1")]
    claim = [["n9", "failed", 3, "n2"], ["n2", "suspect", 9, "n9"], ["n2", "alive", 9, "n3"]]
    peer.membership.on_message(NodeId("n3"), Gossip(1, claim), world.now("n1"))
    assert peer.membership.status(NodeId("n9")) is None
    assert peer.membership.status(NodeId("n2")) is Status.ALIVE
    assert peer.membership.incarnation_of(NodeId("n2")) == 0
    assert not peer.membership.is_live(NodeId("n9"))
    peer.membership.hint_unreachable(NodeId("n9"), world.now("n1"), refused=True)


def test_member_that_left_the_topology_is_forgotten() -> None:
    world = World(4)
    world.run(2)
    world.kill("n4")
    world.run(1.5)
    world.ids.remove(NodeId("n4"))
    for node in world.ids:
        world.introduce(world.peers[node])
        assert world.peers[node].membership.status(NodeId("n4")) is None
    probes = world.peers[NodeId("n1")].membership.detector.failures
    world.run(10)
    assert world.peers[NodeId("n1")].membership.detector.failures <= probes
    no_status(world, Status.FAILED)


@pytest.mark.parametrize(
    "updates",
    [None, 7, [["n2"]], [["n2", "gone", 1, "n1"]], [["n2", "alive", -1, "n2"]], [[1, 2, 3, 4]],
     [["n2", "alive", True, "n2"]], [["n2", "alive", 1 << 63, "n2"]],
     [["n2", "alive", 1, "n2"]] * 257],
)  # fmt: skip
def test_malformed_claims_are_counted_and_change_nothing(updates: object) -> None:
    world = World(3)
    membership = world.peers[NodeId("n1")].membership
    assert membership.on_message(NodeId("n2"), Probe(1, 1, updates), world.now("n1"))
    assert membership.refused == 1
    assert membership.incarnation_of(NodeId("n2")) == 0


def test_other_messages_are_left_to_others() -> None:
    world = World(3)
    membership = world.peers[NodeId("n1")].membership
    assert not membership.on_message(NodeId("n2"), TopologyFetch(1), world.now("n1"))


def test_epochs_are_told_and_heard() -> None:
    world = World(3)
    world.peers[NodeId("n2")].epoch = 4
    world.run(5)
    assert (NodeId("n2"), 4) in world.peers[NodeId("n1")].epochs
    assert (NodeId("n1"), 1) in world.peers[NodeId("n2")].epochs


def test_clock_offset_is_the_median_of_the_peers() -> None:
    world = World(5)
    world.skew_ms = {"n5": 90_000, "n4": 200, "n3": 210}
    world.run(20)
    offset = world.peers[NodeId("n1")].membership.clock_offset_ms()
    assert 190 < offset < 220
    assert abs(world.peers[NodeId("n4")].membership.clock_offset_ms()) < 10, "it is the middle one"
    assert world.peers[NodeId("n3")].membership.clock_offset_ms() < 0


def test_failure_needs_a_majority_of_both_voter_sets() -> None:
    world = World(5)
    old, new = world.ids[:3], world.ids[2:]
    for node in world.ids:
        world.peers[node].membership.set_members(world.ids, world.now(node), [old, new])
    world.isolate(["n4", "n5"], ["n1", "n2", "n3"])
    world.run(20)
    membership = world.peers[NodeId("n1")].membership
    assert membership.status(NodeId("n4")) is Status.SUSPECT
    for node in world.ids:
        world.peers[node].membership.set_members(world.ids, world.now(node), [old])
    assert membership.status(NodeId("n4")) is Status.FAILED


def test_same_seed_same_story() -> None:
    def story() -> list[tuple[float, str, str]]:
        world = World(5, seed=9)
        world.run(3)
        world.kill("n5")
        world.run(6)
        return [(at, node, event.text) for at, node, event in world.events]

    assert story() == story() != []


def test_own_lag_is_doubted_before_others() -> None:
    world = World(3)
    membership = world.peers[NodeId("n1")].membership
    now = world.now("n1")
    membership.hint_unreachable(NodeId("n2"), now, refused=True)
    membership.on_loop_lag(2.0, Now(now.mono_s + 1, now.wall_ms))
    assert membership.awareness.score == 1
    membership.on_loop_lag(0.01, now)
    assert membership.pauses == 1


def test_suspect_is_told_of_the_suspicion_so_that_it_can_refute() -> None:
    world = World(3)
    suspecting = world.peers[NodeId("n1")]
    told: list[Message] = []
    world.deliver = lambda source, target, message: told.append(message)  # type: ignore[method-assign]
    now = world.now("n1")
    suspecting.membership.hint_unreachable(NodeId("n2"), now, refused=True)
    for _ in range(20):
        # Long after the queue has told it often enough.
        suspecting.membership.on_message(NodeId("n2"), Probe(7, 1, []), now)
    answer = told[-1]
    assert isinstance(answer, Ack)
    assert ["n2", "suspect", 0, "n1"] in answer.updates  # type: ignore[operator]


def test_suspicion_that_ran_out_is_tried_once_more_before_it_is_claimed() -> None:
    world = World(3)
    peer = world.peers[NodeId("n1")]
    sent: list[tuple[float, NodeId, Message]] = []
    world.deliver = lambda source, target, message: sent.append((world.now_s, target, message))  # type: ignore[method-assign]
    for other in ("n2", "n3"):
        world.kill(other)
    peer.membership.hint_unreachable(NodeId("n2"), world.now("n1"), refused=True)
    peer.wake()
    world.run(12)
    condemned_s = min(
        at for at, _, message in sent
        if isinstance(message, Gossip) and ["n2", "failed", 0, "n1"] in message.updates  # type: ignore[operator]
    )  # fmt: skip
    settings = peer.membership._settings
    # Nobody confirms, so the suspicion lasts its longest; then comes a probe of its own.
    over_s = 100.0 + settings.suspicion_s_min(3) * settings.suspicion_max_factor
    assert condemned_s >= over_s + settings.probe_timeout_s
    assert any(
        isinstance(message, Probe) and target == "n2" and over_s - 1e-6 <= at < condemned_s
        for at, target, message in sent
    )
