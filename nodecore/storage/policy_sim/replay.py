"""One policy, one capacity, one trace: how many requests would have missed.

It runs the policy objects that nodes run over a table that holds keys alone, and does what the gate
and the store do: a hit counts in the entry and is told to the policy if it wants hits; a miss makes
room and stores the object. An object larger than the capacity is never stored. It measures no time.
"""

from __future__ import annotations

from random import Random
from typing import Final, final

from nodecore.storage.eviction import POLICIES
from nodecore.storage.eviction.interface import Capacity, EvictionPolicy
from nodecore.storage.eviction.key_table import KeyTable
from nodecore.storage.policy_sim.trace import Trace

_COUNTER_MAX: Final = 3
"""Where the gate stops counting."""
_NAMES: Final = {"lfu": "lfu-unaged", "lfu:aged": "lfu"}
REPLAYED: Final = tuple(sorted({*_NAMES, *POLICIES} - {"lfu-unaged", "ttl"}))
"""Names of what can be replayed: ``lfu`` never forgets, ``lfu:aged`` is what nodes call ``lfu``;
traces have no expiries, so ``ttl`` would be ``fifo``."""


def policy_for_replay(name: str, limit: int, in_objects: bool) -> EvictionPolicy:
    """A fresh policy by its name in a comparison.

    Raises:
        ValueError: no such policy, or the capacity is below 1.
    """
    if name not in REPLAYED:
        raise ValueError(f"policy must be one of {', '.join(REPLAYED)}, not {name!r}")
    if limit < 1:
        raise ValueError(f"capacity must be at least 1, not {limit}")
    return POLICIES[_NAMES.get(name, name)](Capacity(limit, in_objects))


@final
class Replay:
    """A cache under trial.

    Args:
        policy: fresh, made for ``limit``.
        limit: objects, or bytes when the trace has sizes.
        trace: what to replay, piece by piece.
    """

    def __init__(self, policy: EvictionPolicy, limit: int, trace: Trace) -> None:
        self._policy = policy
        self._limit = limit
        self._trace = trace
        self.table = KeyTable()
        policy.bind(self.table, Random(1))
        self.position = 0
        """Requests replayed so far."""
        self.misses = 0
        self.missed_bytes = 0

    @property
    def finished(self) -> bool:
        """Whether every request was replayed."""
        return self.position >= len(self._trace)

    def step(self, count: int) -> None:
        """Replay up to ``count`` more requests."""
        end = min(self.position + count, len(self._trace))
        if self._trace.sizes is None:
            self._step_objects(end)
        else:
            self._step_bytes(end)
        self.position = end

    def _step_objects(self, end: int) -> None:
        policy, table, limit = self._policy, self.table, self._limit
        entries, keys, wants_hits = table.entries, self._trace.keys, policy.wants_hits
        on_hit, misses = policy.on_hit, 0
        for number in self._trace.requests[self.position : end]:
            key = keys[number]
            entry = entries.get(key)
            if entry is not None:
                if entry.counter < _COUNTER_MAX:
                    entry.counter += 1
                if wants_hits:
                    on_hit(entry)
                continue
            misses += 1
            policy.before_insert(key)
            while len(entries) >= limit and self._evict_one():
                continue
            policy.on_insert(table.add(key, 1))
        self.misses += misses
        self.missed_bytes += misses

    def _step_bytes(self, end: int) -> None:
        policy, table, limit = self._policy, self.table, self._limit
        entries, keys, sizes = table.entries, self._trace.keys, self._trace.sizes
        assert sizes is not None
        numbers = self._trace.requests[self.position : end]
        for number, size in zip(numbers, sizes[self.position : end], strict=True):
            key = keys[number]
            entry = entries.get(key)
            if entry is not None:
                if entry.counter < _COUNTER_MAX:
                    entry.counter += 1
                if entry.size != size:
                    table.resize(entry, size)
                policy.on_hit(entry)
                while table.bytes_used > limit and self._evict_one():
                    continue
                continue
            self.misses += 1
            self.missed_bytes += size
            if size > limit:
                continue
            policy.before_insert(key)
            while table.bytes_used + size > limit and self._evict_one():
                continue
            policy.on_insert(table.add(key, size))

    def _evict_one(self) -> bool:
        victim = self._policy.victim()
        if victim is None:
            return False
        self._policy.on_evicted(victim)
        self.table.remove(victim.key)
        return True
