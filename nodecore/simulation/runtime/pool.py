"""Runs many seeds on several cores: worker processes that take one seed at a time.

A seed is the same in any process, so that the number of workers changes nothing but the time. A worker
that dies (out of memory, killed) fails the whole run: a seed that was not judged must not look right.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process

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
        collect_by_seed()
        try:
            yield from map(run_one_and_collect, seeds)
        finally:
            gc.enable()
            gc.unfreeze()
        return
    # Fresh interpreters: nothing that an earlier import left behind can matter.
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin_worker) as pool:
        yield from pool.map(run_one_and_collect, seeds)


def _begin_worker() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    collect_by_seed()


def _end_with_parent() -> None:
    """A run that is killed takes its workers with it: each holds the pipe that would tell the other."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def collect_by_seed() -> None:
    """Look for garbage between seeds only: what a run makes mostly lives until its end."""
    gc.freeze()
    gc.disable()


def run_one_and_collect(seed: int) -> SeedResult:
    """As :func:`run_one`; nothing of the seed stays."""
    result = run_one(seed)
    gc.collect()
    return result


def run_one(seed: int) -> SeedResult:
    """One seed, with the processor time that it took."""
    begun_s = time.process_time()
    report = run_swarm(seed)
    return result_of(report, time.process_time() - begun_s)
