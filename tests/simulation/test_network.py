from __future__ import annotations

from collections.abc import Callable

from nodecore.ids import NodeId
from nodecore.simulation.network import Network, NetworkOptions
from nodecore.simulation.world import World
from transport.messages import Lane, Message, Ping, Pong, Probe, TopologyDocument

A, B = NodeId("a"), NodeId("b")


class FakeHost:
    def __init__(self, node_id: NodeId) -> None:
        self.node_id = node_id
        self.running = True
        self.paused = False
        self.received: list[tuple[str, int, Message]] = []
        self.links: list[tuple[str, Lane, bool, str]] = []
        self.waiting: list[Callable[[], None]] = []

    def deliver(self, action: Callable[[], None]) -> None:
        if self.paused:
            self.waiting.append(action)
        elif self.running:
            action()

    def on_link_message(self, peer: NodeId, stream: int, lane: Lane, message: Message) -> None:
        self.received.append((peer, stream, message))

    def on_link_state(self, peer: NodeId, lane: Lane, up: bool, reason: str) -> None:
        self.links.append((peer, lane, up, reason))


def pair(options: NetworkOptions | None = None) -> tuple[World, Network, FakeHost, FakeHost]:
    """a dials b; b dials nobody."""
    world = World(5)
    network = Network(world, options)
    a, b = FakeHost(A), FakeHost(B)
    network.attach("a:1", a)
    network.attach("b:1", b)
    network.set_peers(a, [(B, "b:1")])
    world.run_for(1.0)
    return world, network, a, b


def send(network: Network, host: FakeHost, peer: NodeId, count: int) -> None:
    for number in range(count):
        assert network.send(host, peer, Lane.DATA, number, Ping(), reply=False)


def test_messages_arrive_in_order_and_replies_return_on_the_same_link() -> None:
    world, network, a, b = pair()
    send(network, a, B, 50)
    world.run_for(1.0)
    assert [stream for _peer, stream, _message in b.received] == list(range(50))
    assert network.send(b, A, Lane.DATA, 7, Pong(), reply=True)
    world.run_for(1.0)
    assert a.received == [(B, 7, Pong())]


def test_a_node_that_dials_nobody_can_still_tell_one_way_things() -> None:
    world, network, a, b = pair()
    assert network.send(b, A, Lane.CONTROL, 0, TopologyDocument(1, {}), reply=False)
    assert not network.send(b, A, Lane.CONTROL, 3, Ping(), reply=False)
    world.run_for(1.0)
    assert a.received == [(B, 0, TopologyDocument(1, {}))]


def test_a_dead_process_breaks_its_links_and_is_dialled_until_it_returns() -> None:
    world, network, a, b = pair()
    b.running = False
    network.detach(b)
    world.run_for(2.0)
    assert (B, Lane.DATA, False, "connection reset") in a.links
    assert (B, Lane.DATA, False, "connection refused") in a.links
    assert not network.send(a, B, Lane.DATA, 1, Ping(), reply=False)
    b.running = True
    network.attach("b:1", b)
    world.run_for(10.0)
    assert network.send(a, B, Lane.DATA, 1, Ping(), reply=False)


def test_what_a_healed_cut_held_arrives_late_and_in_order() -> None:
    world, network, a, b = pair()
    network.cut(A, B)
    send(network, a, B, 5)
    world.run_for(1.0)
    assert not b.received
    network.heal(A, B)
    world.run_for(1.0)
    assert [stream for _peer, stream, _message in b.received] == [0, 1, 2, 3, 4]


def test_a_long_cut_ends_the_link_and_loses_what_was_under_way() -> None:
    world, network, a, b = pair()
    network.cut(A, B)
    send(network, a, B, 5)
    world.run_for(20.0)
    assert (B, Lane.DATA, False, "the other end does not answer") in a.links
    network.heal(A, B)
    world.run_for(10.0)
    assert not b.received
    send(network, a, B, 1)


def test_an_abrupt_cut_ends_links_at_once_and_one_way_cuts_are_one_way() -> None:
    world, network, a, b = pair()
    network.cut(B, A)
    send(network, a, B, 1)
    world.run_for(0.5)
    assert len(b.received) == 1
    assert network.send(b, A, Lane.DATA, 7, Pong(), reply=True)
    world.run_for(0.5)
    assert not a.received
    network.cut(A, B, abrupt=True)
    world.run_for(0.1)
    assert (B, Lane.DATA, False, "cut by a fault") in a.links


def test_a_paused_process_finds_its_messages_when_it_wakes() -> None:
    world, network, a, b = pair()
    b.paused = True
    send(network, a, B, 3)
    world.run_for(1.0)
    assert not b.received
    b.paused = False
    for action in b.waiting:
        action()
    assert len(b.received) == 3


def test_the_control_lane_can_lose_double_and_reorder() -> None:
    options = NetworkOptions(control_loss=0.2, control_duplication=0.2, control_reordering=0.2)
    world, network, a, b = pair(options)
    for number in range(1, 201):
        network.send(a, B, Lane.CONTROL, 0, Probe(number, 1, []), reply=False)
    world.run_for(2.0)
    numbers = [m.sequence for _peer, _stream, m in b.received if isinstance(m, Probe)]
    assert len(set(numbers)) < 200
    assert len(numbers) > len(set(numbers))
    assert numbers != sorted(numbers)


def test_a_slow_link_is_slow() -> None:
    world, network, a, b = pair()
    network.slow(A, B, 0.2)
    send(network, a, B, 1)
    world.run_for(0.19)
    assert not b.received
    world.run_for(0.1)
    assert b.received


def test_a_stalled_message_holds_up_what_is_behind_it() -> None:
    world, network, a, b = pair()
    network.stalled_s = lambda sender, receiver, _message: (
        2.0 if (sender, receiver) == (A, B) else 0
    )
    send(network, a, B, 1)
    network.stalled_s = None
    send(network, a, B, 2)
    world.run_for(1.9)
    assert not b.received
    world.run_for(0.2)
    assert [stream for _peer, stream, _message in b.received] == [0, 0, 1]


def test_a_deaf_node_hears_data_at_once_and_the_rest_later() -> None:
    world, network, a, b = pair()
    network.deafen(B)
    send(network, a, B, 1)
    assert network.send(a, B, Lane.CONTROL, 5, Ping(), reply=False)
    world.run_for(1.0)
    assert [stream for _peer, stream, _message in b.received] == [0]
    network.hear(B)
    world.run_for(1.0)
    assert [stream for _peer, stream, _message in b.received] == [0, 5]


def test_a_reset_link_loses_what_is_under_way_and_comes_back() -> None:
    world, network, a, b = pair()
    send(network, a, B, 3)
    network.reset(A, B)
    world.run_for(3.0)
    assert not b.received
    assert a.links[-1][2], "dialled again"
