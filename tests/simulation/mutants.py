"""Mutants: the product is broken on purpose, in one small way each, and the swarm must notice.

``MUTANTS`` names them all. ``needs`` picks among the seeds those that can notice at all, so that the
search is short: a seed without strong keys can't notice what happens to them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from nodecore.simulation.swarm_options import SwarmOptions
from tests.simulation import mutants_eventual as eventual_keys
from tests.simulation import mutants_strong as strong_keys

Patch = pytest.MonkeyPatch
Needs = Callable[[SwarmOptions], bool]


@dataclass(frozen=True)
class Mutant:
    """One way to break the product."""

    apply: Callable[[Patch], None]
    needs: Needs
    seed: int
    """One that finds it."""


def always(_options: SwarmOptions) -> bool:
    return True


def strong(options: SwarmOptions) -> bool:
    return options.strong


def strong_alone(options: SwarmOptions) -> bool:
    return options.strong_alone


def leases(options: SwarmOptions) -> bool:
    return options.leases


def with_faults(*names: str, keys: Needs = always) -> Needs:
    """Seeds that enable one of these faults."""
    return lambda options: keys(options) and any(name in options.rates for name in names)


CRASHES = ("crash", "crash-wiped", "crash-torn", "replace")
CHANGES = ("join", "leave", "replace")
CUTS = ("cut-one-way", "cut-two-ways", "swizzle", "pause")


MUTANTS: dict[str, Mutant] = {
    mutant.apply.__name__: mutant
    for mutant in (
        Mutant(strong_keys.read_without_equality_test, with_faults(*CUTS, keys=strong), seed=6),
        Mutant(strong_keys.read_not_written_back, with_faults(*CUTS, keys=strong), seed=23),
        Mutant(strong_keys.read_from_one, strong, seed=2),
        Mutant(strong_keys.change_is_read_then_write, strong, seed=1),
        Mutant(strong_keys.half_is_a_majority, strong, seed=1),
        Mutant(strong_keys.promise_forgotten, strong_alone, seed=3),
        Mutant(strong_keys.promise_not_persisted, with_faults("ambush"), seed=5),
        Mutant(strong_keys.amnesia, strong_alone, seed=3),
        Mutant(strong_keys.wiped_node_votes, with_faults("wipe-witness", keys=strong), seed=18),
        Mutant(strong_keys.one_sided_eviction, strong_alone, seed=3),
        Mutant(strong_keys.old_owners_alone, with_faults("ambush", *CHANGES, keys=strong), seed=49),
        Mutant(strong_keys.new_owners_alone, with_faults("ambush"), seed=2),
        Mutant(strong_keys.copies_by_accepted_ballot, with_faults("ambush"), seed=2),
        Mutant(strong_keys.expiry_by_a_fast_clock, leases, seed=2),
        Mutant(strong_keys.held_leases_ignored, leases, seed=2),
        Mutant(strong_keys.changes_run_again, strong_alone, seed=5),
        Mutant(strong_keys.unknown_told_as_failed, with_faults(*CUTS, keys=strong), seed=2),
        Mutant(strong_keys.strong_records_never_written, strong_alone, seed=26),
        Mutant(eventual_keys.fallback_ack_counts, with_faults(*CUTS), seed=0),
        Mutant(
            eventual_keys.slots_complete_without_copies, with_faults(*CHANGES, *CRASHES), seed=1
        ),
        Mutant(eventual_keys.doubt_not_told, with_faults(*CUTS), seed=0),
        Mutant(eventual_keys.versions_not_compared, with_faults(*CUTS), seed=11),
        Mutant(eventual_keys.version_from_own_clock, always, seed=14),
        Mutant(eventual_keys.copies_forgotten, always, seed=0),
        Mutant(eventual_keys.nothing_made_up_for, with_faults(*CUTS), seed=0),
        Mutant(
            eventual_keys.tombstones_collected_early,
            with_faults(*CUTS, keys=lambda options: options.deletes > 0.2),
            seed=14,
        ),
        Mutant(eventual_keys.stale_epochs_admitted, with_faults("ambush"), seed=2),
    )
}
