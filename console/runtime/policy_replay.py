"""Runs a comparison of policies over one trace: replays, bounds, time, progress.

Everything that decides is in ``nodecore.storage.policy_sim``; this adds the clock and the loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from console.policy_comparison import BELADY, SIZED_BOUND, Finding
from nodecore.storage.policy_sim.bounds import SizedBound, belady_misses, next_uses
from nodecore.storage.policy_sim.replay import Replay, policy_for_replay
from nodecore.storage.policy_sim.trace import Trace

_STEP_REQUESTS: Final = 50_000
Progress = Callable[[str, int], None]
"""(what is running, requests done since the last call)."""


def compare(
    trace: Trace, capacities: Sequence[int], policies: Sequence[str], progress: Progress
) -> list[Finding]:
    """Every policy at every capacity, and the bound at each.

    Args:
        trace: at least one request.
        capacities: objects, or bytes when the trace has sizes.
        policies: names of ``REPLAYED``.
        progress: told as requests are done; ``work`` says how many there will be.
    """
    findings = _bounds(trace, capacities, progress)
    for capacity in capacities:
        findings += [_replay(trace, name, capacity, progress) for name in policies]
    return findings


def work(trace: Trace, capacities: Sequence[int], policies: Sequence[str]) -> int:
    """Requests that ``compare`` will report as done."""
    return len(trace) * len(capacities) * (len(policies) + 1)


def _finding(
    trace: Trace, policy: str, capacity: int, misses: tuple[int, int], seconds: float
) -> Finding:
    requests, bytes_total = len(trace), trace.bytes_total
    return Finding(
        policy,
        capacity,
        requests,
        misses[0],
        misses[0] / requests,
        misses[1] / bytes_total,
        round(seconds * 1e9 / requests, 1),
    )


def _replay(trace: Trace, name: str, capacity: int, progress: Progress) -> Finding:
    replay = Replay(policy_for_replay(name, capacity, trace.sizes is None), capacity, trace)
    seconds = 0.0
    while not replay.finished:
        before, started = replay.position, time.process_time()
        replay.step(_STEP_REQUESTS)
        seconds += time.process_time() - started
        progress(f"{name} at {capacity:,}", replay.position - before)
    return _finding(trace, name, capacity, (replay.misses, replay.missed_bytes), seconds)


def _bounds(trace: Trace, capacities: Sequence[int], progress: Progress) -> list[Finding]:
    """The bound at every capacity; what all of them share is worked out once and charged to each."""
    started = time.process_time()
    following = next_uses(trace)
    sized = SizedBound(trace, following) if trace.sizes is not None else None
    shared_s = time.process_time() - started
    findings = []
    for capacity in capacities:
        started = time.process_time()
        if sized is None:
            missed = belady_misses(trace, following, capacity)
            misses, name = (missed, missed), BELADY
        else:
            misses, name = (sized.misses(capacity), sized.missed_bytes(capacity)), SIZED_BOUND
        seconds = shared_s + time.process_time() - started
        progress(f"{name} at {capacity:,}", len(trace))
        findings.append(_finding(trace, name, capacity, misses, seconds))
    return findings
