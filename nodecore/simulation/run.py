"""One simulated run: a world, a cluster under load, a history, and the judgement at the end.

Every run ends the same way: faults are lifted (scenarios do that), the load stops, the owners get
time to agree, every key is read at every node, and all checkers speak. A violation, a wait that did
not end, or an exception in a node makes the run fail, with the line that reproduces it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

from nodecore.simulation.checkers import (
    LAG_S,
    check_convergence,
    check_copies,
    check_progress,
    check_reads,
    check_ring,
)
from nodecore.simulation.cluster import ClusterOptions, SimCluster
from nodecore.simulation.history import History
from nodecore.simulation.story import tell
from nodecore.simulation.workload import Workload, WorkloadOptions
from nodecore.simulation.world import World

CONVERGENCE_S = 60.0
"""After the last fault all owners must hold the same bytes within this time."""


@dataclass(frozen=True, slots=True)
class Expectations:
    """What a scenario promises, beyond what every run must keep."""

    success: float = 0.98
    """Share of operations that must succeed, faults included."""
    reads_since_s: float = 0.0
    """Reads before this are not judged: a minority may answer from the past."""
    lag_s: float = LAG_S
    """How far an owner that is not the first may lag behind."""
    copies: bool = True
    """Every key that is held at all is held by all its owners in the end."""


@dataclass(slots=True)
class Report:
    """How a run ended."""

    name: str
    seed: int
    violations: list[str] = field(default_factory=list)
    digest: str = ""
    events: int = 0
    virtual_s: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    """Named states that were reached, and how often."""

    @property
    def reproduce(self) -> str:
        """The command line that repeats the run."""
        return f"python -m nodecore.simulation --seed {self.seed} --scenario {self.name}"


@final
class Run:
    """What a scenario acts on."""

    def __init__(
        self,
        seed: int,
        nodes: int = 3,
        *,
        options: ClusterOptions | None = None,
        load: WorkloadOptions | None = None,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        self.world = World(seed, trace)
        self.world.tell = tell
        self.rng = self.world.rng("scenario")
        self.cluster = SimCluster(self.world, options or ClusterOptions(nodes=nodes))
        self.history = History()
        self.workload = Workload(self.cluster, self.history, load)
        self.expect = Expectations()
        self.states: dict[str, int] = {}

    def reached(self, state: str, count: int = 1) -> None:
        """Note that a state that the scenario is about was reached."""
        self.states[state] = self.states.get(state, 0) + count

    def begin(self, settled_s: float = 0.3) -> None:
        """Start the cluster and the load."""
        self.cluster.start()
        self.workload.preload()
        self.workload.start()
        self.cluster.run(settled_s)

    def judge(self) -> list[str]:
        """End the load, let the cluster settle, and have everything checked."""
        cluster, workload = self.cluster, self.workload
        cluster.wait_stable(60.0)
        cluster.wait(cluster.all_ready, 20.0, "every member serves")
        workload.stop()
        try:
            cluster.wait(self._converged, CONVERGENCE_S, "all owners hold the same")
        except TimeoutError:
            self.reached("no-convergence")
        # Before the last reads: they repair what they find.
        expect = self.expect
        found = check_convergence(cluster, workload.keys)
        if expect.copies:
            found += check_copies(cluster, workload.keys)
        settled_s = self.world.now_s
        for process in cluster.running_members:
            workload.read_all(str(process.node_id))
        found += check_reads(
            self.history,
            lag_s=expect.lag_s,
            since_s=expect.reads_since_s,
            settled_s=settled_s,
        )
        found += check_progress(self.history, share=expect.success)
        return found + check_ring(cluster)

    def _converged(self) -> bool:
        keys = self.workload.keys
        return not check_convergence(self.cluster, keys) and not check_copies(self.cluster, keys)


def run_scenario(
    name: str,
    scenario: Callable[[int, Callable[[str], None] | None], Run],
    seed: int,
    trace: Callable[[str], None] | None = None,
) -> Report:
    """Run a scenario to its end and report; never raises for what the cluster does wrong."""
    report = Report(name, seed)
    run: Run | None = None
    try:
        run = scenario(seed, trace)
        report.violations = run.judge()
    except Exception as error:
        frames = traceback.format_exception(error)
        report.violations = ["".join(frames[-3:]).strip()]
    if run is not None:
        report.digest = run.world.digest
        report.events = run.world.events
        report.virtual_s = run.world.now_s
        report.counts = run.history.counts()
        report.states = run.states
    return report
