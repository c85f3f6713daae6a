"""The same seed gives the same run, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nodecore.simulation.run import run_scenario
from nodecore.simulation.scenarios import SCENARIOS
from nodecore.simulation.swarm import run_swarm
from nodecore.simulation.swarm_options import draw
from nodecore.table import TableNotBuiltError, make_table

TABLES = ("compiled", "reference")
ROOT = Path(__file__).resolve().parent.parent.parent


def digests(scenario: str, seed: int, hash_seeds: tuple[str, ...]) -> list[str]:
    """One process for each hash seed, all at once; without a scenario: of a swarm run."""
    command = [sys.executable, "-m", "nodecore.simulation", "--digest", "--seed", str(seed)]
    if scenario:
        command += ["--scenario", scenario]
    running = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in hash_seeds
    ]
    try:
        return [process.communicate(timeout=100)[0].strip() for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def test_the_digest_does_not_depend_on_the_process() -> None:
    found = digests("leave", 7, ("0", "1", "random"))
    assert len(found[0]) == 32, found
    assert len(set(found)) == 1, found


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 12, 35])
def test_the_digest_of_a_swarm_run_does_not_depend_on_the_process(seed: int) -> None:
    found = digests("", seed, ("0", "1", "random"))
    assert len(found[0]) == 32, found
    assert len(set(found)) == 1, found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["target-restarts", "partition-one-way", "coordinator-dies"])
def test_the_digest_of_faults_does_not_depend_on_the_process(name: str) -> None:
    assert len(set(digests(name, 3, ("0", "1", "random")))) == 1


def test_a_seed_is_the_same_alone_and_after_others() -> None:
    first = run_scenario("leave", SCENARIOS["leave"], 11)
    other = run_scenario("leave", SCENARIOS["leave"], 12)
    again = run_scenario("leave", SCENARIOS["leave"], 11)
    assert first.digest == again.digest
    assert first.digest != other.digest


@pytest.mark.slow
def test_both_tables_give_the_same_run() -> None:
    """The compiled table and its specification differ in nothing that a cluster can notice."""
    try:
        make_table("compiled")
    except TableNotBuiltError as error:
        pytest.skip(str(error))
    for seed in (1, 16):
        runs = [run_swarm(seed, options=replace(draw(seed), table=table)) for table in TABLES]
        assert runs[0].digest == runs[1].digest
