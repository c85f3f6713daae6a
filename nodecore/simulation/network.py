"""The simulated network: links like TCP between processes, that can be slow, cut, or broken.

The caller dials one link to each peer and lane; requests and one-way messages leave on the own
link, replies return on the link that brought the request, just as between real processes. A link
delivers in order and without loss while it is up. What happens to it:

* The process at the other end dies: the link ends after one delay, with an error at the caller.
* A *cut* direction carries nothing; TCP keeps what was sent. Healed in time, it arrives late; else
  the link ends and what was under way is lost. ``abrupt`` cuts end links at once, as faults do.
* A paused process reads nothing; what arrives waits for it.

Beyond TCP, single messages of the control lane may be lost, doubled or delayed out of order, when
the options say so: probes and votes must bear it. Messages travel as bytes through the codec.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import final

from nodecore.ids import NodeId
from nodecore.simulation.host import Host
from nodecore.simulation.sites import DROPPED_LINK, LATE_DUPLICATE, STALLED_LINK, Sites
from nodecore.simulation.world import World
from transport.backoff import Backoff
from transport.codec import decode, encode
from transport.messages import Accepted, Lane, Message, Promise


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """How the network behaves when nobody harms it on purpose."""

    delay_s_min: float = 0.0002
    delay_s_mean: float = 0.0005
    """Exponential above the minimum."""
    connect_timeout_s: float = 2.0
    cut_noticed_s_min: float = 3.0
    cut_noticed_s_max: float = 15.0
    """When a silent cut ends a link that has something to deliver."""
    control_loss: float = 0.0
    control_duplication: float = 0.0
    control_reordering: float = 0.0
    """Probabilities for each message of the control lane."""
    reordering_s_max: float = 0.05


@final
class _Direction:
    """One way of one link: in order, nothing lost while the link lives."""

    __slots__ = ("free_at_s", "held")

    def __init__(self) -> None:
        self.free_at_s = 0.0
        self.held: deque[tuple[int, bytes]] = deque()


@final
class SimLink:
    """What one process dialled to a peer on one lane."""

    def __init__(
        self, network: Network, caller: Host, peer: NodeId, lane: Lane, address: str
    ) -> None:
        self._network = network
        self.caller = caller
        self.peer = peer
        """The caller's name for the other end."""
        self.lane = lane
        self.address = address
        self.callee: Host | None = None
        self.up = False
        self.closed = False
        self._life = 0
        self._backoff = Backoff(network.world.rng(f"backoff:{caller.node_id}:{peer}:{lane}"))
        self._forth = _Direction()
        self._back = _Direction()
        self._noticing = False

    # -- dialling ----------------------------------------------------------------------------

    def dial(self) -> None:
        """Try to establish the link."""
        if self.closed or self.up or not self.caller.running:
            return
        network = self._network
        callee = network.host_at(self.address)
        if callee is None or not callee.running:
            network.later(lambda: self._refused("connection refused"))
        elif network.is_cut(self.caller.node_id, callee.node_id) or callee.paused:
            network.world.after(
                network.options.connect_timeout_s, lambda: self._refused("connecting timed out")
            )
        else:
            network.later(lambda: self._establish(callee))

    def _establish(self, callee: Host) -> None:
        network = self._network
        if self.closed or self.up or not self.caller.running:
            return
        cut = network.is_cut(self.caller.node_id, callee.node_id)
        if cut or not callee.running or network.host_at(self.address) is not callee:
            self._refused("connection lost while it was made")
            return
        self._life += 1
        self.callee, self.up = callee, True
        self._forth, self._back = _Direction(), _Direction()
        self._noticing = False
        self._backoff.reset()
        network.incoming[callee.node_id, self.caller.node_id, self.lane] = self
        network.world.note("link-up", self.caller.node_id, self.peer, self.lane)
        self._tell(True, "")

    def _refused(self, reason: str) -> None:
        if self.closed or self.up or not self.caller.running:
            return
        self._tell(False, reason)
        self._dial_later()

    def _dial_later(self) -> None:
        if not self.closed:
            self._network.world.after(self._backoff.next_s(), self.dial)

    def _tell(self, up: bool, reason: str) -> None:
        caller = self.caller
        caller.deliver(lambda: caller.on_link_state(self.peer, self.lane, up, reason))

    # -- carrying ----------------------------------------------------------------------------

    def send(self, stream: int, payload: bytes, *, forth: bool) -> None:
        """Carry a message; ``forth``: from the caller."""
        direction = self._forth if forth else self._back
        sender, receiver = self._ends(forth)
        if self._network.is_cut_one_way(sender, receiver):
            direction.held.append((stream, payload))
            self._notice_cut()
            return
        self._dispatch(direction, stream, payload, forth)

    def _ends(self, forth: bool) -> tuple[NodeId, NodeId]:
        assert self.callee is not None
        ends = self.caller.node_id, self.callee.node_id
        return ends if forth else (ends[1], ends[0])

    def _dispatch(self, direction: _Direction, stream: int, payload: bytes, forth: bool) -> None:
        network = self._network
        fate = network.fate(self.lane)
        if fate == "lost":
            return
        network.flights += 1
        at_s = network.world.now_s + network.delay_s(*self._ends(forth))
        if fate == "reordered":
            at_s += network.rng.uniform(0.0, network.options.reordering_s_max)
        else:
            # In order: nothing overtakes what was sent before on the same link.
            direction.free_at_s = at_s = max(at_s, direction.free_at_s)
        sites, life = network.sites, self._life
        if self.lane is Lane.DATA:
            if sites.fires(STALLED_LINK):
                direction.free_at_s = at_s = at_s + sites.uniform(0.3, 3.0)
            network.busy_until_s = max(network.busy_until_s, at_s)
        for _copy in range(2 if fate == "doubled" else 1):
            network.world.at(at_s, lambda: self._arrive(life, stream, payload, forth))
        if self.lane is Lane.CONTROL and sites.fires(LATE_DUPLICATE):
            late_s = at_s + sites.uniform(0.1, 3.0)
            network.world.at(late_s, lambda: self._arrive(life, stream, payload, forth))
        if sites.fires(DROPPED_LINK):
            network.later(lambda: self.end("connection reset") if life == self._life else None)

    def _arrive(self, life: int, stream: int, payload: bytes, forth: bool) -> None:
        if not self.up or life != self._life or self.callee is None:
            return
        sender, _receiver = self._ends(forth)
        if self._network.is_cut_one_way(*self._ends(forth)):
            (self._forth if forth else self._back).held.append((stream, payload))
            self._notice_cut()
            return
        target = self.callee if forth else self.caller
        peer = sender if forth else self.peer
        target.deliver(lambda: self._hand_over(target, peer, life, stream, payload))

    def _hand_over(
        self, target: Host, peer: NodeId, life: int, stream: int, payload: bytes
    ) -> None:
        if life == self._life and self.up:
            self._network.world.note("message", peer, target.node_id, self.lane, stream, payload)
            message = decode(payload)
            if isinstance(message, Promise | Accepted) and not message.granted:
                self._network.ballots_refused += 1
            target.on_link_message(peer, stream, self.lane, message)

    # -- harm --------------------------------------------------------------------------------

    def _notice_cut(self) -> None:
        if self._noticing:
            return
        self._noticing = True
        network, life = self._network, self._life
        options = network.options
        delay_s = network.rng.uniform(options.cut_noticed_s_min, options.cut_noticed_s_max)
        network.world.after(delay_s, lambda: self._give_up(life))

    def _give_up(self, life: int) -> None:
        self._noticing = False
        if self.up and life == self._life and (self._forth.held or self._back.held):
            self.end("the other end does not answer")

    def release(self) -> None:
        """A cut was healed: what TCP kept is sent again."""
        if not self.up or self.callee is None:
            return
        for forth, direction in ((True, self._forth), (False, self._back)):
            if not self._network.is_cut_one_way(*self._ends(forth)):
                held, direction.held = direction.held, deque()
                for stream, payload in held:
                    self._dispatch(direction, stream, payload, forth)

    def end(self, reason: str) -> None:
        """The link breaks; the caller dials again."""
        if not self.up:
            return
        self._forget()
        self._network.world.note("link-down", self.caller.node_id, self.peer, self.lane, reason)
        if self.caller.running and not self.closed:
            self._tell(False, reason)
            self._dial_later()

    def close(self) -> None:
        """The caller does not want it any more."""
        self.closed = True
        self._forget()

    def _forget(self) -> None:
        callee, self.callee, self.up = self.callee, None, False
        if callee is not None:
            key = callee.node_id, self.caller.node_id, self.lane
            if self._network.incoming.get(key) is self:
                del self._network.incoming[key]


