"""Steered changes and faults in the middle of them. A failure prints the line that repeats it."""

from __future__ import annotations

import pytest

from nodecore.ids import SLOTS_COUNT
from nodecore.requests import Outcome, Write
from nodecore.simulation.changing import CHANGING
from nodecore.simulation.cluster import ClusterOptions, SimCluster
from nodecore.simulation.run import run_scenario
from nodecore.simulation.world import World

STATES = {
    "cancelled_by_operator": ("cancelled", "wiped"),
    "paused_and_resumed": ("joint", "paused"),
    "paused_over_a_takeover": ("takeover",),
    "paused_target_dies": ("cancelled",),
    "limited": ("limited",),
    "partition_in_joint_epoch": ("joint", "refused"),
    "approval": ("waits",),
    "rejected_join": ("rejected",),
    "removal_needs_approval": ("proposed",),
    "replaced": ("replaced",),
    "rebalanced": ("rebalanced",),
}
"""What a scenario is about; a run that never gets there proves nothing."""

SCENARIOS = {scenario.__name__: scenario for scenario in CHANGING}
QUICK = ("paused_target_dies", "rejected_join")


def passes(name: str, seed: int) -> None:
    report = run_scenario(name.replace("_", "-"), SCENARIOS[name], seed)
    shown = "\n".join(report.violations)
    assert not report.violations, f"{shown}\nreproduce: {report.reproduce}"
    for state in STATES[name]:
        assert report.states.get(state), f"{state} was not reached"


def test_every_scenario_says_what_it_is_about() -> None:
    assert set(SCENARIOS) == set(STATES)


@pytest.mark.parametrize("name", QUICK)
def test_change(name: str) -> None:
    passes(name, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.swarm) for n in (1, 2))])
@pytest.mark.parametrize("name", sorted(set(STATES) - set(QUICK)))
def test_long_change(name: str, seed: int) -> None:
    passes(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed", "state"),
    [
        ("replaced", 4, "dies"),
        ("replaced", 1, "dead"),
        ("rebalanced", 4, "restarted-member"),
        ("removal_needs_approval", 0, "approved"),
        ("removal_needs_approval", 1, "withdrawn"),
    ],
)
def test_each_way_that_a_scenario_may_go_is_gone(name: str, seed: int, state: str) -> None:
    report = run_scenario(name.replace("_", "-"), SCENARIOS[name], seed)
    assert not report.violations, "\n".join(report.violations)
    assert report.states.get(state), f"{state} was not reached: choose another seed"


def test_a_founder_that_comes_back_on_an_empty_disk_has_everything_copied() -> None:
    cluster = SimCluster(World(1), ClusterOptions(3))
    cluster.start()
    outcomes: list[Outcome] = []
    keys = tuple(b"k%d" % number for number in range(60))
    cluster.submit("n1", Write(keys, keys), outcomes.append)
    cluster.wait(lambda: bool(outcomes), 2.0, "the keys are written")
    founding = [process.node.strong.founding for process in cluster.running]
    cluster.wait(lambda: not any(f.undecided for f in founding), 5.0, "the cluster is founded")
    cluster.restart("n2", wiped=True)
    node = cluster.node("n2")
    cluster.wait(lambda: not node.strong.founding.undecided, 2.0, "n2 is known from before")
    assert node.topology_changes.slots_reset == SLOTS_COUNT
    cluster.wait(cluster.all_ready, 5.0, "n2 holds its copies")
    assert all(node.store.get(key, cluster.process("n2").clock.now()) for key in keys)
