"""Several nodes on virtual time: messages pass through the codec, links can be cut, nodes killed."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

from nodecore.config import Addresses, NodeConfig
from nodecore.effects import Emit, Persist, Send, SetPeers, Stop
from nodecore.ids import NodeId, Now
from nodecore.node import Node
from nodecore.requests import Outcome, Request
from nodecore.storage.eviction import make_policy
from nodecore.storage.memory import Store
from nodecore.table import make_table
from transport.codec import decode, encode, unpack_plain
from transport.messages import Forward, Lane, PeerApply, PeerRead, PeerWrite, TopologyDocument
from transport.messages.replies import REPLIES

_REQUESTS = (Forward, PeerApply, PeerRead, PeerWrite)
WALL_MS = 1_700_000_000_000
MEMORY_BYTES = 64 * 1024 * 1024


@dataclass(order=True)
class _Event:
    at_s: float
    sequence: int
    target: str = field(compare=False)
    source: str = field(compare=False)
    send: Send = field(compare=False)
    payload: bytes = field(compare=False)


def addresses(number: int) -> Addresses:
    return Addresses(f"127.0.0.1:{71 * 100 + number}", f"127.0.0.1:{7000 + number}", "")


class Pump:
    """The world of a few nodes."""

    def __init__(
        self, count: int, *, latency_s: float = 0.0005, seed: int = 1, **settings: object
    ) -> None:
        self.now_s = 100.0
        self.latency_s = latency_s
        self.slow: dict[tuple[str, str], float] = {}
        """(caller, callee) -> what requests on that data link take longer."""
        self.cut: dict[tuple[str, str], bool] = {}
        self.withheld: dict[str, bool] = {}
        """Nodes that no topology document reaches."""
        self.lost_replies_of: dict[str, bool] = {}
        self.nodes: dict[str, Node] = {}
        self.dead: dict[str, bool] = {}
        self.disks: dict[str, dict[str, object]] = {}
        self.events: list[tuple[str, Emit]] = []
        self.stops: dict[str, Stop] = {}
        self.sent: list[tuple[str, Send]] = []
        self._peers: dict[str, dict[str, str]] = {}
        self._queue: list[_Event] = []
        self._sequence = 0
        self._fifo: dict[tuple[str, str, Lane, bool], float] = {}
        self._links: dict[tuple[str, str, Lane], bool] = {}
        self._rng = random.Random(seed)
        self._settings = settings
        self._bootstrap = tuple((f"n{i}", addresses(i)) for i in range(1, count + 1))
        for name, _addresses in self._bootstrap:
            self.boot(name)
        self.run(0.6)

    def boot(self, name: str, join: bool = False) -> Node:
        number = int(name[1:])
        config = NodeConfig(
            node_id=name,
            bind=addresses(number),
            bootstrap=() if join else self._bootstrap,
            join=tuple(a.native for _n, a in self._bootstrap) if join else (),
            enable_chaos=True,
            **self._settings,  # type: ignore[arg-type]
        )
        table = make_table("auto")
        store = Store(table, make_policy("s3fifo", MEMORY_BYTES), MEMORY_BYTES, random.Random(1))
        disk = self.disks.setdefault(name, {})
        node = Node(config, store, random.Random(self._rng.random()), self.now, dict(disk))
        self.dead.pop(name, None)
        self.nodes[name] = node
        self._links = {link: up for link, up in self._links.items() if link[0] != name}
        node.start(self.now)
        self.drain(name)
        self._relink()
        return node

    @property
    def now(self) -> Now:
        return Now(self.now_s, WALL_MS + int(self.now_s * 1000))

    def kill(self, name: str) -> None:
        self.dead[name] = True
        self._relink()

    def cut_off(self, name: str) -> None:
        for other in self.nodes:
            if other != name:
                self.cut[name, other] = self.cut[other, name] = True
        self._relink()

    def heal(self) -> None:
        self.cut.clear()
        self.slow.clear()
        self._relink()

    def submit(self, name: str, request: Request, wait_s: float = 3.0) -> Outcome:
        """The outcome of a request, run to its end."""
        outcomes = self.start(name, request)
        until_s = self.now_s + wait_s
        while not outcomes and self.now_s < until_s and self._step(until_s):
            continue
        assert len(outcomes) == 1, outcomes
        return outcomes[0]

    def start(self, name: str, request: Request) -> list[Outcome]:
        """Start a request; its outcome appears in the list."""
        outcomes: list[Outcome] = []
        node = self.nodes[name]
        outcome = node.submit(request, lambda found, _now: outcomes.append(found), self.now)
        if outcome is not None:
            outcomes.append(outcome)
        self.drain(name)
        return outcomes

    def admin(self, name: str, verb: str, **arguments: object) -> Outcome:
        outcomes: list[Outcome] = []
        node = self.nodes[name]
        outcome = node.admin(verb, arguments, lambda found, _now: outcomes.append(found), self.now)
        self.drain(name)
        if outcome is not None:
            return outcome
        self.run(12.0)
        assert len(outcomes) == 1
        return outcomes[0]

    def run(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while self._step(until_s):
            continue
        self.now_s = until_s

    def _step(self, until_s: float) -> bool:
        """One event; False when nothing happens before ``until_s``."""
        timers = [
            (at, name)
            for name, node in self.nodes.items()
            if name not in self.dead and (at := node.next_timer_at()) is not None
        ]
        timer = min(timers, default=(float("inf"), ""))
        if self._queue and self._queue[0].at_s <= timer[0]:
            if self._queue[0].at_s > until_s:
                return False
            self._deliver(heapq.heappop(self._queue))
            return True
        if timer[0] > until_s:
            return False
        self.now_s = max(self.now_s, timer[0])
        self.nodes[timer[1]].on_timer(self.now)
        self.drain(timer[1])
        return True

    def _deliver(self, event: _Event) -> None:
        self.now_s = max(self.now_s, event.at_s)
        if event.target in self.dead or self.cut.get((event.source, event.target)):
            return
        message = decode(event.payload)
        if isinstance(message, TopologyDocument) and self.withheld.get(event.target):
            return
        self.nodes[event.target].on_message(
            NodeId(event.source), event.send.stream, event.send.lane, message, self.now
        )
        self.drain(event.target)

    def drain(self, name: str) -> None:
        """End the wake-up of a node and execute its effects."""
        node = self.nodes[name]
        node.end_of_turn(self.now)
        while effects := node.take_effects():
            for effect in effects:
                match effect:
                    case Send():
                        self._send(name, effect)
                    case Persist(record, payload):
                        self.disks[name][record] = unpack_plain(payload)
                    case SetPeers(found):
                        self._peers[name] = {str(peer): address for peer, address in found}
                        self._relink()
                    case Emit():
                        self.events.append((name, effect))
                    case Stop():
                        self.stops[name] = effect
            node.end_of_turn(self.now)

    def _resolve(self, peer: str, name: str) -> str:
        address = self._peers.get(name, {}).get(peer, "")
        for other, node in self.nodes.items():
            if node.config.bind.native == address:
                return other
        return peer

    def _send(self, name: str, effect: Send) -> None:
        target = (
            self._resolve(str(effect.peer), name)
            if str(effect.peer).startswith("seed:")
            else str(effect.peer)
        )
        self.sent.append((name, effect))
        up = target in self.nodes and target not in self.dead and not self.cut.get((name, target))
        if not up:
            self.nodes[name].on_undelivered(effect, self.now)
            return
        if self.lost_replies_of.get(name) and effect.stream and effect.lane is Lane.DATA:
            return
        at_s = self.now_s + self.latency_s
        if effect.lane is Lane.DATA and isinstance(effect.message, _REQUESTS):
            at_s += self.slow.get((name, target), 0.0)
        # Replies return on the link that the other end dialled: what is slow on ours holds up none.
        fifo = (name, target, effect.lane, type(effect.message) in REPLIES)
        at_s = max(at_s, self._fifo.get(fifo, 0.0))
        self._fifo[fifo] = at_s
        self._sequence += 1
        event = _Event(at_s, self._sequence, target, name, effect, encode(effect.message))
        heapq.heappush(self._queue, event)

    def _relink(self) -> None:
        """Tell every node which of its links have come or gone."""
        for name, node in list(self.nodes.items()):
            if name in self.dead:
                continue
            for peer in list(self._peers.get(name, {})):
                target = self._resolve(peer, name)
                up = (
                    target in self.nodes
                    and target not in self.dead
                    and not self.cut.get((name, target))
                )
                for lane in Lane:
                    if self._links.get((name, peer, lane), False) != up:
                        self._links[name, peer, lane] = up
                        reason = "" if up else "connection refused"
                        node.on_link(NodeId(peer), lane, up, self.now, reason)
                        self.drain(name)
