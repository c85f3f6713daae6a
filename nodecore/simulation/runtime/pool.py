"""Runs many seeds on several cores: worker processes that take one seed at a time.

A seed is the same in any process, so that the number of workers changes nothing but the time. A worker
that dies (out of memory, killed) fails the whole run: a seed that was not judged must not look right.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from nodecore.simulation.summary import SeedResult, result_of
from nodecore.simulation.swarm import run_swarm


def run_seeds(seeds: Sequence[int], jobs: int = 0) -> Iterator[SeedResult]:
    """Results in order of the seeds.

    Args:
        seeds: which.
        jobs: worker processes; 0: one for each core, 1: none, run here.
    """
    jobs = min(jobs or os.cpu_count() or 1, len(seeds))
    if jobs <= 1:
        yield from map(run_one, seeds)
        return
    # Fresh interpreters: nothing that an earlier import left behind can matter.
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=collect_rarely) as pool:
        yield from pool.map(run_one, seeds)


def collect_rarely() -> None:
    """Look for garbage as seldom as nodes do: a run makes much that lives until its end."""
    gc.set_threshold(50_000, 20, 100)


def run_one(seed: int) -> SeedResult:
    """One seed, with the processor time that it took."""
    begun_s = time.process_time()
    report = run_swarm(seed)
    return result_of(report, time.process_time() - begun_s)
