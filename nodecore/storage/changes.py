"""How single entries change: stored if newer, expired, evicted, dropped, flushed, collected.

It decides whether a change is newer than what is there, whether it may still be taken (flush
generation, tombstone floor, memory), and what leaves memory. Expired entries turn into tombstones
that keep their version. Every change but an inline write is told to the hooks, which is why the
gate's inline writes belong to slots that no other node holds. It reads no clock, sends nothing, and
knows owners only through ``owner_decides``.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, TypeAlias

from nodecore.ids import SLOTS_COUNT, Now, Version
from nodecore.storage.causes import OLD_NEWS, ApplyResult, Cause
from nodecore.storage.eviction.interface import EvictionPolicy
from nodecore.storage.expiry import BYTES_PER_KEY, ExpiryWheel
from nodecore.storage.precedence import is_newer
from nodecore.storage.room import TOMBSTONES_SHARE_MAX, Decides, choose
from nodecore.storage.sweep import Sweep
from nodecore.storage.tombstones import BYTES_PER_REFERENCE, Tombstones
from nodecore.table.interface import (
    ENTRY_OVERHEAD_BYTES,
    QUEUE_TOMBSTONES,
    Entry,
    Kind,
    Table,
)

ChangeHook: TypeAlias = Callable[[bytes, Entry | None, Entry | None, Cause], None]
"""(key, entry now or None when it is gone, detached copy of what was there or None, cause)."""
SLACK_BYTES_MAX: Final = 64 * 1024
ARRIVALS_MAX: Final = 20_000
"""New keys kept for the shadow caches between two ticks."""
EVICTED_REPORTED_MAX: Final = 100_000
"""Evictions kept for the other owners between two ticks; they find the rest by repair."""


class EntryChanges:
    """Entries of one node, within a memory limit; the base of ``memory.Store``.

    Args:
        table: holds the entries.
        policy: orders them for eviction.
        bytes_max: memory for entries, tombstones and all bookkeeping.
        rng: for policies that draw lots.
    """

    def __init__(
        self, table: Table, policy: EvictionPolicy, bytes_max: int, rng: random.Random
    ) -> None:
        self.table = table
        self.policy = policy
        self.bytes_max = bytes_max
        self.flushed_hlc = 0
        self.owner_decides: Decides = lambda _slot: True
        self.partial_slots: set[int] = set()
        self.on_change: list[ChangeHook] = []
        self.evictions = dict.fromkeys(("size", "ordered", "expired", "forced", "moved"), 0)
        self.counters = dict.fromkeys(
            ("refused_memory", "refused_floor", "refused_flushed", "older", "collected", "flushed"),
            0,
        )
        self._wheel = ExpiryWheel(self._expiry_of)
        self._tombstones = Tombstones(
            self._is_tombstone, lambda: table.queue_count(QUEUE_TOMBSTONES)
        )
        self._sweep = Sweep(table, self._remove_flushed)
        self._evicted: list[tuple[bytes, Version]] = []
        self._hits_seen = 0
        self._arrived: deque[bytes] = deque(maxlen=ARRIVALS_MAX)
        self._slack = min(bytes_max >> 10, SLACK_BYTES_MAX)
        policy.bind(table, rng)
        self._adopt_table()

    def _adopt_table(self) -> None:
        for slot in range(SLOTS_COUNT if len(self.table) else 0):
            for key in self.table.slot_keys(slot):
                entry = self.table.get(key)
                assert entry is not None
                if entry.kind == Kind.TOMBSTONE:
                    self._tombstones.add(key, entry.hlc, entry.hlc >> 16)
                    continue
                self.policy.on_insert(entry)
                if entry.expires_ms:
                    self._wheel.add(key, entry.expires_ms)
        self._limit_inline_writes()

    # -- reading

    def get(self, key: bytes, now: Now, touch: bool = False) -> Entry | None:
        """The entry or tombstone of a key; None when nothing is known.

        Args:
            key: the key.
            now: an entry past its expiry becomes a tombstone first.
            touch: whether a live hit counts as a use, for the policy and for heat.
        """
        entry = self._present(key)
        if entry is None or entry.kind == Kind.TOMBSTONE:
            return entry
        if 0 < entry.expires_ms <= now.wall_ms:
            return self._expire(entry, now)
        if touch:
            self.table.touch(key, entry)
        if entry.generation != self.table.generation:
            self.table.readmit(key, entry)
        return entry

    def _present(self, key: bytes) -> Entry | None:
        """The entry, unless it belongs to a flushed generation: then it goes now."""
        entry = self.table.get(key)
        if entry is not None and entry.hlc <= self.flushed_hlc:
            self._remove_flushed(key)
            return None
        return entry

    def _expiry_of(self, key: bytes) -> int:
        entry = self.table.get(key)
        return 0 if entry is None or entry.kind == Kind.TOMBSTONE else entry.expires_ms

    def _is_tombstone(self, key: bytes, hlc: int) -> bool:
        entry = self.table.get(key)
        return entry is not None and entry.kind == Kind.TOMBSTONE and entry.hlc == hlc

    # -- changing

    def apply(
        self,
        key: bytes,
        kind: int,
        value: bytes,
        version: Version,
        expires_ms: int,
        cause: Cause,
        now: Now,
    ) -> ApplyResult:
        """Store a record if it is newer than what is there, by (clock, node, ``tie_wins``)."""
        if version.hlc <= self.flushed_hlc:
            return self._refused("refused_flushed", ApplyResult.REFUSED_FLUSHED)
        entry = self._present(key)
        if entry is None:
            if cause in OLD_NEWS and version.hlc <= self._tombstones.floor(self.table.slot_of(key)):
                return self._refused("refused_floor", ApplyResult.REFUSED_FLOOR)
        elif not is_newer(version, kind, value, entry):
            return self._refused("older", ApplyResult.OLDER)
        if kind != Kind.TOMBSTONE:
            size = len(key) + len(value) + self._entry_bytes(expires_ms)
            if entry is None or entry.kind == Kind.TOMBSTONE:
                self.policy.before_insert(key)
            if not self._make_room(size, key, entry):
                return self._refused("refused_memory", ApplyResult.REFUSED_MEMORY)
        before = self._snapshot(self.table.get(key))
        self._put(key, kind, value, version, expires_ms, now)
        if self.on_change:
            self._tell(key, self.table.get(key), before, cause)
        return ApplyResult.APPLIED

    def _refused(self, counter: str, result: ApplyResult) -> ApplyResult:
        self.counters[counter] += 1
        return result

    def _snapshot(self, entry: Entry | None) -> Entry | None:
        return entry.snapshot() if entry is not None and self.on_change else None

    def _tell(self, key: bytes, after: Entry | None, before: Entry | None, cause: Cause) -> None:
        for hook in self.on_change:
            hook(key, after, before, cause)

    def _put(
        self, key: bytes, kind: int, value: bytes, version: Version, expires_ms: int, now: Now
    ) -> Entry:
        if kind == Kind.TOMBSTONE:
            there = self.table.get(key)
            if there is not None and there.kind != Kind.TOMBSTONE:
                self.policy.on_remove(there)
            entry = self.table.put(key, kind, b"", version.hlc, version.node, 0)
            self._tombstones.add(key, version.hlc, now.wall_ms)
            self.table.inline_bytes_max -= BYTES_PER_REFERENCE
            self._limit_tombstones()
            return entry
        entry = self.table.put(key, kind, value, version.hlc, version.node, expires_ms)
        self._admit(entry)
        return entry

    def _admit(self, entry: Entry) -> None:
        """Tell policy and wheel of a live entry that was just stored."""
        policy = self.policy
        if entry.queue == 0:
            policy.on_insert(entry)
            self._arrived.append(entry.key)
            self.table.inline_bytes_max -= policy.bytes_per_entry
        elif policy.wants_hits:
            policy.on_hit(entry)
        if entry.expires_ms:
            self._wheel.add(entry.key, entry.expires_ms)
            self.table.inline_bytes_max -= BYTES_PER_KEY

    def apply_batch(
        self,
        keys: Sequence[bytes],
        values: Sequence[bytes],
        version: Version,
        expires_ms: int,
        cause: Cause,
        now: Now,
    ) -> list[tuple[int, ApplyResult]]:
        """Store strings that share one version; returns the positions that were not applied.

        The keys must differ from each other: of equal keys ``tie_wins`` would choose.
        """
        table = self.table
        growth = sum(map(len, keys)) + sum(map(len, values))
        growth += len(keys) * self._entry_bytes(expires_ms)
        if version.hlc <= self.flushed_hlc or cause in OLD_NEWS or not self._make_room(growth):
            results = (
                self.apply(key, Kind.STRING, value, version, expires_ms, cause, now)
                for key, value in zip(keys, values, strict=True)
            )
            return [
                (position, result)
                for position, result in enumerate(results)
                if result is not ApplyResult.APPLIED
            ]
        before = [self._snapshot(table.get(key)) for key in keys] if self.on_change else []
        fresh = table.multi_put(keys, values, version.hlc, version.node, expires_ms)
        older = table.older
        self.counters["older"] += len(older)
        if expires_ms or self.policy.wants_hits:
            left = frozenset(older)
            fresh = [key for position, key in enumerate(keys) if position not in left]
        for key in fresh:
            entry = table.get(key)
            if entry is not None:
                self._admit(entry)
        if self.on_change:
            left = frozenset(older)
            for position, key in enumerate(keys):
                if position not in left:
                    self._tell(key, table.get(key), before[position], cause)
        return [(position, ApplyResult.OLDER) for position in older]

    # -- removing

    def _remove(self, entry: Entry, cause: Cause) -> None:
        """Take an entry out without a tombstone; the policy knows already."""
        removed = self.table.remove(entry.key)
        assert removed is not None
        if self.on_change:
            self._tell(removed.key, None, removed, cause)
        removed.release()

    def _remove_flushed(self, key: bytes) -> None:
        self._forget(key, Cause.FLUSH)
        self.counters["flushed"] += 1

    def _forget(self, key: bytes, cause: Cause) -> None:
        entry = self.table.get(key)
        assert entry is not None
        if entry.kind != Kind.TOMBSTONE:
            self.policy.on_remove(entry)
        self._remove(entry, cause)

    def _expire(self, entry: Entry, now: Now) -> Entry:
        """Turn a live entry into a tombstone of the same version."""
        before = self._snapshot(entry)
        version = Version(entry.hlc, entry.node)
        tombstone = self._put(entry.key, Kind.TOMBSTONE, b"", version, 0, now)
        self.evictions["expired"] += 1
        if self.on_change:
            self._tell(tombstone.key, tombstone, before, Cause.EXPIRED)
        return tombstone

    def drop(self, key: bytes, up_to: Version) -> bool:
        """Evict by order of the deciding owner, unless what is here is newer; leaves no tombstone."""
        entry = self._present(key)
        if entry is None or entry.kind == Kind.TOMBSTONE or (entry.hlc, entry.node) > up_to:
            return False
        self._forget(key, Cause.EVICTED)
        self.evictions["ordered"] += 1
        return True

    def drop_slot(self, slot: int) -> int:
        """Forget a slot that another node owns now; returns how many entries went."""
        keys = self.table.slot_keys(slot)
        for key in keys:
            self._forget(key, Cause.MOVED)
        self.evictions["moved"] += len(keys)
        self.partial_slots.discard(slot)
        self._tombstones.forget_slot(slot)
        return len(keys)

    def _collect(self, key: bytes) -> None:
        """Forget a tombstone; older news about its slot is refused from now on."""
        entry = self.table.get(key)
        assert entry is not None
        self._tombstones.collected(entry.slot, entry.hlc)
        self._remove(entry, Cause.COLLECTED)
        self.counters["collected"] += 1

    # -- room

    @property
    def memory_bytes(self) -> int:
        """Entries, tombstones and bookkeeping."""
        return self.table.bytes_used + self._bookkeeping_bytes()

    def _bookkeeping_bytes(self) -> int:
        return (
            self.policy.overhead_bytes
            + self._wheel.overhead_bytes
            + self._tombstones.overhead_bytes
        )

    def _entry_bytes(self, expires_ms: int) -> int:
        """What an entry costs beyond key and value."""
        wheel_bytes = BYTES_PER_KEY if expires_ms else 0
        return ENTRY_OVERHEAD_BYTES + self.policy.bytes_per_entry + wheel_bytes

    def _limit_inline_writes(self) -> None:
        """Keep the table's limit on entries at what the bookkeeping leaves of the memory."""
        self.table.inline_bytes_max = self.bytes_max - self._bookkeeping_bytes()

    def _settle(self) -> None:
        """Tell the policy of the uses and insertions that the gate has gathered."""
        table, policy = self.table, self.policy
        if policy.wants_hits:
            touched, on_hit = table.touched, policy.on_hit
            for key in islice(touched, self._hits_seen, None):
                entry = table.get(key)
                if entry is not None and entry.queue and entry.kind != Kind.TOMBSTONE:
                    on_hit(entry)
            self._hits_seen = len(touched)
        if table.inserted:
            inserted, table.inserted = table.inserted, []
            self._arrived += inserted
            for key in inserted:
                entry = table.get(key)
                if entry is not None and entry.queue == 0:
                    policy.on_insert(entry)

    def _make_room(self, size: int, key: bytes = b"", there: Entry | None = None) -> bool:
        """Evict until ``size`` bytes fit, of which the entry that is ``there`` gives back its own.

        Evicts somewhat more than needed, so that in a full store most writes find room at once.
        """
        table = self.table
        growth = size - (0 if there is None else there.size)
        if table.bytes_used + growth <= table.inline_bytes_max:
            return True
        if size > self.bytes_max:
            return False
        self._settle()
        while True:
            self._limit_inline_writes()
            if table.bytes_used + growth <= table.inline_bytes_max:
                return True
            # Bookkeeping may grow by what is evicted: that is why this is a loop.
            target = table.inline_bytes_max - self._slack
            while table.bytes_used + growth > target:
                if not self._evict_one():
                    self._limit_inline_writes()
                    return table.bytes_used + growth <= table.inline_bytes_max
                if there is not None and key not in table:
                    growth, there = size, None

    def _evict_one(self) -> bool:
        """Remove the least worthy entry; False when nothing is left to remove."""
        choice = choose(self.policy, self.owner_decides)
        if choice is None:
            key = self._tombstones.oldest()
            if key is not None:
                self._collect(key)
            return key is not None
        entry = choice.entry
        if choice.forced:
            self.partial_slots.add(entry.slot)
            self.evictions["forced"] += 1
            self._remove(entry, Cause.FORCED)
            return True
        self.evictions["size"] += 1
        if len(self._evicted) < EVICTED_REPORTED_MAX:
            self._evicted.append((entry.key, Version(entry.hlc, entry.node)))
        self._remove(entry, Cause.EVICTED)
        return True

    def _limit_tombstones(self) -> None:
        """Tombstones beyond their share of the memory are collected before their time."""
        share = int(self.bytes_max * TOMBSTONES_SHARE_MAX)
        table, tombstones = self.table, self._tombstones
        while table.queue_bytes(QUEUE_TOMBSTONES) + tombstones.overhead_bytes > share:
            if (key := tombstones.oldest()) is None:
                break
            self._collect(key)
