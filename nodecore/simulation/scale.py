"""How failure detection, gossip and placement behave as clusters grow, to hundreds of nodes.

Whole nodes are not needed for this, and 200 of them would cost minutes. Membership runs alone: the real
``Membership`` objects with their settings, on the simulated clock and links of half a millisecond,
without the hints that broken connections give a real node (so detection here is slower than in life).
Placement is computed alone: the slot tables before and after one more node joins.

Both are the product's own code; this module only drives it and takes the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, final

from nodecore.config import Addresses
from nodecore.ids import Incarnation, NodeId, Now
from nodecore.membership.members import Status
from nodecore.membership.membership import Membership
from nodecore.membership.ports import MembershipPorts
from nodecore.placement import even
from nodecore.placement.rebalance import diff
from nodecore.placement.ring import OwnerTable, share_statistics
from nodecore.placement.slot_map import place
from nodecore.placement.topology import Member, RingSettings
from nodecore.simulation.world import Event, World
from nodecore.timers import Timers
from transport.messages import Lane, Message

SIZES: Final = (10, 50, 100, 200)
SIZE_MIN: Final = 3
SIZE_MAX: Final = 1_000
COPIES: Final = 3
EVEN_MAX: Final = 200
"""Direct assignment is a search; beyond this it takes longer than it is worth here."""
_DELAY_S: Final = 0.0005
_WARM_S: Final = 2.0
_WAIT_S: Final = 60.0
_POLL_S: Final = 0.005


@final
class _Peer:
    """One node's membership on the world's clock."""

    def __init__(self, swarm: _Swarm, name: NodeId) -> None:
        self._swarm = swarm
        self.name = name
        self.running = True
        self.suspicions = 0
        self._timers = Timers()
        self._wake: Event | None = None
        self.membership = Membership(
            name,
            Incarnation(1),
            MembershipPorts(
                self._send,
                lambda _event: None,
                lambda: 1,
                lambda _peer, _epoch, _now: None,
                self._on_status,
                lambda _incarnation, _now: None,
            ),
            self._timers,
            swarm.world.rng(f"member:{name}"),
        )

    def do(self, action: Callable[[Now], object]) -> None:
        """Wake up for something, run what is due, and sleep until the next deadline."""
        if not self.running:
            return
        now = self._now()
        action(now)
        self._timers.fire(now)
        due_s = self._timers.next_at()
        if self._wake is not None:
            self._wake.cancel()
        if due_s is not None:
            self._wake = self._swarm.world.at(due_s + 1e-9, lambda: self.do(_nothing))

    def _now(self) -> Now:
        now_s = self._swarm.world.now_s
        return Now(now_s, int(now_s * 1000))

    def _send(self, peer: NodeId, _lane: Lane, _stream: int, message: Message) -> None:
        self._swarm.carry(self.name, peer, message)

    def _on_status(self, _node: NodeId, _old: Status, new: Status, _now: Now) -> None:
        self.suspicions += new is Status.SUSPECT


@final
class _Swarm:
    """Members and the links between them."""

    def __init__(self, size: int, seed: int) -> None:
        self.world = World(seed)
        self._rng = self.world.rng("delays")
        self.messages = 0
        names = [NodeId(f"n{number:04}") for number in range(size)]
        self.peers = {name: _Peer(self, name) for name in names}
        voters = names[: min(size, 5) - (min(size, 5) + 1) % 2]
        for peer in self.peers.values():
            peer.do(lambda now, peer=peer: peer.membership.set_members(names, now, [voters]))  # type: ignore[misc]

    def carry(self, sender: NodeId, target: NodeId, message: Message) -> None:
        """Deliver after a delay."""
        peer = self.peers[target]
        self.messages += 1
        delay_s = _DELAY_S * self._rng.uniform(0.5, 1.5)
        deliver = partial(peer.membership.on_message, sender, message)
        self.world.after(delay_s, lambda: peer.do(deliver))

    def until_all(self, about: NodeId, wanted: tuple[Status, ...]) -> float:
        """Seconds until all others that run believe one of ``wanted`` of a member.

        Raises:
            ValueError: they never did.
        """
        begin_s = self.world.now_s
        watching = [peer for peer in self.peers.values() if peer.running and peer.name != about]
        while any(peer.membership.status(about) not in wanted for peer in watching):
            if self.world.now_s > begin_s + _WAIT_S:
                raise ValueError(f"{about} is not {wanted[0]} everywhere after {_WAIT_S:.0f} s")
            self.world.run_for(_POLL_S)
        return self.world.now_s - begin_s


def measure(size: int, seed: int = 0) -> dict[str, float]:
    """All figures of one size: a row of :func:`table`.

    Raises:
        ValueError: the size is out of range, or the members never agreed.
    """
    if not SIZE_MIN <= size <= SIZE_MAX:
        raise ValueError(f"a size must be {SIZE_MIN} to {SIZE_MAX}, not {size}")
    return {"nodes": size, **_membership(size, seed), **_placement(size)}


def _membership(size: int, seed: int) -> dict[str, float]:
    swarm = _Swarm(size, seed)
    swarm.world.run_for(_WARM_S)
    calm = swarm.messages / size / _WARM_S
    names = list(swarm.peers)
    leaving, dying = swarm.peers[names[-1]], swarm.peers[names[-2]]
    leaving.do(leaving.membership.leave)
    gossip_s = swarm.until_all(leaving.name, (Status.LEFT,))
    before = sum(peer.suspicions for peer in swarm.peers.values())
    dying.running = False
    begin_s = swarm.world.now_s
    routed_s = swarm.until_all(dying.name, (Status.SUSPECT, Status.FAILED))
    swarm.until_all(dying.name, (Status.FAILED,))
    return {
        "gossip_s": round(gossip_s, 3),
        "suspected_everywhere_s": round(routed_s, 3),
        "failed_everywhere_s": round(swarm.world.now_s - begin_s, 3),
        "false_suspicions": before,
        "messages_per_node_s": round(calm, 1),
    }


def _placement(size: int) -> dict[str, float]:
    members = [_member(number) for number in range(size + 1)]
    ring = RingSettings()
    old, new = (place(members[:count], ring, b"", COPIES) for count in (size, size + 1))
    found = {f"ring_{name}": value for name, value in _growth(old, new, members).items()}
    if size <= EVEN_MAX:
        old = even.assign(None, members[:size], COPIES)
        new = even.assign(old, members, COPIES)
        found |= {f"even_{name}": value for name, value in _growth(old, new, members).items()}
    return found


def _growth(old: OwnerTable, new: OwnerTable, members: list[Member]) -> dict[str, float]:
    """What the join of the last member costs, and how even both tables are."""
    plan = diff(old, new)
    newest = members[-1].node_id
    before = share_statistics(old, members[:-1])
    fair = 1.0 / len(members)
    return {
        "max_over_mean": round(before.primary_max_over_mean, 3),
        "copies_max_over_mean": round(before.copies_max_over_mean, 3),
        "moved_over_fair": round(len(plan.moves) / plan.copies_total / fair, 3),
        "moved_between_old": sum(move.target != newest for move in plan.moves),
    }


def _member(number: int) -> Member:
    return Member(NodeId(f"n{number:04}"), Addresses())


def table(rows: list[dict[str, float]]) -> str:
    """The rows for a person: one column a size."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    width = max(map(len, names))
    return "\n".join(
        f"{name:{width}}" + "".join(_cell(row, name) for row in rows) for name in names
    )


def _cell(row: Mapping[str, float], name: str) -> str:
    value = row.get(name)
    return f"{'-' if value is None else f'{value:g}':>12}"


def _nothing(_now: Now) -> None:
    """A wake-up for what is due."""
