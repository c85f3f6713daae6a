"""The memory tier of a node: the only way in which the table changes, apart from the gate's inline
writes.

Single changes are ``changes``; here is what concerns many entries: the tick (expiry, collection of
tombstones, refilling the gate, head-room for inline writes), walks over slots, the choice of policy
at run time, statistics. It reads no clock and sends nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from operator import not_
from typing import Final, TypeAlias

from nodecore.ids import SLOTS_COUNT, Now, Version
from nodecore.storage.causes import ApplyResult, Cause
from nodecore.storage.census import TtlCensus
from nodecore.storage.changes import SLACK_BYTES_MAX, ChangeHook, EntryChanges
from nodecore.storage.eviction.adaptive import Adaptive
from nodecore.storage.eviction.handover import Handover
from nodecore.storage.eviction.interface import QUEUES_PER_POLICY, EvictionPolicy
from nodecore.storage.paging import HASH_BITS, SlotPages
from nodecore.storage.reports import StoreStatistics, StoreTick, Touches
from nodecore.storage.room import EVICTIONS_PER_TICK_MAX, headroom_bytes
from nodecore.storage.shadow_feed import SAMPLES_PER_TICK_MAX, ShadowFeed
from nodecore.table.interface import QUEUE_TOMBSTONES, Entry, Kind, Table

__all__ = ["ApplyResult", "Cause", "ChangeHook", "EntryTuple", "Store", "StoreTick"]

EntryTuple: TypeAlias = tuple[bytes, int, bytes, int, int, int]
"""(key, kind, value, hlc, node, expires_ms)."""

EXPIRED_PER_TICK_MAX: Final = 20_000
COLLECTED_PER_TICK_MAX: Final = 10_000
SWEPT_PER_TICK_MAX: Final = 20_000
HANDED_OVER_PER_TICK_MAX: Final = 4096
"""Some ten milliseconds: a million entries change their policy in a minute."""
COUNTER_MAX: Final = 3
"""Where an entry's policy counter stays."""
_QUEUES_APART: Final = 2 * QUEUES_PER_POLICY
"""Numbers of queues for one policy: ``adaptive`` runs two while it switches."""
SCANNED_PER_CALL_MAX: Final = 10_000
"""Keys that one ``scan`` looks at, however few of them are live."""


