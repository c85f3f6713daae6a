"""Makes room: chooses what leaves memory, so that the store stays within its limit.

Tombstones above a quarter of the memory go first, oldest first. Then the policy proposes entries;
one is taken only from a slot where this node decides about eviction. When a whole round of
proposals is for others to decide, the first of them goes all the same: the slot is then *partial*
(it lacks entries that other owners hold). Nothing here knows how entries are removed or counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from nodecore.storage.eviction.interface import EvictionPolicy
from nodecore.table.interface import Entry

PROPOSALS_MAX: Final = 64
"""Proposals for other nodes' slots that are passed over before one of them is forced out."""
TOMBSTONES_SHARE_MAX: Final = 0.25
HEADROOM_SHARE_MIN: Final = 1 / 256
HEADROOM_SHARE_MAX: Final = 1 / 16
EVICTIONS_PER_TICK_MAX: Final = 4096
"""Some ten milliseconds: the rest is evicted by the writes that need the room."""


Decides: TypeAlias = Callable[[int], bool]
"""Whether this node decides about eviction in a slot."""


class Choice(NamedTuple):
    """The entry to evict, and whether another node should have decided."""

    entry: Entry
    forced: bool


def choose(policy: EvictionPolicy, decides: Decides) -> Choice | None:
    """The next victim; None when the policy holds nothing."""
    first: Entry | None = None
    for _ in range(PROPOSALS_MAX):
        entry = policy.victim()
        if entry is None:
            break
        if decides(entry.slot):
            policy.on_evicted(entry)
            return Choice(entry, forced=False)
        policy.on_spared(entry)
        if first is None:
            first = entry
        elif entry is first:
            break
    if first is None:
        return None
    policy.on_remove(first)
    return Choice(first, forced=True)


def headroom_bytes(bytes_max: int, written_bytes: int) -> int:
    """Room to keep free after a tick, so that the next tick's inline writes find it."""
    least = int(bytes_max * HEADROOM_SHARE_MIN)
    return min(max(2 * written_bytes, least), int(bytes_max * HEADROOM_SHARE_MAX))
