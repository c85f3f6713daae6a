"""One link of the simulated network: what a process dialled to a peer on one lane.

It delivers in order and without loss while it is up. A cut holds what is sent, as TCP does; what is
stalled holds up what is behind it. How links fare decides ``network``.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, final

from nodecore.ids import NodeId
from nodecore.simulation.host import Host
from nodecore.simulation.sites import DROPPED_LINK, LATE_DUPLICATE, STALLED_LINK
from transport.backoff import Backoff
from transport.codec import decode
from transport.messages import Accepted, Lane, Promise

if TYPE_CHECKING:
    from nodecore.simulation.network import Network


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

    def send(self, stream: int, payload: bytes, *, forth: bool, stalled_s: float = 0.0) -> None:
        """Carry a message; ``forth``: from the caller. ``stalled_s``: it is stuck for so long, and all
        behind it.
        """
        direction = self._forth if forth else self._back
        if self._is_held(forth):
            direction.held.append((stream, payload))
            self._notice_cut()
            return
        if stalled_s:
            direction.free_at_s = max(direction.free_at_s, self._network.world.now_s + stalled_s)
        self._dispatch(direction, stream, payload, forth)

    def _is_held(self, forth: bool) -> bool:
        network = self._network
        # Mostly nothing is: that is not worth looking up the ends.
        return network.holds and network.is_held(*self._ends(forth), self.lane)

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
        if self._is_held(forth):
            (self._forth if forth else self._back).held.append((stream, payload))
            self._notice_cut()
            return
        target = self.callee if forth else self.caller
        peer = self.caller.node_id if forth else self.peer
        target.deliver(lambda: self._hand_over(target, peer, life, stream, payload))

    def _hand_over(
        self, target: Host, peer: NodeId, life: int, stream: int, payload: bytes
    ) -> None:
        if life == self._life and self.up:
            self._network.world.note("message", peer, target.node_id, self.lane, stream, payload)
            message = decode(payload)
            if isinstance(message, (Promise, Accepted)) and not message.granted:
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
            if not self._is_held(forth):
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
