"""Hot keys of the cluster from the hot keys of its nodes.

Each node counts the reads that it served and the writes that it coordinated, so adding the rates of
one key over all nodes counts nothing twice. A key that a node left out of its list can have had at
most the rate of that list's last entry there: that is the error which merging adds.

Agarwal et al., "Mergeable summaries", 2012.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nodecore.limits import HOT_KEYS_REPORTED
from nodecore.statistics import KeyHeat


def merge_hot_keys(
    lists: Iterable[Sequence[KeyHeat]], count: int = HOT_KEYS_REPORTED
) -> tuple[KeyHeat, ...]:
    """The ``count`` hottest keys over all lists, hottest first; ties in order of the key."""
    reads: dict[bytes, float] = {}
    writes: dict[bytes, float] = {}
    slots: dict[bytes, int] = {}
    errors: dict[bytes, float] = {}
    listed_floor: dict[bytes, float] = {}
    floors = 0.0
    for hot_keys in lists:
        floor = 0.0
        if len(hot_keys) >= HOT_KEYS_REPORTED:
            floor = min(heat.reads_per_s + heat.writes_per_s for heat in hot_keys)
        floors += floor
        for heat in hot_keys:
            key = heat.key
            reads[key] = reads.get(key, 0.0) + heat.reads_per_s
            writes[key] = writes.get(key, 0.0) + heat.writes_per_s
            errors[key] = errors.get(key, 0.0) + heat.error
            listed_floor[key] = listed_floor.get(key, 0.0) + floor
            slots[key] = heat.slot
    hottest = sorted(reads, key=lambda key: (-(reads[key] + writes[key]), key))[:count]
    return tuple(
        KeyHeat(
            key=key,
            reads_per_s=reads[key],
            writes_per_s=writes[key],
            slot=slots[key],
            error=errors[key] + max(0.0, floors - listed_floor[key]),
        )
        for key in hottest
    )
