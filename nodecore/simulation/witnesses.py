"""Who could do most harm by forgetting, and when: deaths that fall at the worst of moments.

A fault that falls at random seldom meets the moment in which a single loss would be one too many for a
protocol that is wrong. These look into nodes, as no client can, and wait for it:

* a bare majority holds the newest value of some strong key (often because the others were cut off): one
  of it is wiped, another one cut off, and who has missed the value is back;
* a change of the owners has begun: an owner that stays is cut off until it is over;
* an acceptor has promised and heard no more of the round: it dies, while others have not heard of that
  round at all, and get between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Final, NamedTuple, Protocol, final

from nodecore.consensus.acceptor import AcceptorState
from nodecore.consensus.ballot import NO_BALLOT
from nodecore.ids import NodeId
from nodecore.simulation.cluster import SimCluster
from nodecore.simulation.process import SimProcess

_WITNESS_S: Final = (0.02, 1.5)
_AWAY_S: Final = (0.2, 0.7)
"""How long somebody is away before one looks: values are acknowledged meanwhile that it misses."""
_CHANGE_S: Final = (0.02, 3.0)
_PROMISE_S: Final = (0.005, 0.8)
"""How often one looks, and for how long."""
_ISOLATED_S: Final = (2.0, 4.0)


class Isolate(Protocol):
    """Cuts a node off for a while: at least, at most so many seconds."""

    def __call__(self, name: str, low_s: float, high_s: float, *, abrupt: bool = False) -> None:
        """``abrupt``: what is under way is lost."""


class Powers(NamedTuple):
    """What the nemesis lets these do."""

    active: Callable[[], bool]
    may_lose_memory: Callable[[SimProcess], bool]
    may_die: Callable[[SimProcess], bool]
    isolate: Isolate
    join: Callable[[], SimProcess | None]
    """Let another node join, if there is room for one."""
    start: Callable[[SimProcess], None]
    reached: Callable[[str], None]


@final
class Stalker:
    """Waits for bad moments.

    Args:
        cluster: whose nodes.
        powers: of the nemesis.
        rng: decides how slow things get.
    """

    def __init__(self, cluster: SimCluster, powers: Powers, rng: Random) -> None:
        self._cluster = cluster
        self._powers = powers
        self._rng = rng

    def wipe_witness(self) -> None:
        """Wipe one of a bare majority, as soon as there is one; often, see to it that there is."""
        names = [str(process.node_id) for process in self._cluster.running]
        away_s = 0.0
        if len(names) > 2 and self._rng.random() < 0.5:
            away_s = self._rng.uniform(*_AWAY_S)
            self._powers.isolate(self._rng.choice(names), away_s, away_s, abrupt=True)
        look = partial(self._wait, self._wipe_witness, *_WITNESS_S)
        self._cluster.world.after(away_s, look)

    def kill_promiser(self) -> None:
        """Let others than one acceptor hear late of a proposer, and kill that acceptor between its
        promise and the end of the round.
        """
        names = [process.node_id for process in self._cluster.running]
        if len(names) < 3:
            return
        acceptor, *rest = self._rng.sample(names, 3)
        # Of rounds with equal counters the one of the later name outranks the other.
        proposer = max(rest)
        network, world = self._cluster.network, self._cluster.world
        for other in names:
            if other not in (acceptor, proposer):
                network.slow(proposer, other, self._rng.uniform(0.3, 0.7))
                world.after(1.0, partial(network.slow, proposer, other, 0.0))
        self._wait(partial(self._kill_promiser, acceptor, proposer), *_PROMISE_S)

    def split_change(self) -> None:
        """Cut off an owner that stays, as soon as a change of the owners is under way: what is written
        meanwhile it has not when the new owners decide alone.
        """
        self._wait(self._split_change, *_CHANGE_S)

    def _split_change(self) -> bool:
        if not self._cluster.is_known():
            return False
        topology = self._cluster.topology()
        change = topology.change
        if change is None:
            return False
        staying = [m.node_id for m in change.members_next if topology.member(m.node_id) is not None]
        staying = [name for name in staying if name != change.node_id]
        self._powers.isolate(str(self._rng.choice(staying)), *_ISOLATED_S)
        self._powers.reached("change-split")
        return True

    def _wait(self, strike: Callable[[], bool], period_s: float, left_s: float) -> None:
        if self._powers.active() and not strike() and left_s > 0:
            again = partial(self._wait, strike, period_s, left_s - period_s)
            self._cluster.world.after(period_s, again)

    def _wipe_witness(self) -> bool:
        holders = bare_majority(self._cluster.running)
        victims = [holder for holder in holders if self._powers.may_lose_memory(holder)]
        if not victims:
            return False
        victim = victims[0]
        victim.crash()
        victim.disk.wipe()
        self._powers.reached("witness-wiped")
        self._start_soon(victim, 0.1)
        last = next(holder for holder in holders if holder is not victim)
        self._powers.isolate(str(last.node_id), *_ISOLATED_S)
        return True

    def _kill_promiser(self, acceptor: NodeId, proposer: NodeId) -> bool:
        process = self._cluster.processes[acceptor]
        if not process.running or process.paused or not self._powers.may_die(process):
            return False
        for _key, _slot, state in _registers(process):
            promised = state.promised
            if promised.proposer == proposer and promised != state.accepted_ballot:
                process.crash()
                self._start_soon(process, 0.01)
                self._powers.reached("promiser-died")
                return True
        return False

    def _start_soon(self, process: SimProcess, delay_s: float) -> None:
        self._cluster.world.after(
            delay_s, lambda: None if process.running else self._powers.start(process)
        )


def bare_majority(processes: list[SimProcess]) -> list[SimProcess]:
    """Owners of some strong key that have accepted its newest value, where no owner less would do for a
    majority; empty when every key is held by more.
    """
    by_name = {process.node_id: process for process in processes}
    keys = {key: slot for process in processes for key, slot, _state in _registers(process)}
    for key, slot in sorted(keys.items()):
        routing = processes[0].node.standing.routing
        owners = () if routing is None else routing.route(key, slot).owners
        if not owners or any(name not in by_name for name in owners):
            continue
        states = {name: by_name[name].node.strong.registers.get(key, slot) for name in owners}
        accepted = {
            name: NO_BALLOT if state is None else state.accepted_ballot
            for name, state in states.items()
        }
        newest = max(accepted.values())
        holders = [name for name in owners if accepted[name] == newest]
        if newest > NO_BALLOT and len(holders) == len(owners) // 2 + 1 < len(owners):
            return [by_name[name] for name in holders]
    return []


def _registers(process: SimProcess) -> Iterator[tuple[bytes, int, AcceptorState]]:
    registers = process.node.strong.registers
    for key, slot in list(registers.keys()):
        state = registers.get(key, slot)
        if state is not None:
            yield key, slot, state
