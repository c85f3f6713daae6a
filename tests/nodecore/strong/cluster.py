"""Three acceptors and their coordinators on a bad network, without nodes around them."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TypeAlias

from nodecore.config import Addresses
from nodecore.errors import Code
from nodecore.ids import Incarnation, NodeId, Now
from nodecore.placement.proposals import bootstrap
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Member
from nodecore.replication.calls import CallFailed, OnEnd
from nodecore.routing import Peers, Routing
from nodecore.strong.operations import Evaluate, Operation
from nodecore.strong.ports import StrongPorts
from nodecore.strong.replica import StrongReplica
from nodecore.strong.rounds import Rounds
from nodecore.timers import Timers
from tests.nodecore.strong.fakes import Acceptors
from transport.messages import Message, StrongAsk

TIMEOUT_S = 2.0


@lru_cache(maxsize=16)
def routing_of(name: NodeId, nodes: int) -> Routing:
    """The routes of a cluster of so many nodes, as one of them sees them."""
    members = [
        Member(NodeId(f"n{number}"), Addresses(f"127.0.0.1:{7000 + number}", "", ""))
        for number in range(1, nodes + 1)
    ]
    topology = bootstrap("c", members)
    return Routing(name, topology, SlotMap.compile(topology))


class Peer:
    """One node."""

    def __init__(self, cluster: StrongCluster, name: str) -> None:
        self.name = NodeId(name)
        self.acceptors = Acceptors()
        self.timers = Timers()
        self.votes = True
        registers, slot_of = self.acceptors.registers, self.acceptors.slot
        votes = self._votes
        self.replica = StrongReplica(registers, slot_of, votes)
        peers = Peers(self.name, lambda _node: True, lambda _node: True)
        for other in cluster.names:
            peers.on_link(NodeId(other), True)
        ports = StrongPorts(
            self.name,
            lambda: Incarnation(1),
            peers,
            self.timers,
            random.Random(cluster.rng.random()),
            TIMEOUT_S,
            partial(cluster.request, self),
            lambda _peer, _epoch, _retry, _now: None,
            lambda _event: None,
        )
        self.rounds = Rounds(ports, registers, self.replica, votes)
        self.rounds.on_topology(routing_of(self.name, len(cluster.names)), cluster.now)

    def _votes(self, _key: bytes, _slot: int) -> bool:
        return self.votes


_Event: TypeAlias = tuple[float, int, Callable[[Now], object], Peer]


class StrongCluster:
    """Messages arrive late, in any order, or never."""

    def __init__(self, seed: int, *, loss: float = 0.0, nodes: int = 3) -> None:
        self.rng = random.Random(seed)
        self.loss = loss
        self.now_s = 100.0
        self.names = [f"n{number}" for number in range(1, nodes + 1)]
        self.peers = {name: Peer(self, name) for name in self.names}
        self.dead: dict[str, None] = {}
        self._sequence = 0
        self._events: list[_Event] = []

    @property
    def now(self) -> Now:
        return Now(self.now_s, 1_700_000_000_000 + int(self.now_s * 1000))

    def start(self, name: str, key: bytes, evaluate: Evaluate) -> list[object]:
        """Begin an operation at a node; its result appears in the list."""
        results: list[object] = []
        peer = self.peers[name]
        operation = Operation(evaluate, lambda result, _now: results.append(result))
        peer.rounds.start(key, peer.acceptors.slot(key), operation, self.now)
        peer.rounds.flush(self.now)
        return results

    def run(self, seconds: float = 3.0) -> None:
        """Let time pass."""
        until_s = self.now_s + seconds
        while True:
            due: list[tuple[float, int, _Event]] = [(event[0], 0, event) for event in self._events]
            for peer in self.peers.values():
                at_s = peer.timers.next_at()
                if at_s is not None:
                    due.append((at_s, 1, (at_s, 0, peer.timers.fire, peer)))
            if not due:
                break
            at_s, is_timer, event = min(due, key=lambda entry: entry[:2])
            if at_s > until_s:
                break
            self.now_s = max(self.now_s, at_s)
            if not is_timer:
                self._events.remove(event)
            event[2](self.now)
            event[3].rounds.flush(self.now)
        self.now_s = until_s

    def request(
        self, source: Peer, peer: NodeId, message: Message, on_end: OnEnd, now: Now, **_: bool
    ) -> None:
        """``Calls.request``."""
        assert isinstance(message, StrongAsk)
        target = self.peers[peer]
        failed = CallFailed(Code.TIMED_OUT, "lost", True)
        if self._is_lost(source, target):
            self._later(1.0, source, partial(on_end, failed))
            return

        def answer(reply: Message) -> None:
            if self._is_lost(target, source):
                self._later(1.0, source, partial(on_end, failed))
            else:
                self._later(self._delay_s(), source, partial(on_end, reply))

        arrive = partial(target.rounds.on_ask, source.name, message, answer)
        self._later(self._delay_s(), target, arrive)

    def _is_lost(self, source: Peer, target: Peer) -> bool:
        dead = source.name in self.dead or target.name in self.dead
        return dead or self.rng.random() < self.loss

    def _delay_s(self) -> float:
        return self.rng.choice([0.001, 0.002, 0.01, 0.2])

    def _later(self, delay_s: float, peer: Peer, action: Callable[[Now], None]) -> None:
        self._sequence += 1
        self._events.append((self.now_s + delay_s, self._sequence, action, peer))
