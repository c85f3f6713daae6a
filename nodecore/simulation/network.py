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

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import final

from nodecore.ids import NodeId
from nodecore.simulation.host import Host
from nodecore.simulation.links import SimLink
from nodecore.simulation.sites import Sites
from nodecore.simulation.world import World
from transport.codec import encode
from transport.messages import Lane, Message


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
        self._deaf: dict[NodeId, None] = {}
        self.stalled_s: Callable[[NodeId, NodeId, Message], float] | None = None
        """Asked of (sender, receiver, message): for how long it is stuck, and all behind it."""
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
        stalled_s = 0.0 if self.stalled_s is None else self.stalled_s(host.node_id, peer, message)
        link.send(stream, encode(message), forth=link is own, stalled_s=stalled_s)
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

    @property
    def holds(self) -> bool:
        """Whether anything is held anywhere."""
        return bool(self._cuts or self._deaf)

    def is_held(self, sender: NodeId, receiver: NodeId, lane: Lane) -> bool:
        """Whether nothing gets from ``sender`` to ``receiver`` on this lane."""
        if (sender, receiver) in self._cuts:
            return True
        return lane is Lane.CONTROL and receiver in self._deaf

    def deafen(self, receiver: NodeId) -> None:
        """Nothing reaches it on the control lane; data links are others, and go on."""
        self._deaf[receiver] = None
        self.world.note("deaf", receiver)

    def hear(self, receiver: NodeId) -> None:
        """Take that back."""
        if receiver in self._deaf:
            del self._deaf[receiver]
            self.world.note("hears", receiver)
            for link in self._all_links():
                link.release()

    def reset(self, one: NodeId, other: NodeId) -> None:
        """Links between them end now; what is under way on them is lost."""
        for link in self._between(one, other):
            link.end("connection reset")

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
        for receiver in list(self._deaf):
            self.hear(receiver)
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
