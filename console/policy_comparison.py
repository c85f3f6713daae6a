"""What ``ringdeck policy-sim`` was asked and what it found, as data and as lines for a terminal.

It checks capacities and policies and lays out table and chart; it replays nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Final

from console.errors import UsageError
from console.formatting import size
from nodecore.config_parsing import parse_size
from nodecore.errors import InvalidConfig
from nodecore.storage.policy_sim.replay import REPLAYED

CAPACITIES_MAX: Final = 32
BELADY: Final = "belady"
SIZED_BOUND: Final = "pfoo-l"
BOUNDS: Final = {
    BELADY: "exact optimum (Belady)",
    SIZED_BOUND: "lower bound for objects of different sizes (PFOO-L)",
}
COLUMNS: Final = ("capacity", "policy", "misses", "miss ratio", "byte miss ratio", "ns/request")
_BAR_CELLS: Final = 40
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True, slots=True)
class Finding:
    """One policy at one capacity; also the shape of ``--json``."""

    policy: str
    capacity: int
    requests: int
    misses: int
    miss_ratio: float
    byte_miss_ratio: float
    """Of the bytes asked for, those that missed; the miss ratio when the trace has no sizes."""
    ns_per_request: float
    """Processor time of the whole replay, the replaying itself included, by the number of requests."""


def parse_capacities(text: str) -> tuple[int, ...]:
    """``100,1k,64MiB`` as ascending distinct numbers.

    Raises:
        UsageError: one is no number of at least 1, or there are too many.
    """
    found = set()
    for part in text.split(","):
        try:
            capacity = parse_size("--capacity", part)
        except InvalidConfig:
            raise UsageError(
                f"--capacity: expected numbers such as 1000,64k or 256MiB, got {part!r}"
            ) from None
        if not 1 <= capacity < 1 << 50:
            raise UsageError(f"--capacity: must lie between 1 and 2^50, not {part.strip()}")
        found.add(capacity)
    if len(found) > CAPACITIES_MAX:
        raise UsageError(f"--capacity: at most {CAPACITIES_MAX} at a time")
    return tuple(sorted(found))


def parse_policies(text: str) -> tuple[str, ...]:
    """``all``, or names by commas, in the order given.

    Raises:
        UsageError: there is no such policy.
    """
    if text.strip() == "all":
        return REPLAYED
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in REPLAYED:
            raise UsageError(f"--policy: no policy {name!r}: there are {', '.join(REPLAYED)}")
    if not names:
        raise UsageError("--policy: name at least one, or all")
    return names


def table_rows(findings: list[Finding], in_bytes: bool) -> list[tuple[object, ...]]:
    """Cells below ``COLUMNS``: by capacity, best first."""
    return [
        (
            size(finding.capacity) if in_bytes else finding.capacity,
            finding.policy,
            finding.misses,
            f"{finding.miss_ratio:.4f}",
            f"{finding.byte_miss_ratio:.4f}",
            round(finding.ns_per_request),
        )
        for finding in ranked(findings)
    ]


def ranked(findings: list[Finding]) -> list[Finding]:
    """By capacity, then best first; a bound stands before what equals it."""
    return sorted(
        findings,
        key=lambda finding: (
            finding.capacity,
            finding.misses,
            finding.policy not in BOUNDS,
            finding.policy,
        ),
    )


def bar(ratio: float, unicode: bool) -> str:
    """A bar of up to 40 cells."""
    eighths = round(min(max(ratio, 0.0), 1.0) * _BAR_CELLS * 8)
    if not unicode:
        return "#" * round(eighths / 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def chart_lines(findings: list[Finding], in_bytes: bool, unicode: bool) -> list[str]:
    """Miss ratios as bars, a block for each capacity."""
    width = max(len(finding.policy) for finding in findings)
    lines = []
    for capacity, group in groupby(ranked(findings), key=lambda finding: finding.capacity):
        shown = size(capacity) + "B" if in_bytes else f"{capacity:,} objects"
        lines.append(f"miss ratio at {shown}")
        lines += [
            f"  {finding.policy:<{width}} {finding.miss_ratio:6.1%} {bar(finding.miss_ratio, unicode)}"
            for finding in group
        ]
    return lines