@final
class Network:
    """All links, and who can reach whom."""

    def __init__(self, world: World, options: NetworkOptions | None = None) -> None:
        self.world = world
        self.options = options or NetworkOptions()
        self.rng: Random = world.rng("network")
        self.sites = Sites(world.rng("sites"))
        """Chance of this run; processes draw from it too."""
        self.incoming: dict[tuple[NodeId, NodeId, Lane], SimLink] = {}
        """(callee, caller, lane) -> the link that brings its requests."""
        self.flights = 0
        """Messages carried."""
        self.busy_until_s = 0.0
        """When the last message that is under way on a data link arrives."""
        self.lost = 0
        self.ballots_refused = 0
        """Votes that a higher ballot had forestalled."""
        self._hosts: dict[str, Host] = {}
        self._links: dict[NodeId, dict[tuple[NodeId, Lane], SimLink]] = {}
        self._cuts: dict[tuple[NodeId, NodeId], bool] = {}
        self._slow: dict[tuple[NodeId, NodeId], float] = {}

    # -- hosts -------------------------------------------------------------------------------

    def attach(self, address: str, host: Host) -> None:
        """A process listens there now."""
        self._hosts[address] = host
        self._links[host.node_id] = {}

    def host_at(self, address: str) -> Host | None:
        """Who listens at an address."""
        return self._hosts.get(address)

    def detach(self, host: Host) -> None:
        """The process is gone: its links end, those of others to it break after a delay."""
        for link in self._links.pop(host.node_id, {}).values():
            link.close()
        for link in self._all_links():
            if link.callee is host and not self.is_cut(link.caller.node_id, host.node_id):
                self._break_later(link)

    def _break_later(self, link: SimLink) -> None:
        self.later(lambda: link.end("connection reset"))

    def set_peers(self, host: Host, addresses: Iterable[tuple[NodeId, str]]) -> None:
        """``host`` wants links to exactly these peers."""
        wanted = dict(addresses)
        links = self._links[host.node_id]
        for (peer, lane), link in list(links.items()):
            if wanted.get(peer) != link.address:
                link.close()
                del links[peer, lane]
        for peer, address in wanted.items():
            for lane in Lane:
                if (peer, lane) not in links:
                    link = links[peer, lane] = SimLink(self, host, peer, lane, address)
                    link.dial()

    def send(
        self, host: Host, peer: NodeId, lane: Lane, stream: int, message: Message, *, reply: bool
    ) -> bool:
        """Send on the link that the message belongs to; False when there is none."""
        own = None if reply else self._links.get(host.node_id, {}).get((peer, lane))
        link = own
        if own is None and (reply or not stream):
            # A node that is no peer (any more) can be told things only on the link that it dialled.
            link = self.incoming.get((host.node_id, peer, lane))
        if link is None or not link.up:
            return False
        link.send(stream, encode(message), forth=link is own)
        return True

    # -- conditions --------------------------------------------------------------------------

    def later(self, action: Callable[[], None]) -> None:
        """After one delay of the network."""
        self.world.after(self.delay_s(NodeId(""), NodeId("")), action)

    def delay_s(self, sender: NodeId, receiver: NodeId) -> float:
        """How long the next message takes."""
        options = self.options
        drawn = options.delay_s_min + self.rng.expovariate(1.0 / options.delay_s_mean)
        return drawn + self._slow.get((sender, receiver), 0.0)

    def slow(self, sender: NodeId, receiver: NodeId, delay_s: float) -> None:
        """Every message from ``sender`` to ``receiver`` takes this much longer; 0 ends it."""
        self._slow[sender, receiver] = delay_s

    def fate(self, lane: Lane) -> str:
        """What becomes of the next message: ``carried``, ``lost``, ``doubled``, ``reordered``."""
        options = self.options
        if lane is not Lane.CONTROL:
            return "carried"
        drawn = self.rng.random()
        if drawn < options.control_loss:
            self.lost += 1
            return "lost"
        drawn -= options.control_loss
        if drawn < options.control_duplication:
            return "doubled"
        drawn -= options.control_duplication
        return "reordered" if drawn < options.control_reordering else "carried"

    @property
    def cuts(self) -> int:
        """Directions that carry nothing now."""
        return len(self._cuts)

    def is_cut_one_way(self, sender: NodeId, receiver: NodeId) -> bool:
        """Whether nothing gets from ``sender`` to ``receiver``."""
        return (sender, receiver) in self._cuts

    def is_cut(self, one: NodeId, other: NodeId) -> bool:
        """Whether no link can be made between them."""
        return (one, other) in self._cuts or (other, one) in self._cuts

    def cut(self, sender: NodeId, receiver: NodeId, *, abrupt: bool = False) -> None:
        """Let nothing from ``sender`` reach ``receiver``; ``abrupt``: links between them end now."""
        self._cuts[sender, receiver] = True
        self.world.note("cut", sender, receiver)
        if abrupt:
            for link in self._between(sender, receiver):
                link.end("cut by a fault")

    def heal(self, sender: NodeId, receiver: NodeId) -> None:
        """Take a cut back."""
        if self._cuts.pop((sender, receiver), None) is None:
            return
        self.world.note("heal", sender, receiver)
        for link in self._between(sender, receiver):
            if link.callee is not None and not link.callee.running:
                link.end("connection reset")
            else:
                link.release()

    def heal_all(self) -> None:
        """No cuts, no slow links."""
        self._slow.clear()
        for sender, receiver in list(self._cuts):
            self.heal(sender, receiver)

    def _between(self, one: NodeId, other: NodeId) -> list[SimLink]:
        pair = sorted((one, other))
        return [
            link
            for link in self._all_links()
            if link.callee is not None
            and sorted((link.caller.node_id, link.callee.node_id)) == pair
        ]

    def _all_links(self) -> list[SimLink]:
        return [link for links in self._links.values() for link in links.values()]
