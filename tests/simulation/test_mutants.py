"""Seeded mutants: each is found within the first 50 seeds of the search that CI runs.

The search stops at the first seed that finds a mutant. Without one the same seeds find nothing (see
``test_swarm``), so that what is found is the mutant.
"""

from __future__ import annotations

import pytest

from nodecore.simulation.swarm import run_swarm
from nodecore.simulation.swarm_options import draw
from tests.simulation.mutants import MUTANTS

SEEDS = range(50)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MUTANTS))
def test_a_mutant_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = MUTANTS[name]
    mutant.apply(monkeypatch)
    for seed in SEEDS:
        if mutant.needs(draw(seed)) and run_swarm(seed).violations:
            return
    raise AssertionError(f"{name} was not found by seeds {SEEDS.start} to {SEEDS.stop - 1}")


def test_there_are_enough_mutants() -> None:
    assert len(MUTANTS) >= 14
    for seed_needs in MUTANTS.values():
        assert any(seed_needs.needs(draw(seed)) for seed in SEEDS)
