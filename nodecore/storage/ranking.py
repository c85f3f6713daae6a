"""Keeps the ranks of records near the uses of their entries, so that a restart can lift the hottest first.

A record says how hot its key was when it was written; of a keyspace that promises durability that is at
its last change, however often it was read since. A walk over the slots looks at a few entries in each
tick and has the records of those that have grown hotter written again. Ranks are never lowered: a key
that has cooled is lifted early once. It decides nothing about what is kept.
"""

from __future__ import annotations

from typing import Final, final

from nodecore.ids import SLOTS_COUNT
from nodecore.storage.tiered import TieredStore
from nodecore.storage.write_budget import LEAST_PART, scaled

READ_PER_STEP_MAX: Final = 40
"""Records looked at in one step: some ten microseconds each, and as many again when written."""
SLOTS_PER_STEP_MAX: Final = 512


@final
class Ranking:
    """The walk over one store.

    Args:
        store: whose records.
    """

    def __init__(self, store: TieredStore) -> None:
        self._store = store
        self._slot = 0
        self._keys: list[bytes] = []
        self.raised = 0
        """Records that were written again."""

    def step(self, idle_share: float) -> None:
        """Look at some more entries, see ``write_budget.scaled``."""
        table, tier = self._store.table, self._store.tier
        if not tier.filter.used or tier.indexed_to is not None:
            return
        looks = scaled(READ_PER_STEP_MAX // LEAST_PART, READ_PER_STEP_MAX, idle_share)
        slots = scaled(SLOTS_PER_STEP_MAX // LEAST_PART, SLOTS_PER_STEP_MAX, idle_share)
        for _ in range(slots):
            if not self._keys:
                self._slot = (self._slot + 1) % SLOTS_COUNT
                if table.slot_count(self._slot):
                    self._keys = tier.among(table.slot_keys(self._slot))
            while self._keys and looks:
                key = self._keys.pop()
                rank = self._store.rank_of(key)
                if rank:
                    looks -= 1
                    self.raised += self._store.rank_up(key, rank)
            if not looks:
                return
