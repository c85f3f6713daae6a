"""How many copies each member should hold: whole numbers in proportion to weights, within bounds.

Zones bound the quotas: with at least as many zones as copies no zone holds a slot twice; with fewer
zones each holds every slot at least once. Those who hold more now are rounded up first, so that
rounding alone moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from nodecore.ids import SLOTS_COUNT
from nodecore.placement.topology import Member


def apportion(
    total: int,
    weights: Sequence[float],
    bounds: Sequence[tuple[int, int]],
    current: Sequence[int],
) -> list[int]:
    """Split ``total`` in proportion to ``weights`` within ``bounds`` (least, most), which must allow it.

    Equal claims to a rounded-up unit go to the greater ``current``, then to the earlier entry.
    """
    shares = _bounded_shares(total, weights, bounds)
    quotas = [
        min(most, max(least, int(share + 1e-6)))
        for share, (least, most) in zip(shares, bounds, strict=True)
    ]
    order = sorted(
        range(len(quotas)),
        key=lambda i: (-round(shares[i] - quotas[i], 4), -current[i], i),
    )
    missing = total - sum(quotas)
    while missing > 0:
        gave = False
        for index in order:
            if missing > 0 and quotas[index] < bounds[index][1]:
                quotas[index] += 1
                missing -= 1
                gave = True
        if not gave:
            raise ValueError(f"bounds allow {sum(quotas)} of {total}")
    return quotas


def _bounded_shares(
    total: int, weights: Sequence[float], bounds: Sequence[tuple[int, int]]
) -> list[float]:
    """Real-valued shares ``clamp(level x weight)`` with the level at which they sum up to the total."""

    def at(level: float) -> list[float]:
        return [
            min(float(most), max(float(least), level * weight))
            for weight, (least, most) in zip(weights, bounds, strict=True)
        ]

    low, high = 0.0, (total + 1.0) / min(weights)
    for _ in range(100):
        middle = (low + high) / 2
        if sum(at(middle)) < total:
            low = middle
        else:
            high = middle
    return at(high)


def copies_quotas(members: Sequence[Member], copies: int, current: Sequence[int]) -> list[int]:
    """Copies per member; they sum up to ``copies`` for every slot."""
    zones = sorted({member.zone for member in members})
    groups = [[i for i, m in enumerate(members) if m.zone == zone] for zone in zones]
    most = max(1, copies - len(zones) + 1)
    least = 0 if len(zones) >= copies else 1
    zone_quotas = apportion(
        SLOTS_COUNT * copies,
        [sum(members[i].weight for i in group) for group in groups],
        [(least * SLOTS_COUNT, min(most, len(group)) * SLOTS_COUNT) for group in groups],
        [sum(current[i] for i in group) for group in groups],
    )
    quotas = [0] * len(members)
    for group, quota in zip(groups, zone_quotas, strict=True):
        split = apportion(
            quota,
            [members[i].weight for i in group],
            [(0, SLOTS_COUNT)] * len(group),
            [current[i] for i in group],
        )
        for index, value in zip(group, split, strict=True):
            quotas[index] = value
    return quotas
