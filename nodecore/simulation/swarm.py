"""One swarm seed: a random cluster under random load and random faults, judged at the end.

Two phases (a search with faults that always heal never sees a system that can't make progress):

* *Safety*: faults come and go at random while clients work on all nodes.
* *Liveness*: a majority is picked as the core, made whole, and cut off from the rest, which stays
  broken, possibly one way only. Every operation at the core must be answered, and every default one
  must succeed.

Then everything is mended; the owners must agree, and all reads must be explained (see ``sessions``).

Source of the phases: TigerBeetle's VOPR; no code of theirs.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, final

from nodecore.simulation.checkers import check_convergence, check_copies, check_ring
from nodecore.simulation.cluster import SimCluster
from nodecore.simulation.core import ANSWER_S, Core, pick_core
from nodecore.simulation.history import History, Result
from nodecore.simulation.lease_load import LeaseLoad
from nodecore.simulation.leases import check_leases
from nodecore.simulation.nemesis import Nemesis
from nodecore.simulation.process import SimProcess
from nodecore.simulation.sessions import check_sessions
from nodecore.simulation.sites import Sites
from nodecore.simulation.states import count_events, count_node, count_operations, lapses_of
from nodecore.simulation.story import tell
from nodecore.simulation.strong_history import judge_strong
from nodecore.simulation.strong_load import StrongLoad, StrongOptions
from nodecore.simulation.swarm_options import SwarmOptions, draw
from nodecore.simulation.workload import Workload, WorkloadOptions
from nodecore.simulation.world import World

CONVERGENCE_S: Final = 130.0  # Sixteen rounds of anti-entropy; lost messages spoil some.
CORE_JUDGED_S: Final = 1.2
"""The last part of the liveness phase: until then the core may still find out who is broken."""


@dataclass(slots=True)
class SwarmReport:
    """How a seed ended."""

    seed: int
    options: SwarmOptions
    violations: list[str] = field(default_factory=list)
    inconclusive: int = 0
    """Histories that the checker gave up on."""
    judged: int = 0
    """Histories that it had to judge by search."""
    digest: str = ""
    events: int = 0
    virtual_s: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)

    @property
    def reproduce(self) -> str:
        """The command line that repeats the run."""
        return f"python -m nodecore.simulation --seed {self.seed} --trace"


@final
class SwarmRun:
    """See the module.

    Args:
        options: of the seed.
        seed: decides the rest.
        trace: receives every noted happening.
    """

    def __init__(
        self, options: SwarmOptions, seed: int, trace: Callable[[str], None] | None = None
    ) -> None:
        self.options = options
        self.world = World(seed, trace)
        self.world.tell = tell
        self.states: dict[str, int] = {}
        self.cluster = SimCluster(self.world, options.cluster())
        self.cluster.network.sites = Sites(self.world.rng("sites"), options.sites)
        self.cluster.on_ending = self._on_ending
        self.history = History()
        self.core_history = History()
        self.workload = Workload(self.cluster, self.history, options.workload())
        self.strong_history = History()
        self.strong: StrongLoad | None = None
        if options.strong:
            ambushed = "ambush" in options.rates
            strong_options = StrongOptions(
                clients=5 if options.strong_alone else 4,
                registers=options.strong_registers,
                interval_s=(0.05 if options.strong_alone else 0.08) * (2 if ambushed else 1),
                quiet=8 if ambushed else 0,
            )
            self.strong = StrongLoad(self.cluster, self.strong_history, strong_options)
        self.nemesis = Nemesis(self.cluster, options, self.reached, self.strong)
        self.cluster.may_die = self.nemesis.may_die
        self.leases: LeaseLoad | None = None
        if options.leases:
            self.leases = LeaseLoad(self.cluster, options.clocks_differ_s)
        self.judged = 0
        self.inconclusive = 0
        self._harming = False
        self._core: Core | None = None
        self._broken_s = (math.inf, math.inf)
        """When the liveness phase was."""

    def reached(self, state: str, count: int = 1) -> None:
        """Note a state that the run has been in."""
        self.states[state] = self.states.get(state, 0) + count

    def _on_ending(self, process: SimProcess) -> None:
        count_node(process, self.states)
        if self._harming:
            self.nemesis.on_ending(process)

    # -- phases ------------------------------------------------------------------------------

    def run(self) -> list[str]:
        """Live through both phases; returns what was wrong."""
        self.cluster.start()
        if not self.options.strong_alone:
            self.workload.preload()
            self.workload.start()
        if self.strong is not None:
            self.strong.start()
        if self.leases is not None:
            self.leases.start()
        self.cluster.run(0.2)
        self._safety()
        found = self._liveness()
        found += self._settle()
        self._collect()
        return found

    def _safety(self) -> None:
        self._harming = True
        self.cluster.network.sites.armed = True
        self.nemesis.begin()
        self.cluster.run(self.options.safety_s)
        self.workload.rest()
        self.nemesis.end()
        self.cluster.network.sites.armed = False

    def _liveness(self) -> list[str]:
        processes = pick_core(self.cluster, self.world.rng("core"))
        core = self._core = Core(self.cluster, self.options, processes, self.reached)
        names = core.names
        self.world.note("phase", "liveness", *names)
        self._broken_s = (self.world.now_s, math.inf)
        self.nemesis.heal(processes)
        self.nemesis.break_for_good(processes)
        options = WorkloadOptions(
            clients=3,
            keys=9,
            interval_s=0.06,
            levels=(b"", self.options.binding_level),
        )
        work = Workload(self.cluster, self.core_history, options, names=names, prefix=b"core")
        loads: list[Workload | StrongLoad] = [work]
        if self.strong is not None:
            # Those that ask everybody go on as well: a broken minority must not answer wrongly.
            strong_options = StrongOptions(clients=2, registers=self.options.strong_registers)
            loads.append(
                StrongLoad(
                    self.cluster, self.strong_history, strong_options, names=names, label="core"
                )
            )
        for load in loads:
            load.start()
        self.cluster.run(self.options.liveness_s - CORE_JUDGED_S)
        core.look(self.core_keys)
        self.cluster.run(CORE_JUDGED_S)
        for load in loads:
            load.pause()
        self.cluster.run(ANSWER_S)
        since_s = self.world.now_s - ANSWER_S - CORE_JUDGED_S
        one_sided = self.nemesis.one_sided
        return core.judge(self.core_history, self.strong_history, since_s, one_sided=one_sided)

    def _settle(self) -> list[str]:
        cluster, workload = self.cluster, self.workload
        self.world.note("phase", "settling")
        if self.leases is not None:
            self.leases.pause()
        self._broken_s = (self._broken_s[0], self.world.now_s)
        self.nemesis.mend()
        cluster.wait(self._all_run, 10.0, "everybody runs")
        self._harming = False
        cluster.wait_stable(60.0)
        cluster.wait(cluster.all_ready, 20.0, "every member serves")
        if self.strong is not None:
            self.strong.pause()
        workload.stop()
        found: list[str] = []
        keys = [*workload.keys, *self.core_keys]
        try:
            cluster.wait(lambda: not self._apart(keys), CONVERGENCE_S, "all owners hold the same")
        except TimeoutError:
            found = self._apart(keys)
        settled_s = self.world.now_s
        if not self.options.strong_alone:
            for process in cluster.running_members:
                workload.read_all(str(process.node_id))
        lapses = lapses_of(cluster.processes.values())
        rules = self.options.rules(settled_s, self.nemesis.flushes, lapses)
        found += check_sessions(self.history, rules)
        found += check_sessions(self.core_history, rules)
        found += self._judge_strong()
        # A node that had been removed may have joined meanwhile.
        cluster.wait_stable(60.0)
        return found + check_ring(cluster)

    def _judge_strong(self) -> list[str]:
        if self.strong is None:
            return []
        self.cluster.wait(lambda: not self._open_strong(), 10.0, "every strong operation has ended")
        for process in self.cluster.running_members:
            self.strong.read_all(str(process.node_id))
        judgement = judge_strong(self.strong_history.by_key())
        self.judged, self.inconclusive = judgement.judged, judgement.inconclusive
        if self.leases is not None:
            self.reached("lease-refused", self.leases.refused)
            self.reached("lease-taken-over", self.leases.taken_over)
            return judgement.violations + check_leases(self.leases.leases)
        return judgement.violations

    def _open_strong(self) -> bool:
        return self.strong is not None and self.strong.open > 0

    def _all_run(self) -> bool:
        self.nemesis.mend()
        return all(
            process.running and not process.paused
            for process in self.cluster.processes.values()
            if not process.has_left
        )

    @property
    def core_keys(self) -> list[bytes]:
        """Keys that were written in the liveness phase."""
        return list(self.core_history.by_key())

    def _apart(self, keys: list[bytes]) -> list[str]:
        return check_convergence(self.cluster, keys) + check_copies(self.cluster, keys)

    def counts(self) -> dict[str, int]:
        """Operations by result, without those that asked a node outside of the core while it was
        broken for good: refusing them is right.
        """
        found = {result.value: 0 for result in Result}
        core = [] if self._core is None else self._core.names
        begin_s, end_s = self._broken_s
        for history in (self.history, self.core_history, self.strong_history):
            for operation in history:
                if operation.node in core or not begin_s <= operation.begin_s < end_s:
                    found[operation.result.value] += 1
        return found

    def _collect(self) -> None:
        processes = list(self.cluster.processes.values())
        for process in self.cluster.running:
            count_node(process, self.states)
        count_events(processes, self.states)
        operations = [*self.history, *self.core_history, *self.strong_history]
        count_operations(operations, processes, self.states)
        for name, count in self.cluster.network.sites.fired.items():
            self.reached(name, count)
        if self.cluster.network.ballots_refused:
            self.reached("proposal-preempted", self.cluster.network.ballots_refused)
        first = [f"n{number}" for number in range(1, self.options.members + 1)]
        for name in self.cluster.members():
            if name not in first:
                self.reached("joined")
        for process in processes:
            if process.has_left:
                self.reached("left")


def run_swarm(
    seed: int,
    trace: Callable[[str], None] | None = None,
    options: SwarmOptions | None = None,
) -> SwarmReport:
    """Run a seed to its end and report; never raises for what the cluster does wrong."""
    options = options or draw(seed)
    report = SwarmReport(seed, options)
    run = SwarmRun(options, seed, trace)
    try:
        report.violations = run.run()
    except Exception as error:
        frames = traceback.format_exception(error)
        report.violations = ["".join(frames[-3:]).strip()]
    report.counts = run.counts()
    report.judged, report.inconclusive = run.judged, run.inconclusive
    report.digest = run.world.digest
    report.events = run.world.events
    report.virtual_s = run.world.now_s
    report.states = run.states
    return report
