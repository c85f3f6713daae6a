"""Shows the node's requests to its shadow caches, off the path of the requests.

It passes on the sampled ones among the keys that were read and the keys that were new, of slots
where this node decides about eviction: elsewhere it does not see the reads. The shadows get the share
of the memory that such slots take. A tick has a budget; when it runs out often, the sample is made
thinner.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import chain, islice
from typing import Final, final

from nodecore.ids import SLOTS_COUNT
from nodecore.storage.eviction import POLICIES
from nodecore.storage.eviction.adaptive import CANDIDATES
from nodecore.storage.eviction.interface import Capacity
from nodecore.storage.eviction.shadows import Estimate, ShadowCaches
from nodecore.storage.room import Decides
from nodecore.table.interface import Table
from nodecore.table.key_filter import make_keys_below

SAMPLES_PER_TICK_MAX: Final = 250
"""Some four milliseconds of a quarter of a second."""
KEYS_PER_TICK_MAX: Final = 50_000
ROUND_SAMPLES: Final = 500
REFIT_TICKS: Final = 40
ENTRIES_MIN: Final = 1024
_EXTRA: Final = ("gdsf", "lfu")
"""Shown beside the candidates of ``adaptive``."""


@final
class ShadowFeed:
    """The shadows of one store.

    Args:
        table: the store's.
        bytes_max: memory for entries.
    """

    def __init__(self, table: Table, bytes_max: int) -> None:
        self._table = table
        self._keys_below = make_keys_below(table.compiled)
        names = dict.fromkeys((*CANDIDATES, *_EXTRA))
        self.shadows = ShadowCaches({name: POLICIES[name] for name in names}, Capacity(bytes_max))
        self.skipped = 0
        """Samples beyond the budget, in all."""
        self.overhead_bytes = 0
        """Memory of the shadows, as of the last tick."""
        self._ticks = self._exhausted = 0
        self._samples_left, self._keys_left = SAMPLES_PER_TICK_MAX, KEYS_PER_TICK_MAX

    def estimates(self) -> tuple[Estimate, ...]:
        """What every policy would have done here, best first; empty before the first round."""
        return self.shadows.estimates()

    def feed(
        self,
        arrived: Collection[bytes],
        touched: Collection[bytes],
        decides: Decides,
        samples_max: int = SAMPLES_PER_TICK_MAX,
    ) -> None:
        """Pass on requests, within what is left of the tick's budget.

        Args:
            arrived: keys that were stored anew, in order.
            touched: keys that were read, in order.
            decides: whether this node decides about eviction in a slot.
            samples_max: at most so many now.
        """
        table, shadows = self._table, self.shadows
        below, budget = shadows.sampled_below, min(samples_max, self._samples_left)
        self._samples_left -= budget
        keys_max = self._keys_left
        self._keys_left -= min(keys_max, len(arrived) + len(touched))
        keys = list(islice(chain(arrived, touched), keys_max))
        for key in self._keys_below(keys, below):
            entry = table.get(key)
            if entry is None or not entry.queue or not decides(entry.slot):
                continue
            if budget <= 0:
                self.skipped += 1
                continue
            budget -= 1
            shadows.request(key, entry.size)
        self._samples_left += budget

    def end_tick(self, decides: Decides) -> dict[str, float] | None:
        """The tick's requests have all been passed on.

        Returns:
            The averaged miss ratio of every policy when a round ended, else None.
        """
        shadows = self.shadows
        self._ticks += 1
        self._exhausted += self._samples_left <= 0
        self._samples_left, self._keys_left = SAMPLES_PER_TICK_MAX, KEYS_PER_TICK_MAX
        self.overhead_bytes = shadows.overhead_bytes
        ratios = shadows.end_round() if shadows.sampled >= ROUND_SAMPLES else None
        if self._ticks >= REFIT_TICKS:
            self._refit(decides)
        return ratios

    def _refit(self, decides: Decides) -> None:
        """Follow the size of the store, and what its requests allow."""
        table = self._table
        often = 2 * self._exhausted > self._ticks
        self._ticks = self._exhausted = 0
        if often and self.shadows.thin():
            return
        entries = self._decided(decides)
        limit = table.inline_bytes_max * entries // max(1, len(table))
        self.shadows.fit(max(ENTRIES_MIN, entries), max(1, limit))

    def _decided(self, decides: Callable[[int], bool]) -> int:
        """Live entries of the slots where this node decides."""
        live = self._table.slot_live
        return sum(count for slot in range(SLOTS_COUNT) if (count := live(slot)) and decides(slot))
