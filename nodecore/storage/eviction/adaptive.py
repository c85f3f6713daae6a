"""Adaptive: shadow caches try several policies on a sample of the keys; the best one rules.

After every round of requests the miss ratios of the shadows are averaged with the earlier ones;
another policy takes over when it misses clearly less, and receives the entries in the old one's order
of eviction, some with every request: no data is dropped and no request waits for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Final, final

from nodecore.storage.eviction.arc import Arc
from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.handover import Handover
from nodecore.storage.eviction.interface import (
    QUEUES_PER_POLICY,
    Capacity,
    EvictionPolicy,
    PolicyTable,
)
from nodecore.storage.eviction.lru import Lru
from nodecore.storage.eviction.s3fifo import S3Fifo
from nodecore.storage.eviction.shadows import ShadowCaches
from nodecore.storage.eviction.sieve import Sieve
from nodecore.storage.eviction.tinylfu import TinyLfu
from nodecore.storage.eviction.twoq import TwoQ
from nodecore.table.interface import Entry

ROUND_REQUESTS_MIN: Final = 2000
ROUND_SAMPLES: Final = 1000
_CLEARLY_LESS: Final = 0.97
_MOVED_PER_REQUEST: Final = 4

CANDIDATES: Final[dict[str, Callable[[Capacity], EvictionPolicy]]] = {
    "s3fifo": S3Fifo,
    "lru": Lru,
    "arc": Arc,
    "twoq": TwoQ,
    "sieve": Sieve,
    "tinylfu": TinyLfu,
}
FIRST: Final = "s3fifo"
"""Rules until the shadows have something to say."""


@final
class Adaptive(Policy):
    """The best of several, by trial."""

    name = "adaptive"

    def __init__(self, capacity: Capacity) -> None:
        super().__init__(capacity)
        self.ruling = FIRST
        """The policy that decides now."""
        self.switches = 0
        self.shadows = ShadowCaches(CANDIDATES, capacity)
        self._base = 0
        self._requests = 0
        self._follows = False
        self._current: EvictionPolicy = CANDIDATES[FIRST](capacity)
        self._handover: Handover | None = None

    def use_queues(self, base: int) -> None:
        super().use_queues(base)
        self._base = base

    def bind(self, table: PolicyTable, rng: Random) -> None:
        super().bind(table, rng)
        self._rng = rng
        self._current.use_queues(self._base)
        self._current.bind(table, rng)

    @property
    def wants_hits(self) -> bool:
        return not self._follows or self._handover is not None or self._current.wants_hits

    @property
    def bytes_per_entry(self) -> int:
        return self._current.bytes_per_entry

    @property
    def overhead_bytes(self) -> int:
        own = 0 if self._follows else self.shadows.overhead_bytes
        return self._current.overhead_bytes + own

    def follow(self, shadows: ShadowCaches) -> None:
        """Let the owner feed these shadows and call ``choose``, instead of observing requests."""
        self.shadows = shadows
        self._follows = True

    def _observe(self, entry: Entry) -> None:
        if self._handover is not None:
            self.advance(_MOVED_PER_REQUEST)
        if self._follows:
            return
        self._requests += 1
        self.shadows.request(entry.key, entry.size)
        if self._requests >= ROUND_REQUESTS_MIN and self.shadows.sampled >= ROUND_SAMPLES:
            self._end_round()

    def _end_round(self) -> None:
        self._requests = 0
        self.choose(self.shadows.end_round())
        self.shadows.fit(len(self.table))

    def choose(self, ratios: Mapping[str, float]) -> None:
        """Let the policy rule that misses clearly less than the ruling one.

        Args:
            ratios: averaged miss ratio by policy; those that are no candidates are passed over.
        """
        best = min(CANDIDATES, key=lambda name: ratios[name])
        if ratios[best] < _CLEARLY_LESS * ratios[self.ruling] and self._handover is None:
            self._switch(best)

    def _switch(self, name: str) -> None:
        self.ruling = name
        self.switches += 1
        new = CANDIDATES[name](self.capacity)
        base = self._base + (QUEUES_PER_POLICY if self.switches % 2 else 0)
        new.use_queues(base)
        new.bind(self.table, self._rng)
        queues = range(base, base + QUEUES_PER_POLICY)
        self._current = self._handover = Handover(self._current, new, self.table, queues)

    def advance(self, count: int) -> None:
        """Hand over up to ``count`` entries when a switch is under way."""
        handover = self._handover
        if handover is not None and handover.step(count):
            self._current, self._handover = handover.new, None

    def before_insert(self, key: bytes) -> None:
        self._current.before_insert(key)

    def on_insert(self, entry: Entry) -> None:
        self._current.on_insert(entry)
        self._observe(entry)

    @property
    def on_hit(self) -> Callable[[Entry], None]:
        """The ruling policy's own, where nothing else is to be done."""
        settled = self._follows and self._handover is None
        return self._current.on_hit if settled else self._observe_hit

    def _observe_hit(self, entry: Entry) -> None:
        self._current.on_hit(entry)
        self._observe(entry)

    def on_remove(self, entry: Entry) -> None:
        self._current.on_remove(entry)

    def victim(self) -> Entry | None:
        return self._current.victim()

    def on_evicted(self, entry: Entry) -> None:
        self._current.on_evicted(entry)

    def on_spared(self, entry: Entry) -> None:
        self._current.on_spared(entry)
