"""Whether leases excluded each other: a judgement over who held what, and what the resource accepted.

A lease alone never excludes: its holder may be paused past its end. What must hold is weaker and
enough. Per key: tokens rise in the order of granting; two leases overlap only where the earlier one was
over by the granter's clock (its end, or a release) before the later was granted; and a fill is accepted
only with the token of the newest lease, before that lease is over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

VIOLATIONS_SHOWN_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was granted."""

    key: bytes
    holder: str
    token: int
    granted_s: float
    """When the granter gave it."""
    ends_s: float
    """When it is over if nobody ends it earlier."""
    voided_s: float = math.inf
    """When a release, a write or a delete ended it."""

    @property
    def over_s(self) -> float:
        """From here on it is worth nothing."""
        return min(self.ends_s, self.voided_s)


@dataclass(frozen=True, slots=True)
class Fill:
    """A value that was written under a lease's token."""

    key: bytes
    token: int
    at_s: float
    accepted: bool


def check_leases(leases: Iterable[Lease], fills: Iterable[Fill] = ()) -> list[str]:
    """What was wrong, as lines for a person; empty means nothing."""
    found: list[str] = []
    by_key: dict[bytes, list[Lease]] = {}
    for lease in sorted(leases, key=lambda lease: (lease.granted_s, lease.token)):
        by_key.setdefault(lease.key, []).append(lease)
    for key, granted in by_key.items():
        for before, after in pairwise(granted):
            name = f"{key.decode()}: lease {after.token} of {after.holder}"
            if after.token <= before.token:
                found.append(f"{name} does not rise above {before.token} of {before.holder}")
            if after.granted_s < before.over_s:
                found.append(
                    f"{name} was granted at {after.granted_s:.4f}, while {before.token} of "
                    f"{before.holder} held until {before.over_s:.4f}"
                )
    for fill in fills:
        problem = _judge_fill(fill, by_key.get(fill.key, []))
        if problem and fill.accepted:
            found.append(f"{fill.key.decode()}: a fill with token {fill.token} {problem}")
    return found[:VIOLATIONS_SHOWN_MAX]


def _judge_fill(fill: Fill, granted: list[Lease]) -> str:
    """Why a fill should have been refused; empty when it was right to accept it."""
    known = [lease for lease in granted if lease.granted_s <= fill.at_s]
    if not known or fill.token not in [lease.token for lease in known]:
        return "was accepted although nobody was given that token"
    newest = max(known, key=lambda lease: lease.token)
    if newest.token != fill.token:
        return f"was accepted at {fill.at_s:.4f}, after {newest.token} had been granted"
    if fill.at_s > newest.over_s:
        return f"was accepted at {fill.at_s:.4f}, but its lease was over at {newest.over_s:.4f}"
    return ""
