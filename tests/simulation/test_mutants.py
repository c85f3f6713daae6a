"""Seeded mutants: the product is broken on purpose, and the checkers must notice.

Each mutant is tried over a few seeds of the scenario that is about it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nodecore.replication import migration
from nodecore.replication.anti_entropy import AntiEntropy
from nodecore.replication.replica import Replica
from nodecore.simulation.run import Run, run_scenario
from nodecore.simulation.scenarios import SCENARIOS
from nodecore.simulation.workload import WorkloadOptions

pytestmark = pytest.mark.slow


def found(scenario: str, seeds: int = 6) -> list[str]:
    """Violations of the first seed that has any."""
    for seed in range(1, seeds + 1):
        violations = run_scenario(scenario, SCENARIOS[scenario], seed).violations
        if violations:
            return violations
    return []


def without_copying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every slot counts as complete at once, and nothing makes up for it later."""

    def nothing(*_arguments: object) -> list[object]:
        return []

    monkeypatch.setattr(migration, "wants", nothing)
    monkeypatch.setattr(migration.TopologyChanges, "is_complete", lambda _self, _slot: True)
    monkeypatch.setattr(AntiEntropy, "step", lambda _self, _now: None)


def quiet(seed: int, nodes: int) -> Run:
    """Keys are written once and then left alone: no later write hides what is missing."""
    run = Run(seed, nodes, load=WorkloadOptions(keys=200))
    run.cluster.start()
    run.cluster.run(2.0)
    run.workload.preload()
    run.cluster.run(2.0)
    return run


def quiet_join(seed: int, _trace: object = None) -> Run:
    run = quiet(seed, 3)
    run.cluster.add()
    run.cluster.wait(lambda: len(run.cluster.members()) == 4, 30.0, "n4 is a member")
    return run


def quiet_restarts(seed: int, _trace: object = None) -> Run:
    run = quiet(seed, 3)
    for name in ("n1", "n3"):
        run.cluster.restart(name)
        run.cluster.run(0.5)
        run.cluster.wait_stable()
        run.cluster.wait(run.cluster.all_ready, 20.0, "all serve")
    return run


@pytest.mark.parametrize("scenario", [quiet_join, quiet_restarts])
def test_slots_that_count_as_complete_without_a_copy(
    monkeypatch: pytest.MonkeyPatch, scenario: Callable[[int, object], Run]
) -> None:
    assert run_scenario("quiet", scenario, 1).violations == []
    without_copying(monkeypatch)
    assert run_scenario("quiet", scenario, 1).violations


def test_owners_that_forget_every_second_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    original: Callable[..., object] = Replica.on_write
    calls = [0]

    def lossy(self: Replica, message: object, now: object) -> object:
        calls[0] += 1
        reply = original(self, message, now)
        if calls[0] % 2:
            for key in message.keys:  # type: ignore[attr-defined]
                self.store.table.remove(key)
        return reply

    monkeypatch.setattr(Replica, "on_write", lossy)
    assert found("join")


def test_without_anti_entropy_copies_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AntiEntropy, "step", lambda _self, _now: None)
    assert any("owners differ" in line for line in found("restart-wiped", seeds=12))
