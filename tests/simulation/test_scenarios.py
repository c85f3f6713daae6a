"""Every named scenario over a few seeds. A failure prints the line that repeats it."""

from __future__ import annotations

import pytest

from nodecore.simulation.run import run_scenario
from nodecore.simulation.scenarios import SCENARIOS

QUICK = ("join", "leave", "restart-wiped", "restart-all", "target-dies", "flush-while-joining")
"""A second or less each."""

STATES = {
    "join": "entries-moved",
    "join-over-bad-network": "lost",
    "leave": "stopped-itself",
    "crash-and-removal": "removed",
    "crash-without-room": "removal-refused",
    "restart": "unfilled",
    "restart-wiped": "readmitted",
    "restart-all": "cold-start",
    "partition": "partitioned",
    "removed-returns": "rejoined",
    "target-dies": "cancelled",
    "target-restarts": "copied-anew",
    "coordinator-dies": "takeover",
    "source-dies": "other-source",
    "pause": "resumed",
    "flush-while-joining": "flushed",
    "dead-returns-after-removal": "member",
    "dies-while-rejoining": "died-again",
    "returns-while-another-is-away": "member",
    "join-while-another-is-away": "joined",
    "recovery": "recovered",
    "recovery-and-return": "fenced",
    "copies-raised": "raised",
    "copies-lowered": "lowered",
    "lowered-without-an-owner": "lowered",
    "narrower-pattern": "narrow",
    "clock-jump": "undone",
    "clock-set-back": "dates-again",
    "partition-policies": "merged",
}
"""What a scenario is about; a run that never gets there proves nothing."""


def passes(name: str, seed: int) -> None:
    report = run_scenario(name, SCENARIOS[name], seed)
    shown = "\n".join(report.violations)
    assert not report.violations, f"{shown}\nreproduce: {report.reproduce}"
    if name in STATES:
        assert report.states.get(STATES[name]), f"{STATES[name]} was not reached"


@pytest.mark.parametrize("name", QUICK)
def test_scenario(name: str) -> None:
    passes(name, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - set(QUICK)))
def test_long_scenario(name: str) -> None:
    passes(name, 1)


@pytest.mark.swarm
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 105))
@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_scenario_over_seeds(name: str, seed: int) -> None:
    passes(name, seed)
