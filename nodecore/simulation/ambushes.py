"""Misfortunes that come together: what a wrong protocol for strong keys would need to be seen to fail.

Chance alone brings them together once in many thousand runs. Each ambush takes a counter that nobody
else works on, holds up single messages about it, harms one node at the moment that matters, and has
clients raise the counter on both sides of the gap. Nothing happens that chance could not do, and a
sound protocol bears it:

* A promise is all that an acceptor has when it dies: the rounds before and after that promise meet.
* An owner has missed the newest value when others become owners, and one that has it is cut off.
* A node does not hear that it owns nothing any more, and goes on asking the owners of old.
* The copies become fewer while a round is between its promises and its Accept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import NamedTuple, final

from nodecore.ids import NodeId
from nodecore.requests import Done, Outcome
from nodecore.simulation.cluster import SimCluster
from nodecore.simulation.process import SimProcess
from nodecore.simulation.stalls import COPY, END_OF_COPIES, Stalls
from nodecore.simulation.strong_load import PREFIX, StrongLoad
from nodecore.simulation.witnesses import Powers
from nodecore.strong.replica import Kind

_PATTERN = PREFIX.decode() + "*"
_POLL_S = 0.005
_MISSED_S = 0.4
_PATIENCE_S = 2.5
_JOIN_S = 4.5
_OWNERS = 3


class Scene(NamedTuple):
    """Who is who for one key."""

    key: bytes
    owners: list[NodeId]
    """Now, in order of preference."""
    strangers: list[NodeId]
    """Members that own no copy."""
    stalls: Stalls


@final
class Ambusher:
    """Lays one ambush at a time.

    Args:
        cluster: whose nodes.
        powers: of the nemesis.
        rng: chooses.
        load: whose quiet counters are raised.
    """

    def __init__(self, cluster: SimCluster, powers: Powers, rng: Random, load: StrongLoad) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._powers = powers
        self._rng = rng
        self._load = load
        self._busy = False
        self._ambushes: list[Callable[[Scene], float]] = []
        """Those whose turn it still is."""

    def lay(self) -> None:
        """Begin an ambush, unless one is under way or the cluster is in no state for it."""
        if self._busy:
            return
        scene = self._scene()
        if scene is None:
            return
        if not self._ambushes:
            self._ambushes = [
                self._forget_promise,
                self._starve_owner,
                self._leave_unaware,
                self._take_copies_away,
            ]
        for ambush in self._rng.sample(self._ambushes, len(self._ambushes)):
            lasts_s = ambush(scene)
            if lasts_s:
                self._ambushes.remove(ambush)
                self._busy = True
                self._cluster.network.stalled_s = scene.stalls.stalled_s
                self._world.after(lasts_s, self._over)
                return

    def _over(self) -> None:
        self._busy = False
        self._cluster.network.stalled_s = None

    # -- who and when ------------------------------------------------------------------------

    def _scene(self) -> Scene | None:
        members = self._cluster.running_members
        if not members or self._cluster.topology().joint or self._cluster.network.cuts:
            return None
        if len(members) < len(self._cluster.topology().members):
            return None
        key = self._rng.choice(self._load.quiet)
        owners = self._owners(members[0], key)
        epoch = self._cluster.topology().epoch
        if len(owners) != _OWNERS or any(p.paused or p.node.epoch() != epoch for p in members):
            return None
        names = [process.node_id for process in members]
        strangers = [name for name in names if name not in owners]
        return Scene(key, owners, strangers, Stalls(key))

    def _owners(self, process: SimProcess, key: bytes, *, following: bool = False) -> list[NodeId]:
        """As this node knows them; ``following``: those to be."""
        routing = process.node.standing.routing
        if routing is None:
            return []
        route = routing.route(key, process.node.table.slot_of(key))
        return list(route.owners_next or () if following else route.owners)

    def _when(
        self, condition: Callable[[], bool], action: Callable[[], None], left_s: float = _PATIENCE_S
    ) -> None:
        """Act as soon as the condition holds, unless that takes too long."""
        if not self._powers.active() or left_s <= 0:
            return
        if condition():
            action()
        else:
            again = partial(self._when, condition, action, left_s - _POLL_S)
            self._world.after(_POLL_S, again)

    def _later(self, delay_s: float, action: Callable[[], None]) -> None:
        self._world.after(delay_s, lambda: action() if self._powers.active() else None)

    def _stands_at(self, name: NodeId, *, joint: bool, above: int = 0) -> bool:
        """Whether a node has adopted the newest document, and what kind of document that is."""
        process, newest = self._cluster.processes[name], self._cluster.topology()
        if not process.running or newest.joint != joint or newest.epoch <= above:
            return False
        return process.node.epoch() == newest.epoch

    def _strike(self, name: NodeId, key: bytes) -> None:
        self._load.strike(str(name), key)

    def _miss(self, scene: Scene, proposer: NodeId, owner: NodeId) -> None:
        """Raise the counter so that this owner does not learn of it."""
        reset = partial(self._cluster.network.reset, proposer, owner)
        scene.stalls.stall(proposer, owner, Kind.ACCEPT, _MISSED_S)
        scene.stalls.expect(proposer, owner, Kind.ACCEPT, lambda: self._later(_MISSED_S / 4, reset))
        self._strike(proposer, scene.key)

    # -- ambushes ----------------------------------------------------------------------------

    def _forget_promise(self, scene: Scene) -> float:
        """An acceptor dies after it has promised two rounds, of which the first needs one more."""
        if not scene.strangers:
            return 0.0
        first = self._rng.choice(scene.strangers)
        acceptor, late, second = self._rng.sample(scene.owners, _OWNERS)
        scene.stalls.stall(first, late, Kind.PREPARE, 0.3)
        scene.stalls.stall(first, second, Kind.PREPARE, 1.2)
        scene.stalls.stall(second, late, Kind.PREPARE, 0.55)
        scene.stalls.expect(
            second, acceptor, Kind.ACCEPT, lambda: self._later(0.0, partial(self._kill, acceptor))
        )
        self._strike(first, scene.key)
        self._later(0.1, partial(self._strike, second, scene.key))
        return 1.5

    def _kill(self, name: NodeId) -> None:
        process = self._cluster.processes[name]
        if process.running and not process.paused and self._powers.may_die(process):
            process.crash()
            self._powers.reached("died-between-rounds")
            self._world.after(
                0.01, lambda: None if process.running else self._powers.start(process)
            )

    def _starve_owner(self, scene: Scene) -> float:
        """What one owner has missed, another one to be has not copied yet."""
        starved, *fed = self._rng.sample(scene.owners, _OWNERS)
        self._miss(scene, fed[0], starved)
        self._later(0.5, partial(self._replace_fed, scene, starved, fed))
        return _PATIENCE_S

    def _replace_fed(self, scene: Scene, starved: NodeId, fed: list[NodeId]) -> None:
        joining = self._powers.join()
        if joining is None:
            return
        for name in fed:
            scene.stalls.stall(name, joining.node_id, COPY, 1.5)

        def split() -> None:
            following = self._owners(self._cluster.processes[starved], scene.key, following=True)
            staying = [name for name in fed if name in following]
            if starved in following and joining.node_id in following and len(staying) == 1:
                self._powers.isolate(str(staying[0]), 0.8, 1.5)
                self._powers.reached("starved-owner-decides")
                self._strike(starved, scene.key)

        self._when(lambda: self._stands_at(starved, joint=True), split)

    def _leave_unaware(self, scene: Scene) -> float:
        """An owner of old asks as if nothing had changed, while those of today go on without it."""
        joining = self._powers.join()
        if joining is None:
            return 0.0
        unaware = self._rng.choice([*scene.owners, *scene.strangers])
        process, epoch = self._cluster.processes[unaware], self._cluster.topology().epoch
        network = self._cluster.network
        # Early enough to be suspected, and asked for nothing, by the time the change begins.
        network.deafen(unaware)
        self._world.after(_JOIN_S, partial(network.hear, unaware))
        before = {key: self._owners(process, key) for key in self._load.quiet}

        def strike() -> None:
            for key, owners in before.items():
                if unaware in owners and unaware not in self._owners(joining, key):
                    self._ask_of_old(key, unaware, [name for name in owners if name != unaware])
                    return

        joined = joining.node_id
        self._when(lambda: self._stands_at(joined, joint=False, above=epoch + 1), strike, _JOIN_S)
        return _JOIN_S

    def _ask_of_old(self, key: bytes, unaware: NodeId, staying: list[NodeId]) -> None:
        self._powers.reached("asked-by-owner-of-old")
        witness, other = self._rng.sample(staying, len(staying))
        stalls = Stalls(key)
        stalls.stall(unaware, other, Kind.PREPARE, 1.5)
        self._cluster.network.stalled_s = stalls.stalled_s
        self._later(0.05, partial(self._strike, unaware, key))
        self._later(0.25, lambda: self._powers.isolate(str(witness), 0.8, 1.5))
        self._later(0.3, partial(self._strike, other, key))

    def _take_copies_away(self, scene: Scene) -> float:
        """The copy that stays alone takes what it has missed, after it has promised more."""
        stays, second, _third = scene.owners
        outsiders = [name for name in scene.strangers if name > stays]
        if not outsiders:
            return 0.0
        self._miss(scene, second, stays)
        self._later(0.5, partial(self._resize, scene, self._rng.choice(outsiders)))
        self._world.after(2.5, partial(self._set_copies, _OWNERS))
        return 2.8

    def _resize(self, scene: Scene, outsider: NodeId) -> None:
        stays, second, third = scene.owners
        stalls, key = scene.stalls, scene.key
        stalls.stall(second, stays, COPY, 0.25)
        stalls.stall(outsider, third, Kind.PREPARE, 1.5)
        stalls.stall(outsider, stays, Kind.ACCEPT, 0.65)
        stalls.stall(outsider, second, Kind.ACCEPT, 0.65)
        stalls.stall(stays, second, Kind.PREPARE, 1.0)
        self._set_copies(1)

        def strike() -> None:
            self._powers.reached("round-amid-fewer-copies")
            for source in (second, third):
                stalls.stall(source, stays, END_OF_COPIES, 1.0)
            self._strike(outsider, key)
            self._later(0.4, partial(self._strike, stays, key))

        stalls.expect(second, stays, COPY, strike)

    def _set_copies(self, count: int) -> None:
        """Ask for so many copies of strong keys, until somebody takes it."""
        running = self._cluster.running_members
        if not running:
            return
        name = str(self._rng.choice(running).node_id)
        wanted = {"pattern": _PATTERN, "n": count, "w": count // 2 + 1}
        outcomes = self._cluster.admin(name, "keyspace.set", wanted)
        if count == _OWNERS:
            self._world.after(0.5, partial(self._set_again, outcomes, count))

    def _set_again(self, outcomes: list[Outcome], count: int) -> None:
        if not (outcomes and isinstance(outcomes[0], Done)):
            self._set_copies(count)
