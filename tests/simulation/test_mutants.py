"""Seeded mutants: each is found within the first 50 seeds of the search that CI runs.

The search begins with a seed that is known to find the mutant, so that it is short as long as nothing
has changed, and goes on with the others. That none of these seeds complains without a mutant is what
``test_swarm`` proves.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nodecore.simulation.swarm import run_swarm
from nodecore.simulation.swarm_options import draw
from tests.simulation.mutants import MUTANTS, Mutant

SEEDS = range(50)


def order(mutant: Mutant) -> Iterator[int]:
    """Seeds that can notice the mutant, the known one first."""
    yield mutant.seed
    for seed in SEEDS:
        if seed != mutant.seed and mutant.needs(draw(seed)):
            yield seed


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = MUTANTS[name]
    mutant.apply(monkeypatch)
    found = any(run_swarm(seed).violations for seed in order(mutant))
    assert found, f"{name} was not found by seeds {SEEDS.start} to {SEEDS.stop - 1}"


def test_there_are_enough_mutants() -> None:
    assert len(MUTANTS) >= 27
    for mutant in MUTANTS.values():
        assert mutant.seed in SEEDS
        assert mutant.needs(draw(mutant.seed))
