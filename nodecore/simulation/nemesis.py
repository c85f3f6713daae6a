"""Does harm to a simulated cluster: faults at random moments, each of which ends by itself.

Fate is constrained by what the product claims to survive: at most one node at a time has lost its
memory (where strong keys alone are judged: its disk). A second crash waits until every other node runs, is a member and holds all its copies. What
is enabled, and how often, comes from ``swarm_options``; what must hold afterwards from the checkers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, final

from nodecore.ids import NodeId
from nodecore.requests import Done, Failed, Outcome
from nodecore.simulation.ambushes import Ambusher
from nodecore.simulation.cluster import SimCluster
from nodecore.simulation.disk import DamagedRecord
from nodecore.simulation.history import FOREVER
from nodecore.simulation.losses import may_lose_memory
from nodecore.simulation.process import SimProcess
from nodecore.simulation.strong_load import StrongLoad
from nodecore.simulation.swarm_options import JUMP_AHEAD_MS_MAX, MEMBERS_MAX, SwarmOptions
from nodecore.simulation.witnesses import Powers, Stalker

_AGE_MS: Final = 601_000.0
"""Longer than tombstones are kept."""
_MEMBERS_MIN: Final = 3
_FLUSH_POLL_S: Final = 0.02
_FLUSH_POLLS: Final = 500


@dataclass(slots=True)
class FlushAttempt:
    """A FLUSHALL that may have happened."""

    begin_s: float
    end_s: float = FOREVER
    """When it was acknowledged."""


@final
class Nemesis:
    """One run's harm.

    Args:
        cluster: whom it befalls.
        options: which faults, how often.
        reached: told the name of each state that a fault has led to.
        load: on strong keys, if there is any.
    """

    def __init__(
        self,
        cluster: SimCluster,
        options: SwarmOptions,
        reached: Callable[[str], None],
        load: StrongLoad | None = None,
    ) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._options = options
        self._reached = reached
        self._rng = cluster.world.rng("nemesis")
        self._active = False
        self._jumped: tuple[SimProcess, float] | None = None
        """Whose clock was set wrong, and by how many milliseconds."""
        self.one_sided = False
        """Whether somebody is cut off for good in one direction only."""
        self.flushes: list[FlushAttempt] = []
        self.down_for_good: dict[NodeId, None] = {}
        """Dead, or stopped, until :meth:`mend`."""
        powers = Powers(
            lambda: self._active,
            self.may_lose_memory,
            self.may_die,
            self._isolate,
            self._join,
            self._start,
            reached,
        )
        stalker = Stalker(cluster, powers, self._rng)
        self._acts: dict[str, Callable[[], object]] = {
            "cut-one-way": self._cut_one_way,
            "cut-two-ways": self._cut_two_ways,
            "swizzle": self._swizzle,
            "pause": self._pause,
            "crash": self._crash,
            "crash-wiped": self._crash_wiped,
            "crash-torn": self._crash_torn,
            "wipe-witness": stalker.wipe_witness,
            "kill-promiser": stalker.kill_promiser,
            "split-change": stalker.split_change,
            "jump": self._jump,
            "join": self._join,
            "leave": self._leave,
            "replace": self._replace,
            "slow": self._slow,
            "flush": self._flush,
            "age": self._age,
        }
        if load is not None:
            self._acts["ambush"] = Ambusher(cluster, powers, self._rng, load).lay

    # -- course ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Harm from now on."""
        self._active = True
        for name, rate in self._options.rates.items():
            self._next(name, rate)

    def end(self) -> None:
        """No new harm; what was begun goes on to its own end."""
        self._active = False

    def _next(self, name: str, rate: float) -> None:
        def act() -> None:
            if self._active:
                self._world.note("fault", name)
                self._acts[name]()
                self._next(name, rate)

        self._world.after(self._rng.expovariate(rate), act)

    def break_for_good(self, core: list[SimProcess]) -> None:
        """Outside of ``core`` everything stays broken until :meth:`mend`, in one of four ways."""
        inside = [str(process.node_id) for process in core]
        for process in self._cluster.processes.values():
            name = str(process.node_id)
            if name in inside or process.has_left:
                continue
            way = self._rng.choice(("cut", "deaf", "mute", "paused"))
            self._world.note("fault", f"{way} for good", name)
            self.down_for_good[process.node_id] = None
            self.one_sided = self.one_sided or way in ("deaf", "mute")
            if way == "paused":
                process.pause()
            elif way == "cut":
                self._cluster.cut([name], inside)
            elif way == "mute":
                self._cluster.cut([name], inside, both=False)
            else:
                self._cluster.cut(inside, [name], both=False)

    def heal(self, processes: list[SimProcess]) -> None:
        """These run and reach each other from now on."""
        names = [process.node_id for process in processes]
        for process in processes:
            if process.has_left:
                continue
            process.resume()
            if not process.running:
                self._start(process)
        for one in names:
            for other in names:
                self._cluster.network.heal(one, other)
                self._cluster.network.slow(one, other, 0.0)
            self._cluster.network.hear(one)

    def mend(self) -> None:
        """Everything runs and everybody reaches everybody."""
        self.end()
        self.down_for_good.clear()
        if self._jumped is not None:
            victim, by_ms = self._jumped
            self._jumped = victim, 0.0
            victim.clock.jump(-by_ms)
        self._cluster.heal()
        self.heal(list(self._cluster.processes.values()))

    def on_ending(self, process: SimProcess) -> None:
        """A process dies; unless the nemesis itself did it, it is started again soon."""
        life = process.lives

        def again() -> None:
            if not process.running and process.lives == life and not process.has_left:
                self._start(process)

        longest_s = self._options.restart_s_max
        self._world.after(self._rng.uniform(min(0.05, 0.2 * longest_s), longest_s), again)

    # -- who ---------------------------------------------------------------------------------

    def _victim(self) -> SimProcess | None:
        running = self._cluster.running
        return self._rng.choice(running) if len(running) > 1 else None

    def may_lose_memory(self, victim: SimProcess) -> bool:
        """See :func:`losses.may_lose_memory`."""
        return may_lose_memory(self._cluster, victim, strong_alone=self._options.strong_alone)

    def _start(self, process: SimProcess) -> None:
        try:
            process.start()
        except DamagedRecord:
            # What an operator does with a node that refuses its own records.
            self._reached("damaged-record-refused")
            process.disk.wipe()
            process.start()

    # -- acts --------------------------------------------------------------------------------

    def _for_a_while(self, low_s: float, high_s: float, end: Callable[[], None]) -> None:
        self._world.after(self._rng.uniform(low_s, high_s), end)

    def _cut_one_way(self) -> None:
        names = self._cluster.names()
        if len(names) > 1:
            one, other = self._rng.sample(names, 2)
            abrupt = self._rng.random() < 0.3
            self._cluster.network.cut(NodeId(one), NodeId(other), abrupt=abrupt)
            self._for_a_while(0.2, 3.0, lambda: self._heal_pair(one, other))

    def _heal_pair(self, one: str, other: str) -> None:
        if not (NodeId(one) in self.down_for_good or NodeId(other) in self.down_for_good):
            self._cluster.network.heal(NodeId(one), NodeId(other))

    def _heal_pairs(self, left: list[str], right: list[str]) -> None:
        for one in left:
            for other in right:
                self._heal_pair(one, other)
                self._heal_pair(other, one)

    def _cut_two_ways(self) -> None:
        names = self._cluster.names()
        if len(names) < 2:
            return
        count = self._rng.randint(1, len(names) - 1)
        left = self._rng.sample(names, count)
        right = [name for name in names if name not in left]
        self._cluster.cut(left, right, abrupt=self._rng.random() < 0.3)

        self._for_a_while(0.3, 4.0, lambda: self._heal_pairs(left, right))

    def _swizzle(self) -> None:
        """Cut some nodes off one after another, and heal them in another order."""
        names = self._cluster.names()
        chosen = self._rng.sample(names, max(1, len(names) // 2))
        others = {name: [other for other in names if other != name] for name in chosen}
        for name in chosen:
            self._for_a_while(0.0, 1.0, lambda name=name: self._cluster.cut([name], others[name]))  # type: ignore[misc]
        for name in self._rng.sample(chosen, len(chosen)):
            self._for_a_while(1.0, 4.0, partial(self._heal_pairs, [name], others[name]))

    def _pause(self) -> None:
        victim = self._victim()
        if victim is None:
            return
        life = victim.lives
        victim.pause()

        def resume() -> None:
            if victim.lives == life and victim.paused and victim.node_id not in self.down_for_good:
                self._note_waking(victim)
                victim.resume()

        self._for_a_while(0.1, 4.0, resume)

    def _note_waking(self, process: SimProcess) -> None:
        if not self._cluster.is_known():
            return
        if self._cluster.topology().epoch > process.node.epoch():
            self._reached("paused-woke-behind")

    def _crash(self) -> None:
        self._kill(keeps_disk=True)

    def _crash_wiped(self) -> None:
        victim = self._kill()
        if victim is not None:
            victim.disk.wipe()
            self._reached("wiped")

    def _isolate(self, name: str, low_s: float, high_s: float, *, abrupt: bool = False) -> None:
        others = [other for other in map(str, self._cluster.processes) if other != name]
        self._cluster.cut([name], others, abrupt=abrupt)
        self._for_a_while(low_s, high_s, lambda: self._heal_pairs([name], others))

    def _crash_torn(self) -> None:
        victim = self._kill()
        if victim is not None:
            victim.disk.flip_bit()

    def may_die(self, victim: SimProcess) -> bool:
        """Whether a process may be killed that keeps its disk."""
        if self._options.strong_alone:
            return len(self._cluster.running) > 1
        return self.may_lose_memory(victim)

    def _kill(self, *, keeps_disk: bool = False) -> SimProcess | None:
        victim = self._victim()
        allowed = self.may_die if keeps_disk else self.may_lose_memory
        if victim is None or not allowed(victim):
            return None
        change = self._cluster.topology().change
        if change is not None:
            target = change.node_id == victim.node_id
            self._reached("target-died" if target else "source-died-in-joint-epoch")
        victim.crash()
        return victim

    def _jump(self) -> None:
        if self._jumped is not None:
            return
        victim = self._victim()
        if victim is not None:
            by_ms = self._rng.choice((-10_000.0, -400.0, -200.0, 200.0, 400.0, JUMP_AHEAD_MS_MAX))
            self._jumped = victim, by_ms
            victim.clock.jump(by_ms)
            self._reached("clock-jumped")

    def _join(self) -> SimProcess | None:
        if len(self._cluster.running) < 2 or len(self._cluster.processes) >= MEMBERS_MAX:
            return None
        self._reached("join-asked")
        return self._cluster.add()

    def _leave(self) -> None:
        names = self._cluster.names()
        if len(names) > _MEMBERS_MIN and len(self._cluster.members()) > _MEMBERS_MIN:
            self._cluster.leave(self._rng.choice(names))
            self._reached("leave-asked")

    def _replace(self) -> None:
        """A node dies for a long time, and another is put in its place."""
        if len(self._cluster.processes) >= MEMBERS_MAX:
            return
        victim = self._kill()
        if victim is not None and self._cluster.running:
            self._join()
            self._reached("replaced")

    def _slow(self) -> None:
        names = self._cluster.names()
        if len(names) < 2:
            return
        one, other = (NodeId(name) for name in self._rng.sample(names, 2))
        self._cluster.network.slow(one, other, self._rng.uniform(0.01, 0.5))
        self._for_a_while(0.3, 3.0, lambda: self._cluster.network.slow(one, other, 0.0))

    def _flush(self) -> None:
        names = self._cluster.names()
        if names:
            attempt = FlushAttempt(self._world.now_s)
            self.flushes.append(attempt)
            self._watch_flush(
                attempt, self._cluster.admin(self._rng.choice(names), "flush", {}), _FLUSH_POLLS
            )

    def _watch_flush(self, attempt: FlushAttempt, outcomes: list[Outcome], polls: int) -> None:
        if not outcomes:
            if polls:
                self._world.after(
                    _FLUSH_POLL_S, lambda: self._watch_flush(attempt, outcomes, polls - 1)
                )
        elif isinstance(outcomes[0], Done):
            attempt.end_s = self._world.now_s
            self._reached("flushed")
        elif isinstance(outcomes[0], Failed):
            self.flushes.remove(attempt)

    def _age(self) -> None:
        """All clocks are set forward together, past the life of tombstones.

        Only while all nodes reach each other and nothing is under way: nothing is promised of longer
        absences, and no message travels for ten minutes.
        """
        victim, network = self._victim(), self._cluster.network
        if victim is None or not self.may_lose_memory(victim) or network.cuts:
            return
        if network.busy_until_s > self._world.now_s:
            return
        self._reached("aged")
        self._cluster.set_clocks_ahead(_AGE_MS)
