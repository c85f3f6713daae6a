"""Adaptive: small shadow caches try several policies on a sample of the keys; the best one rules.

A key is in the sample by its hash, so a shadow sees all requests for it: a cache of 256 keys over a
256/C sample misses about as often as one of C keys over everything. After every round of requests
the miss ratios are averaged with the earlier ones; another policy takes over when it misses clearly
less, and receives the entries in the old one's order of eviction: no data is dropped.

Waldspurger, Park, Garthwaite, Ahmad, "Efficient MRC construction with SHARDS", FAST 2015.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Callable
from random import Random
from typing import Final, final

from nodecore.storage.eviction.arc import Arc
from nodecore.storage.eviction.base import Policy
from nodecore.storage.eviction.interface import Capacity, EvictionPolicy
from nodecore.storage.eviction.lru import Lru
from nodecore.storage.eviction.s3fifo import S3Fifo
from nodecore.storage.eviction.sieve import Sieve
from nodecore.storage.eviction.twoq import TwoQ
from nodecore.table.interface import Entry, Kind, Table
from nodecore.table.reference import ReferenceTable

_SHADOW_KEYS: Final = 256
_ROUND_REQUESTS_MIN: Final = 2000
_ROUND_PER_ENTRY: Final = 5
_CLEARLY_LESS: Final = 0.97
_SHADOW_BYTES: Final = 5 * _SHADOW_KEYS * 1200

CANDIDATES: Final[dict[str, Callable[[Capacity], EvictionPolicy]]] = {
    "s3fifo": S3Fifo,
    "lru": Lru,
    "arc": Arc,
    "twoq": TwoQ,
    "sieve": Sieve,
}


@final
class _Shadow:
    """One policy over keys alone."""

    def __init__(self, make: Callable[[Capacity], EvictionPolicy], keys_max: int) -> None:
        self._policy = make(Capacity(keys_max, in_objects=True))
        self._keys_max = keys_max
        self._table = ReferenceTable()
        self._table.touches_max = 0
        self._policy.bind(self._table, Random(0))
        self.misses = 0
        self.ratio: float | None = None

    def request(self, key: bytes) -> None:
        entry = self._table.get(key)
        if entry is not None:
            self._table.touch(key, entry)
            self._policy.on_hit(entry)
            return
        self.misses += 1
        self._policy.before_insert(key)
        while len(self._table) >= self._keys_max:
            victim = self._policy.victim()
            if victim is None:
                break
            self._policy.on_evicted(victim)
            self._table.remove(victim.key)
        self._policy.on_insert(self._table.put(key, Kind.STRING, b"", 1, 1, 0))

    def end_round(self, requests: int) -> float:
        """Average this round's miss ratio into the earlier ones."""
        ratio = self.misses / max(1, requests)
        self.misses = 0
        self.ratio = ratio if self.ratio is None else (self.ratio + ratio) / 2
        return self.ratio


@final
class Adaptive(Policy):
    """The best of five, by trial."""

    name = "adaptive"
    wants_hits = True

    def __init__(self, capacity: Capacity) -> None:
        super().__init__(capacity)
        self.ruling = "s3fifo"
        """The policy that decides now."""
        self.switches = 0
        self._current = CANDIDATES[self.ruling](capacity)
        self._entries = 0
        self._shadows: dict[str, _Shadow] = {}

    def bind(self, table: Table, rng: Random) -> None:
        super().bind(table, rng)
        self._rng = rng
        self._current.bind(table, rng)
        self._restart(len(table))

    def _restart(self, entries: int) -> None:
        """Begin a trial for a cache of that many entries."""
        self._entries = max(entries, 32)
        keys_max = min(self._entries, _SHADOW_KEYS)
        self._sampled_below = min(1 << 32, (keys_max << 32) // self._entries)
        self._shadows = {name: _Shadow(make, keys_max) for name, make in CANDIDATES.items()}
        self._requests = self._sampled = 0

    @property
    def overhead_bytes(self) -> int:
        return self._current.overhead_bytes + min(_SHADOW_BYTES, self.capacity.limit // 16)

    def _observe(self, key: bytes) -> None:
        self._requests += 1
        if crc32(key) < self._sampled_below:
            self._sampled += 1
            for shadow in self._shadows.values():
                shadow.request(key)
        if self._requests >= max(_ROUND_REQUESTS_MIN, _ROUND_PER_ENTRY * self._entries):
            self._end_round()

    def _end_round(self) -> None:
        ratios = {name: shadow.end_round(self._sampled) for name, shadow in self._shadows.items()}
        best = min(ratios, key=lambda name: ratios[name])
        self._requests = self._sampled = 0
        if ratios[best] < _CLEARLY_LESS * ratios[self.ruling]:
            self._switch(best)
        entries = len(self.table)
        if entries > 2 * self._entries or (entries > 32 and entries * 2 < self._entries):
            self._restart(entries)

    def _switch(self, name: str) -> None:
        order: list[Entry] = []
        while (entry := self._current.victim()) is not None:
            self._current.on_evicted(entry)
            self.table.assign(entry, 0)
            order.append(entry)
        self.ruling = name
        self.switches += 1
        self._current = CANDIDATES[name](self.capacity)
        self._current.bind(self.table, self._rng)
        for entry in order:
            self._current.on_insert(entry)

    def before_insert(self, key: bytes) -> None:
        self._current.before_insert(key)

    def on_insert(self, entry: Entry) -> None:
        self._current.on_insert(entry)
        self._observe(entry.key)

    def on_hit(self, entry: Entry) -> None:
        self._current.on_hit(entry)
        self._observe(entry.key)

    def on_remove(self, entry: Entry) -> None:
        self._current.on_remove(entry)

    def victim(self) -> Entry | None:
        return self._current.victim()

    def on_evicted(self, entry: Entry) -> None:
        self._current.on_evicted(entry)

    def on_spared(self, entry: Entry) -> None:
        self._current.on_spared(entry)
