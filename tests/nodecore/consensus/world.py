"""Several chains on one event heap: delays, loss, cuts, crashes that keep or lose the disk."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace
from random import Random

from nodecore.config import Addresses
from nodecore.consensus.chain import Chain, ChainPorts
from nodecore.consensus.outcome import ProposalResult
from nodecore.consensus.settings import ChainSettings
from nodecore.effects import Emit
from nodecore.ids import NodeId, Now
from nodecore.placement.proposals import bootstrap, propose_flush
from nodecore.placement.topology import Member, Topology
from nodecore.timers import Timers
from transport.codec import decode, encode
from transport.messages import Lane, Message


def member(node_id: str, **fields: object) -> Member:
    return Member(NodeId(node_id), Addresses(f"{node_id}:1", "", ""), **fields)  # type: ignore[arg-type]


def flush_by(world: World, node_id: str) -> Topology:
    """A successor of what the node knows, that says whose it is."""
    document = world[node_id].chain.document
    assert document is not None
    return replace(propose_flush(document, 1), reason=f"flush by {node_id}")


def abstains(peer: Peer) -> bool:
    """In a function: a checker of types takes a second look at an attribute for the first."""
    return peer.chain.abstaining


class Peer:
    """One node."""

    def __init__(self, world: World, node_id: NodeId, disk: dict[str, object]) -> None:
        self.world = world
        self.node_id = node_id
        self.disk = disk
        self.timers = Timers()
        self.dead = False
        self.events: list[Emit] = []
        self.documents: list[Topology] = []
        self.results: list[ProposalResult] = []
        self.chain = Chain(
            node_id,
            ChainPorts(self._send, self._persist, self.events.append, self._on_document),
            self.timers,
            world.rng,
            world.settings,
        )
        self.chain.restore(dict(disk), world.now)

    def _persist(self, name: str, payload: object) -> None:
        self.disk[name] = payload
        if self.world.crash_on_persist == (self.node_id, name):
            self.world.crash_on_persist = None
            self.dead = True

    def _send(self, peer: NodeId, lane: Lane, stream: int, message: Message) -> None:
        assert lane is Lane.CONTROL
        if not self.dead:
            self.world.deliver(self.node_id, peer, stream, message)

    def _on_document(self, new: Topology, old: Topology | None, now: Now) -> None:
        self.documents.append(new)
        self.world.check(new)

    def propose(self, document: Topology) -> list[ProposalResult]:
        results: list[ProposalResult] = []
        self.chain.propose(document, lambda result, now: results.append(result), self.world.now)
        self.wake()
        return results

    def wake(self) -> None:
        if self.dead:
            return
        self.timers.fire(self.world.now)
        next_s = self.timers.next_at()
        if next_s is not None:
            self.world.at(max(next_s, self.world.now.mono_s + 0.001), self.wake)


class World:
    """All nodes. Every chosen document of one epoch must be the same everywhere.

    ``founded``: the founders have heard from each other.
    """

    def __init__(
        self,
        size: int,
        seed: int = 1,
        settings: ChainSettings | None = None,
        *,
        founded: bool = True,
    ) -> None:
        self.rng = Random(seed)
        self.settings = settings
        self.now = Now(50.0, 10**12)
        self.loss = 0.0
        self.duplicates = 0.0
        self.delay_s = 0.005
        self.cuts: set[tuple[str, str]] = set()
        self.crash_on_persist: tuple[NodeId, str] | None = None
        self.sent: list[tuple[NodeId, NodeId, Message]] = []
        self.chosen: dict[int, Topology] = {}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self.first = bootstrap("c1", [member(f"n{i}") for i in range(1, size + 1)])
        self.peers = {m.node_id: Peer(self, m.node_id, {}) for m in self.first.members}
        for peer in self.peers.values():
            peer.chain.start(self.first, self.now)
            peer.wake()
        if founded:
            self.run(0.3)

    def __getitem__(self, node_id: str) -> Peer:
        return self.peers[NodeId(node_id)]

    def check(self, document: Topology) -> None:
        assert self.chosen.setdefault(document.epoch, document) == document

    def add(self, node_id: str) -> Peer:
        peer = self.peers[NodeId(node_id)] = Peer(self, NodeId(node_id), {})
        return peer

    def restart(self, node_id: str, *, wiped: bool = False) -> Peer:
        old = self[node_id]
        old.dead = True
        peer = Peer(self, old.node_id, {} if wiped else old.disk)
        self.peers[old.node_id] = peer
        peer.wake()
        return peer

    def at(self, at_s: float, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._heap, (at_s, self._order, action))

    def deliver(self, source: NodeId, target: NodeId, stream: int, message: Message) -> None:
        self.sent.append((source, target, message))
        if (source, target) in self.cuts or target not in self.peers:
            return
        copies = 0 if self.rng.random() < self.loss else 1
        copies += self.rng.random() < self.duplicates
        body = encode(message)
        for _ in range(copies):

            def arrive() -> None:
                peer = self.peers[target]
                if not peer.dead:
                    assert peer.chain.on_message(source, stream, decode(body), self.now)
                    peer.wake()

            delay_s = self.rng.uniform(self.delay_s / 5, self.delay_s)
            self.at(self.now.mono_s + delay_s, arrive)

    def run(self, seconds: float) -> None:
        end_s = self.now.mono_s + seconds
        while self._heap and self._heap[0][0] <= end_s:
            at_s, _, action = heapq.heappop(self._heap)
            self.now = Now(at_s, 10**12 + int(at_s * 1000))
            action()
        self.now = Now(end_s, 10**12 + int(end_s * 1000))

    def isolate(self, *group: str) -> None:
        for one in self.peers:
            for other in self.peers:
                if (one in group) != (other in group):
                    self.cuts.add((one, other))

    def epochs(self) -> set[int]:
        return {peer.chain.epoch for peer in self.peers.values() if not peer.dead}