class Store(EntryChanges):
    """Entries of one node, within a memory limit.

    Args:
        table: holds the entries.
        policy: orders them for eviction.
        bytes_max: memory for entries, tombstones and all bookkeeping.
        rng: for policies that draw lots.
    """

    outside_bytes = 0
    """What other rooms keep within this limit: registers of strong keys."""

    def __init__(
        self, table: Table, policy: EvictionPolicy, bytes_max: int, rng: random.Random
    ) -> None:
        self._feed = ShadowFeed(table, bytes_max)
        super().__init__(table, policy, bytes_max, rng)
        self._rng = rng
        self._pages = SlotPages(table)
        self._census = TtlCensus(table)
        self._expired_before = 0
        self._gate_writes_before = table.gate_writes
        self._queue_base = 0
        if isinstance(policy, Adaptive):
            policy.follow(self._feed.shadows)

    def get_for_change(self, key: bytes, now: Now) -> Entry | None:
        """``get`` for who computes a new value from the old one: the policy sees a use, heat a write
        only, which its coordinator counts.
        """
        entry = self.get(key, now)
        if entry is not None and entry.kind != Kind.TOMBSTONE and entry.counter < COUNTER_MAX:
            entry.counter += 1
        return entry

    def held(self, key: bytes) -> Entry | None:
        """What is here of a key at this moment, a tombstone too; later changes don't change it."""
        entry = self.table.get(key)
        return None if entry is None else entry.snapshot()

    def take_back(self, key: bytes, version: Version) -> bool:
        """Forget exactly this version, a tombstone too: it should never have been here."""
        entry = self._present(key)
        if entry is None or (entry.hlc, entry.node) != version:
            return False
        self._forget(key, Cause.EVICTED)
        return True

    # -- the tick

    def tick(self, now: Now, idle_share: float = 1.0) -> StoreTick:
        """Do what is due; every part has a budget, so that a tick stays short.

        Args:
            now: when.
            idle_share: of the time since the last tick, what the node spent waiting; for what lies below
                memory.
        """
        del idle_share
        table = self.table
        touches = self.take_touches()
        self._choose_policy()
        expiring, table.expiring = table.expiring, []
        for expires_ms, key in expiring:
            self._wheel.add(key, expires_ms)
        for key in self._wheel.due(now.wall_ms, EXPIRED_PER_TICK_MAX):
            entry = self._present(key)
            if entry is not None:
                self._expire(entry, now)
        for key in self._tombstones.due(now.wall_ms, COLLECTED_PER_TICK_MAX):
            self._collect(key)
        self._sweep.step(self.flushed_hlc, SWEPT_PER_TICK_MAX)
        self._census.step(now.wall_ms)
        self._keep_headroom()
        evicted, self._evicted = self._evicted, []
        expired = self.evictions["expired"] - self._expired_before
        self._expired_before = self.evictions["expired"]
        return StoreTick(
            touches=touches,
            evicted=evicted,
            expired=expired,
        )

    def take_touches(self, samples_max: int = SAMPLES_PER_TICK_MAX) -> Touches:
        """The uses since the last call, once policy and (of so many) shadow caches have seen them.

        The tick calls it, and under load the node in between, so that no tick has much to do.
        """
        table = self.table
        self._settle()
        touched, table.touched = table.touched, []
        lost, table.touches_lost = table.touches_lost, 0
        written, table.written = table.written, []
        writes_lost, table.writes_lost = table.writes_lost, 0
        self._hits_seen = 0
        self._feed.feed(self._arrived, touched, self.owner_decides, samples_max)
        self._arrived.clear()
        return Touches(touched, lost, written, writes_lost)

    def _keep_headroom(self) -> None:
        table = self.table
        writes = table.gate_writes - self._gate_writes_before
        self._gate_writes_before = table.gate_writes
        mean_bytes = table.bytes_used // max(1, len(table))
        headroom = headroom_bytes(self.bytes_max, writes * mean_bytes)
        budget = EVICTIONS_PER_TICK_MAX
        while budget > 0:
            self._limit_inline_writes()
            if table.bytes_used <= table.inline_bytes_max - headroom:
                break
            while budget > 0 and table.bytes_used > table.inline_bytes_max - headroom:
                budget = budget - 1 if self._evict_one() else 0
        self._limit_inline_writes()

    def flush(self, hlc: int) -> None:
        """Everything up to that clock value is gone: unseen at once, removed little by little."""
        if hlc <= self.flushed_hlc:
            return
        self.flushed_hlc = hlc
        self.table.hlc_high = max(self.table.hlc_high, hlc)
        self.reopen_gate()

    def reopen_gate(self) -> None:
        """Empty the gate in O(1); ``tick`` and reads let entries back in."""
        self.table.open_gate(self.table.generation + 1)
        self._sweep.start(self.flushed_hlc)

    def set_policy(self, policy: EvictionPolicy) -> bool:
        """Change the policy; it takes the entries over in the old one's order of eviction.

        Nothing is dropped and nothing waits: ticks hand the entries over, so many at a time.

        Args:
            policy: fresh, made for this store's memory.

        Returns:
            False when an earlier change is still under way: nothing was done.
        """
        if self.is_changing_policy:
            return False
        self._settle()
        self._queue_base ^= _QUEUES_APART
        queues = range(self._queue_base, self._queue_base + _QUEUES_APART)
        policy.use_queues(self._queue_base)
        policy.bind(self.table, self._rng)
        if isinstance(policy, Adaptive):
            policy.follow(self._feed.shadows)
        self.policy = Handover(self.policy, policy, self.table, queues)
        self._hand_over()
        return True

    @property
    def is_changing_policy(self) -> bool:
        """Whether entries are still being handed over to the new policy."""
        return isinstance(self.policy, Handover)

    @property
    def ruling_policy(self) -> str:
        """The policy that orders the entries: under ``adaptive`` the one that it has chosen."""
        policy = self.policy.new if isinstance(self.policy, Handover) else self.policy
        return policy.ruling if isinstance(policy, Adaptive) else policy.name

    def _hand_over(self) -> None:
        policy = self.policy
        if isinstance(policy, Adaptive):
            policy.advance(HANDED_OVER_PER_TICK_MAX)
        elif isinstance(policy, Handover) and policy.step(HANDED_OVER_PER_TICK_MAX):
            self.policy = policy.new
            self._limit_inline_writes()

    def _choose_policy(self) -> None:
        """Let ``adaptive`` choose by what the shadow caches have seen."""
        ratios = self._feed.end_tick(self.owner_decides)
        if ratios is not None and isinstance(self.policy, Adaptive):
            self.policy.choose(ratios)
        self._hand_over()

    def set_bytes_max(self, bytes_max: int) -> None:
        """Change the memory limit; ticks and writes shrink to it."""
        self.bytes_max = bytes_max
        self._slack = min(bytes_max >> 10, SLACK_BYTES_MAX)
        self._limit_inline_writes()

    def make_room(self, growth: int) -> bool:
        """Evict until ``outside_bytes`` may grow by so much; False when nothing is left to evict."""
        self._limit_inline_writes()
        return self._make_room(growth)

    def _bookkeeping_bytes(self) -> int:
        return super()._bookkeeping_bytes() + self.outside_bytes + self._feed.overhead_bytes

    # -- walks

    def _is_live(self, entry: Entry | None, now_ms: int) -> bool:
        return (
            entry is not None
            and entry.kind != Kind.TOMBSTONE
            and entry.hlc > self.flushed_hlc
            and not 0 < entry.expires_ms <= now_ms
        )

    def slot_count(self, slot: int) -> int:
        """Entries of a slot, tombstones included, wherever this node keeps them."""
        return self.table.slot_count(slot)

    def slot_counts(self, slots: Iterable[int]) -> list[int]:
        """:meth:`slot_count` of each of these slots."""
        return list(map(self.table.slot_count, slots))

    def empties(self, slots: Iterable[int]) -> Iterator[bool]:
        """Whether each of these slots certainly holds nothing, tombstones included."""
        return map(not_, map(self.table.slot_count, slots))

    def slot_heads(self, slot: int) -> Iterator[tuple[bytes, int, int, int, int]]:
        """(key, kind, hlc, node, expires_ms) of every entry of a slot, in no order."""
        table = self.table
        for key in table.slot_keys(slot):
            entry = table.get(key)
            if entry is not None:
                yield key, entry.kind, entry.hlc, entry.node, entry.expires_ms

    def live_count(self, slot: int) -> int:
        """Keys of a slot; expired ones count until they are swept."""
        if not self._sweep.may_hold_flushed(slot):
            return self.table.slot_live(slot)
        table = self.table
        return sum(self._is_live(table.get(key), 0) for key in table.slot_keys(slot))

    def live_keys(self, slot: int, count: int, now_ms: int = 0) -> list[bytes]:
        """Up to ``count`` keys of a slot in order of insertion; expired ones too unless ``now_ms`` is given."""
        keys: list[bytes] = []
        for key in self.table.slot_keys(slot):
            if len(keys) >= count:
                break
            if self._is_live(self.table.get(key), now_ms):
                keys.append(key)
        return keys

    def slot_entries(self, slot: int, after: bytes | None, count: int) -> list[EntryTuple]:
        """Up to ``count`` entries that follow the key ``after``, tombstones included.

        What stays in the slot during a whole walk is returned exactly once, whatever comes and goes
        meanwhile. An empty list ends the walk.
        """
        entries: list[EntryTuple] = []
        while len(entries) < count:
            page = self._pages.after(slot, after, count - len(entries))
            if not page:
                break
            after = page[-1]
            for key in page:
                entry = self._present(key)
                if entry is not None:
                    entries.append(
                        (key, entry.kind, entry.value, entry.hlc, entry.node, entry.expires_ms)
                    )
        return entries

    def give_up(self, key: bytes, up_to: Version) -> bool:
        """Forget a copy that belongs to other nodes alone, a tombstone too, unless it is newer."""
        entry = self._present(key)
        if entry is None or (entry.hlc, entry.node) > up_to:
            return False
        self._forget(key, Cause.MOVED)
        self.evictions["moved"] += 1
        return True

    def scan(
        self, cursor: int, count: int, slots_predicate: Callable[[int], bool], now_ms: int = 0
    ) -> tuple[int, list[bytes]]:
        """A page of live keys and the cursor of the next; 0 begins and 0 ends.

        About ``count`` keys, sometimes none although more follow. Keys that are there during a whole
        walk are returned; expired ones too unless ``now_ms`` is given. A cursor that was never given
        out ends the walk.
        """
        slot, least = divmod(cursor, 1 << HASH_BITS)
        keys: list[bytes] = []
        budget = SCANNED_PER_CALL_MAX
        while 0 <= slot < SLOTS_COUNT:
            if self.table.slot_count(slot) and slots_predicate(slot):
                wanted = min(max(1, count - len(keys)), budget)
                page, least = self._pages.from_hash(slot, least, wanted)
                budget -= len(page)
                keys += [key for key in page if self._is_live(self.table.get(key), now_ms)]
            else:
                least = 0
            if not least:
                slot += 1
            if len(keys) >= count or budget <= 0:
                return ((slot << HASH_BITS) | least if slot < SLOTS_COUNT else 0), keys
        return 0, keys

    # -- statistics

    def statistics(self) -> StoreStatistics:
        """Gauges and totals."""
        tombstones = self.table.queue_count(QUEUE_TOMBSTONES)
        return StoreStatistics(
            keys=len(self.table) - tombstones,
            tombstones=tombstones,
            memory_bytes=self.memory_bytes,
            memory_bytes_max=self.bytes_max,
            expiring_keys=len(self._wheel),
            ttl_counts=self._census.counts(len(self.table) - tombstones),
            partial_slots=len(self.partial_slots),
            policy=self.policy.name,
            ruling_policy=self.ruling_policy,
            is_changing_policy=self.is_changing_policy,
            shadows=self._feed.estimates(),
            shadow_samples_skipped=self._feed.skipped,
            evictions=dict(self.evictions),
            counters=dict(self.counters),
        )
