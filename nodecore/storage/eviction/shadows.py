"""Shadow caches: several policies try their luck on a sample of the real requests.

A key is in the sample by its hash, so a shadow sees every request for it: a cache of 256 keys over a
256/C sample misses about as often as one of C keys over everything. Shadows hold keys and sizes, no
data; ``adaptive`` chooses by them and nodes report them. Memory is bounded; whoever feeds them bounds
the work.

Waldspurger, Park, Garthwaite, Ahmad, "Efficient MRC construction with SHARDS", FAST 2015.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, final

from nodecore.storage.eviction.interface import Capacity, EvictionPolicy
from nodecore.storage.eviction.key_table import KeyTable

SHADOW_KEYS: Final = 512
"""Keys that each shadow holds about, of a capacity in objects."""
SHADOW_KEYS_IN_BYTES: Final = 1024
"""The same where memory allows; sizes differ, so it takes more of them."""
KEY_BYTES_TYPICAL: Final = 512
"""Assumed size of an entry until the table shows another."""
_KEY_BYTES: Final = 400
"""Memory of one key in one shadow, with the policy's bookkeeping and ghosts, measured."""
_MEMORY_DIVISOR: Final = 16
_KEYS_MIN: Final = 16
_KEYS_THIN: Final = 64
_TELLING_SAMPLES: Final = 200
"""With fewer, the first round says nothing yet."""
_LIMIT_RATIO: Final = 1.25
_HASHES: Final = 1 << 32
_COUNTER_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one policy would have done with the sample."""

    policy: str
    hit_ratio: float
    """0..1, averaged over the last rounds."""
    samples: int
    """Requests that it rests on."""


@final
class Shadow:
    """One policy over keys and sizes."""

    def __init__(self, make: Callable[[Capacity], EvictionPolicy], capacity: Capacity) -> None:
        self._policy = make(capacity)
        self._limit = capacity.limit
        self._table = KeyTable()
        self._policy.bind(self._table, Random(0))
        self.misses = 0
        """Of this round."""
        self.ratio: float | None = None
        """Miss ratio, averaged over the rounds; None before the first."""

    def __len__(self) -> int:
        return len(self._table)

    def request(self, key: bytes, size: int) -> None:
        """One request for a sampled key."""
        table, policy = self._table, self._policy
        entry = table.entries.get(key)
        if entry is not None:
            if entry.counter < _COUNTER_MAX:
                entry.counter += 1
            policy.on_hit(entry)
            return
        self.misses += 1
        if size > self._limit:
            return
        policy.before_insert(key)
        while table.bytes_used + size > self._limit:
            victim = policy.victim()
            if victim is None:
                break
            policy.on_evicted(victim)
            table.remove(victim.key)
        policy.on_insert(table.add(key, size))

    def end_round(self, requests: int) -> float:
        """Average this round's miss ratio into the earlier ones."""
        ratio = self.misses / max(1, requests)
        self.misses = 0
        self.ratio = ratio if self.ratio is None else (self.ratio + ratio) / 2
        return self.ratio


@final
class ShadowCaches:
    """The shadows of one cache.

    Args:
        candidates: policies to try, by name.
        capacity: of the real cache.
    """

    def __init__(
        self, candidates: Mapping[str, Callable[[Capacity], EvictionPolicy]], capacity: Capacity
    ) -> None:
        self._candidates = dict(candidates)
        self.capacity = capacity
        self.keys_max = SHADOW_KEYS
        """Keys of each shadow; fewer in a small memory, none in one where they would say nothing."""
        if not capacity.in_objects:
            affordable = capacity.limit // _MEMORY_DIVISOR // (len(candidates) * _KEY_BYTES)
            self.keys_max = min(SHADOW_KEYS_IN_BYTES, affordable) if affordable >= _KEYS_MIN else 0
        typical = 1 if capacity.in_objects else KEY_BYTES_TYPICAL
        self._start(max(1, capacity.limit // typical))

    def _start(self, entries: int) -> None:
        """Begin anew for a cache of about that many entries."""
        self.entries = entries
        below = min(_HASHES, self.keys_max * _HASHES // entries)
        self.sampled_below = below
        """Keys whose ``crc32`` is less are in the sample."""
        limit = max(1, round(self.capacity.limit * below / _HASHES))
        shadow_capacity = Capacity(limit, self.capacity.in_objects)
        self._shadows = {
            name: Shadow(make, shadow_capacity) for name, make in self._candidates.items()
        }
        self.sampled = 0
        """Requests of this round that were in the sample."""
        self.samples = 0
        """Of all rounds."""

    @property
    def overhead_bytes(self) -> int:
        """Memory of all shadows."""
        return _KEY_BYTES * sum(len(shadow) for shadow in self._shadows.values())

    def request(self, key: bytes, size: int) -> bool:
        """A request of the real cache; returns whether it was in the sample."""
        if crc32(key) >= self.sampled_below:
            return False
        self.sampled += 1
        unit = 1 if self.capacity.in_objects else size
        for shadow in self._shadows.values():
            shadow.request(key, unit)
        return True

    def end_round(self) -> dict[str, float]:
        """Close a round; returns the averaged miss ratio of every policy."""
        ratios = {name: shadow.end_round(self.sampled) for name, shadow in self._shadows.items()}
        self.samples += self.sampled
        self.sampled = 0
        return ratios

    def fit(self, entries: int, limit: int | None = None) -> bool:
        """Begin anew when the real cache is far larger or smaller than assumed.

        Args:
            entries: that it holds.
            limit: bytes that it may hold; None when that has not changed.
        """
        limit = limit or self.capacity.limit
        known = self.capacity.limit
        same_limit = known / _LIMIT_RATIO <= limit <= known * _LIMIT_RATIO
        few = max(entries, self.entries) <= self.keys_max
        same_entries = few or self.entries / 2 <= entries <= 2 * self.entries
        if self.capacity.in_objects or (same_limit and same_entries):
            return False
        self.capacity = Capacity(limit)
        self._start(max(1, entries))
        return True

    def thin(self) -> bool:
        """Begin anew with half the sample; False when it is as thin as it may be."""
        if self.keys_max // 2 < _KEYS_THIN:
            return False
        self.keys_max //= 2
        self._start(self.entries)
        return True

    def estimates(self) -> tuple[Estimate, ...]:
        """Per policy, best first; empty before the first few hundred requests."""
        first = self.samples == 0
        if first and self.sampled < _TELLING_SAMPLES:
            return ()
        known = [
            Estimate(
                name,
                1 - (shadow.misses / self.sampled if shadow.ratio is None else shadow.ratio),
                self.sampled if first else self.samples,
            )
            for name, shadow in self._shadows.items()
        ]
        return tuple(sorted(known, key=lambda estimate: (-estimate.hit_ratio, estimate.policy)))
