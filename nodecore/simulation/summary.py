"""What many seeds found, as one object: the line that CI reads.

Reports come in any order (workers finish when they like) and are summed in order of their seeds, so
that the digest of the whole depends on the seeds alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from nodecore.simulation.states import SOMETIMES
from nodecore.simulation.swarm import SwarmReport


@dataclass(frozen=True, slots=True)
class SeedResult:
    """What is kept of one seed: plain data that crosses a process boundary."""

    seed: int
    digest: str
    violations: list[str]
    options: list[str]
    """As lines; only of a seed that failed."""
    reproduce: str
    inconclusive: int
    judged: int
    ok: int
    operations: int
    events: int
    virtual_s: float
    cpu_s: float
    states: dict[str, int] = field(default_factory=dict)


def result_of(report: SwarmReport, cpu_s: float) -> SeedResult:
    """Keep what a summary needs."""
    return SeedResult(
        seed=report.seed,
        digest=report.digest,
        violations=report.violations,
        options=report.options.lines() if report.violations else [],
        reproduce=report.reproduce,
        inconclusive=report.inconclusive,
        judged=report.judged,
        ok=report.counts.get("ok", 0),
        operations=sum(report.counts.values()),
        events=report.events,
        virtual_s=report.virtual_s,
        cpu_s=cpu_s,
        states=report.states,
    )


def summarise(results: Iterable[SeedResult]) -> dict[str, object]:
    """The summary: see the keys."""
    ordered = sorted(results, key=lambda result: result.seed)
    digest = hashlib.blake2b(digest_size=16)
    reached = dict.fromkeys(SOMETIMES, 0)
    for result in ordered:
        digest.update(f"{result.seed}:{result.digest}\n".encode())
        for name, count in result.states.items():
            reached[name] = reached.get(name, 0) + (count > 0)
    operations = sum(result.operations for result in ordered)
    judged = sum(result.judged for result in ordered)
    inconclusive = sum(result.inconclusive for result in ordered)
    return {
        "seeds": len(ordered),
        "violations": [
            {
                "seed": result.seed,
                "found": result.violations,
                "options": result.options,
                "reproduce": result.reproduce,
            }
            for result in ordered
            if result.violations
        ],
        "inconclusive": inconclusive,
        "inconclusive_ratio": round(inconclusive / judged, 4) if judged else 0.0,
        "completed_ratio": _ratio(sum(result.ok for result in ordered), operations),
        "operations": operations,
        "sometimes": reached,
        "never": [name for name in SOMETIMES if not reached[name]],
        "virtual_s": round(sum(result.virtual_s for result in ordered), 1),
        "cpu_s_mean": _ratio(sum(result.cpu_s for result in ordered), len(ordered)),
        "cpu_s_max": round(max((result.cpu_s for result in ordered), default=0.0), 2),
        "digest": digest.hexdigest(),
    }


def _ratio(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole else 0.0
