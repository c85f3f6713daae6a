"""A deterministic network of membership objects: delays, cuts, deaths and pauses on one event heap."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from random import Random

from nodecore.effects import Emit
from nodecore.ids import Incarnation, NodeId, Now
from nodecore.membership.members import Status
from nodecore.membership.membership import Membership
from nodecore.membership.ports import MembershipPorts
from nodecore.timers import Timers
from transport.messages import Lane, Message


class Peer:
    """One node of the world."""

    def __init__(self, world: World, node_id: NodeId, incarnation: int) -> None:
        self.world = world
        self.node_id = node_id
        self.timers = Timers()
        self.changes: list[tuple[float, NodeId, Status, Status]] = []
        self.incarnations: list[int] = []
        self.epochs: list[tuple[NodeId, int]] = []
        self.epoch = 1
        self.inbox: list[tuple[NodeId, Message]] = []
        self.paused = False
        self.dead = False
        self.membership = Membership(
            node_id,
            Incarnation(incarnation),
            MembershipPorts(
                self._send,
                self._emit,
                lambda: self.epoch,
                lambda peer, epoch, now: self.epochs.append((peer, epoch)),
                self._on_status,
                lambda incarnation, now: self.incarnations.append(incarnation),
            ),
            self.timers,
            world.rng,
        )

    def _send(self, peer: NodeId, lane: Lane, stream: int, message: Message) -> None:
        assert lane is Lane.CONTROL
        self.world.deliver(self.node_id, peer, message)

    def _emit(self, event: Emit) -> None:
        self.world.events.append((self.world.now_s, self.node_id, event))

    def _on_status(self, node: NodeId, old: Status, new: Status, now: Now) -> None:
        if old is not new:
            self.changes.append((now.mono_s, node, old, new))

    def wake(self) -> None:
        """Handle what is due, as the driver does; arrange the next wake-up."""
        if self.dead or self.paused:
            return
        now = self.world.now(self.node_id)
        self.timers.fire(now)
        inbox, self.inbox = self.inbox, []
        for peer, message in inbox:
            self.membership.on_message(peer, message, now)
        next_s = self.timers.next_at()
        if next_s is not None:
            self.world.at(max(next_s, self.world.now_s + 0.001), self.wake)

    def said(self, node: str, status: Status) -> list[float]:
        """When this peer began to believe that of the node."""
        return [at for at, who, _, new in self.changes if who == node and new is status]


class World:
    """All nodes; every message takes 1 to 5 ms unless ``delay`` says otherwise."""

    def __init__(self, size: int, seed: int = 1, voters: int = 5) -> None:
        self.rng = Random(seed)
        self.now_s = 100.0
        self.events: list[tuple[float, NodeId, Emit]] = []
        self.cuts: set[tuple[str, str]] = set()
        self.skew_ms: dict[str, int] = {}
        self.loss = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self.ids = [NodeId(f"n{index}") for index in range(1, size + 1)]
        self.voters = self.ids[: min(size if size % 2 else size - 1, voters)]
        self.peers = {node: Peer(self, node, 1) for node in self.ids}
        for peer in self.peers.values():
            self.introduce(peer)

    def introduce(self, peer: Peer) -> None:
        peer.membership.set_members(self.ids, self.now(peer.node_id), [self.voters])
        peer.wake()

    def now(self, node: str) -> Now:
        return Now(self.now_s, int(self.now_s * 1000) + 10**12 + self.skew_ms.get(node, 0))

    def at(self, at_s: float, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._heap, (at_s, self._order, action))

    def deliver(self, source: NodeId, target: NodeId, message: Message) -> None:
        if (source, target) in self.cuts or self.rng.random() < self.loss:
            return
        peer = self.peers[target]

        def arrive() -> None:
            if not peer.dead:
                peer.inbox.append((source, message))
                peer.wake()

        self.at(self.now_s + self.rng.uniform(0.001, 0.005), arrive)

    def run(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self._heap and self._heap[0][0] <= end_s:
            self.now_s, _, action = heapq.heappop(self._heap)
            action()
        self.now_s = end_s

    def kill(self, node: str) -> None:
        self.peers[NodeId(node)].dead = True

    def restart(self, node: str, incarnation: int) -> Peer:
        peer = self.peers[NodeId(node)] = Peer(self, NodeId(node), incarnation)
        self.introduce(peer)
        return peer

    def pause(self, node: str) -> None:
        self.peers[NodeId(node)].paused = True

    def resume(self, node: str) -> None:
        peer = self.peers[NodeId(node)]
        peer.paused = False
        peer.wake()

    def isolate(self, group: Sequence[str], rest: Sequence[str]) -> None:
        for one in group:
            for other in rest:
                self.cuts |= {(one, other), (other, one)}

    def view(self, of: str) -> dict[str, Status | None]:
        return {
            node: peer.membership.status(NodeId(of))
            for node, peer in self.peers.items()
            if not peer.dead and node != of
        }
