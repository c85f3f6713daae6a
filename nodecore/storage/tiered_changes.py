"""How single entries change on two tiers, and come up from the disk when they are asked for.

A key is found wherever it is: reads, walks over slots and counts see both tiers, so moving down is no
eviction and nobody else is told. The rules that keep the tiers in step:

* A record on disk is never newer than the entry of its key in memory; memory is asked first.
* Whatever changes an entry replaces its record (keyspaces that promise or write through, hot keys) or
  removes it within a tick. A tombstone that is collected takes the record along: nothing comes back.
* What the gate has written by itself is learnt of before entries move, and counted, and at each tick.
* An arriving entry is compared with the record when memory has none. So nothing older than what is on
  disk is ever applied, and what a restart finds there counts by its version alone.
* A record that is asked for is answered from disk; it comes up when memory has room, or when it was
  asked for lately more often than the entry that would have to go.

What leaves memory or disk for want of room is ``tiered_room``; how records are written is the tier's.
It reads no clock and sends nothing.

Sources: TinyLFU (Einziger, Friedman, Manes, 2017) for admission by frequency.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from nodecore.ids import Now, Version
from nodecore.storage.causes import ApplyResult, Cause
from nodecore.storage.cold import ColdEntry
from nodecore.storage.disk import Durability
from nodecore.storage.eviction.interface import EvictionPolicy
from nodecore.storage.memory import Store
from nodecore.storage.precedence import is_newer
from nodecore.storage.records import FLAG_DURABLE, RANK_MAX, Record
from nodecore.storage.tier import PROMOTE_USES_MIN, DiskTier
from nodecore.table.interface import Entry, Kind, Table
from nodecore.table.key_filter import make_key_filter

PAGE: Final = 256


_LOST: Final = frozenset({Cause.EVICTED, Cause.FORCED, Cause.COLLECTED, Cause.MOVED, Cause.FLUSH})
"""Causes for which the record goes with the entry."""


class TieredChanges(Store):
    """Entries of one node in memory and on disk; the base of ``tiered_room.TieredRoom``.

    Args:
        table: holds the entries in memory.
        policy: orders them for going down.
        bytes_max: memory for entries, tombstones and all bookkeeping.
        rng: for policies that draw lots.
        disk_bytes_max: for records; 0: only what keyspaces promise is written.
    """

    def __init__(
        self,
        table: Table,
        policy: EvictionPolicy,
        bytes_max: int,
        rng: random.Random,
        disk_bytes_max: int,
    ) -> None:
        self.tier = DiskTier(
            table.slot_of,
            partial(make_key_filter, compiled=table.compiled),
            table.sketch,
            bytes_max,
            disk_bytes_max,
            random.Random(rng.random()),
        )
        self.tier.on_lost = self._lose_refused
        self._arriving = b""
        self._went_down = False
        """What is arriving made room for itself by sending its own older entry down."""
        self.durability_of: Callable[[bytes], tuple[Durability, bool]] | None = None
        """(durability, written through) by key; None: no keyspace asks for either."""
        super().__init__(table, policy, bytes_max, rng)
        table.lists_superseded = True
        self.evictions |= {"demoted": 0, "disk": 0}

    def _bookkeeping_bytes(self) -> int:
        tier = self.tier
        return super()._bookkeeping_bytes() + (tier.overhead_bytes if tier.active else 0)

    # -- what the gate has written

    def _settle(self) -> None:
        """See ``EntryChanges._settle``; records of what the gate has written are superseded."""
        table, tier = self.table, self.tier
        inserted = table.inserted
        superseded, table.superseded = table.superseded, []
        super()._settle()
        if not tier.active:
            return
        for key in tier.among(inserted):
            record = self._cold_record(key)
            if record is None:
                tier.forget(key)
            else:
                self._lose(record)
        for key in tier.among(superseded):
            tier.forget(key)

    def _supersede(self, key: bytes) -> None:
        """A record of an older entry goes, if there may be one."""
        entry = self.table.get(key)
        if entry is None:
            self.tier.forget(key)
        elif not entry.bare:
            entry.bare = True
            self.tier.forget(key)

    def catch_up(self) -> None:
        """Learn of what the gate has written since the last look; before anything that counts or moves."""
        if self.table.inserted or self.table.superseded:
            self._settle()

    # -- reading

    def get(self, key: bytes, now: Now, touch: bool = False) -> Entry | None:
        """See ``EntryChanges.get``; what is found on disk alone is a ``ColdEntry``, or comes up."""
        entry = super().get(key, now, touch)
        if entry is not None or not self.tier.may_hold(key):
            return entry
        record = self._cold_record(key)
        if record is None:
            self.tier.counters["misses"] += 1
            return None
        if record.kind == Kind.TOMBSTONE or 0 < record.expires_ms <= now.wall_ms:
            return self._bury(record, now)
        self.tier.counters["hits"] += 1
        if touch:
            self._note_use(key)
        if touch and self._is_worth(record):
            return self.lift(record, now)
        return ColdEntry(record, self.table.slot_of(key))

    def _cold_record(self, key: bytes) -> Record | None:
        """The record of a key that memory does not have, unless it belongs to a flushed generation."""
        record = self.tier.read(key)
        if record is not None and record.version.hlc <= self.flushed_hlc:
            self.tier.forget(key)
            return None
        return record

    def _bury(self, record: Record, now: Now) -> Entry:
        """A tombstone, or an entry past its time, comes up as a tombstone of the same version."""
        if record.kind != Kind.TOMBSTONE:
            self.evictions["expired"] += 1
            self.tier.count(record.key, -1)
            self.tier.forget(record.key)
        return self._put(record.key, Kind.TOMBSTONE, b"", record.version, 0, now)

    def _note_use(self, key: bytes) -> None:
        """A use that the table did not see; heat counts it."""
        table = self.table
        table.note((key,))
        if len(table.touched) < table.touches_max:
            table.touched.append(key)
        else:
            table.touches_lost += 1

    def cost_of(self, record: Record) -> int:
        """Bytes of memory that a record would take."""
        return len(record.key) + len(record.value) + self._entry_bytes(record.expires_ms)

    def _is_worth(self, record: Record) -> bool:
        """Whether a record should come up: there is room, or it beats what would have to go."""
        uses = self.tier.uses
        uses.add(record.key)
        table = self.table
        size = self.cost_of(record)
        if table.bytes_used + size <= table.inline_bytes_max - self._slack:
            return True
        estimate = uses.estimate(record.key)
        if estimate < PROMOTE_USES_MIN:
            return False
        self._settle()
        victim = self.policy.victim()
        if victim is None:
            return True
        self.policy.on_spared(victim)
        return estimate > uses.estimate(victim.key) + victim.counter

    def lift(self, record: Record, now: Now) -> Entry:
        """Bring a record up; it stays on disk as long as the entry is not changed."""
        kind, value, expires_ms = record.kind, record.value, record.expires_ms
        result = super().apply(
            record.key, kind, value, record.version, expires_ms, Cause.PROMOTED, now
        )
        entry = self.table.get(record.key)
        if result is not ApplyResult.APPLIED or entry is None:
            return ColdEntry(record, self.table.slot_of(record.key))
        if kind != Kind.TOMBSTONE:
            self.tier.count(record.key, -1)
            self.tier.counters["promotions"] += 1
        return entry

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
        """See ``EntryChanges.apply``."""
        tier = self.tier
        if not tier.active:
            return super().apply(key, kind, value, version, expires_ms, cause, now)
        self.catch_up()
        cold: Record | None = None
        held = tier.may_hold(key)
        if held and key not in self.table:
            cold = self._cold_record(key)
            if cold is not None:
                there = ColdEntry(cold, 0)
                if not is_newer(version, kind, value, there):
                    return self._refused("older", ApplyResult.OLDER)
        self._arriving = key
        self._went_down = False
        result = super().apply(key, kind, value, version, expires_ms, cause, now)
        if result is ApplyResult.APPLIED:
            if self._went_down or (cold is not None and cold.kind != Kind.TOMBSTONE):
                tier.count(key, -1)
            if held or self._went_down or self.durability_of is not None:
                self._follow(Record(key, kind, value, version, expires_ms), now)
        return result

    def rank_of(self, key: bytes) -> int:
        """How hot a key is, for the order in which a restart lifts records."""
        entry = self.table.get(key)
        if entry is None or entry.kind == Kind.TOMBSTONE:
            return 0
        return min(RANK_MAX, self.tier.uses.estimate(key) + 4 * min(3, entry.counter))

    def _follow(self, record: Record, now: Now) -> None:
        """The disk follows a change: with the new record, or without one."""
        key = record.key
        if self.durability_of is not None:
            durability, through = self.durability_of(key)
            if durability is not Durability.MEMORY:
                ranked = record._replace(rank=self.rank_of(key), flags=FLAG_DURABLE)
                self._write_through(ranked, durability, now)
                return
            if through and record.kind != Kind.TOMBSTONE and not self.tier.read_only:
                self._write_through(record, durability, now)
                return
        if record.kind != Kind.TOMBSTONE and self.tier.follows(key):
            self._write_through(record._replace(rank=RANK_MAX), Durability.MEMORY, now)
        else:
            self._supersede(key)

    def _write_through(self, record: Record, durability: Durability, now: Now) -> None:
        entry = self.table.get(record.key)
        if entry is not None:
            entry.bare = False
        self.tier.write_through(record, durability, now)

    def apply_batch(
        self,
        keys: Sequence[bytes],
        values: Sequence[bytes],
        version: Version,
        expires_ms: int,
        cause: Cause,
        now: Now,
    ) -> list[tuple[int, ApplyResult]]:
        """See ``EntryChanges.apply_batch``."""
        tier = self.tier
        if not tier.active:
            return super().apply_batch(keys, values, version, expires_ms, cause, now)
        self.catch_up()
        refused: list[tuple[int, ApplyResult]] = []
        rows: Sequence[int] = range(len(keys))
        all_keys, all_values = keys, values
        for _look in range(2):
            # Room first, so that nothing of the batch goes down between the look and the writing;
            # the second look is for what the entries that went alone have pushed down.
            self._make_room(
                sum(map(len, keys))
                + sum(map(len, values))
                + len(keys) * self._entry_bytes(expires_ms)
            )
            held = frozenset(tier.among(keys))
            if not held:
                break
            alone = [row for row in rows if all_keys[row] in held]
            for row in alone:
                result = self.apply(
                    all_keys[row], Kind.STRING, all_values[row], version, expires_ms, cause, now
                )
                if result is not ApplyResult.APPLIED:
                    refused.append((row, result))
            apart = frozenset(alone)
            rows = [row for row in rows if row not in apart]
            keys, values = [all_keys[row] for row in rows], [all_values[row] for row in rows]
        if not keys:
            return refused
        left = super().apply_batch(keys, values, version, expires_ms, cause, now)
        if self.durability_of is not None:
            unwritten = frozenset(position for position, _result in left)
            for position, key in enumerate(keys):
                if position not in unwritten:
                    record = Record(key, Kind.STRING, values[position], version, expires_ms)
                    self._follow(record, now)
        return sorted(
            refused + [(rows[position], result) for position, result in left],
            key=lambda item: item[0],
        )

    def _remove(self, entry: Entry, cause: Cause) -> None:
        key, bare = entry.key, entry.bare
        self._remove_alone(entry, cause)
        if cause in _LOST and not bare:
            self.tier.forget(key)

    def _remove_alone(self, entry: Entry, cause: Cause) -> None:
        """As ``_remove`` of an entry without a record, or whose record is to stay."""
        super()._remove(entry, cause)

    def drop(self, key: bytes, up_to: Version) -> bool:
        """See ``EntryChanges.drop``."""
        self.catch_up()
        if super().drop(key, up_to):
            return True
        record = self._only_cold(key)
        if record is None or record.kind == Kind.TOMBSTONE or record.version > up_to:
            return False
        self._lose(record)
        self.evictions["ordered"] += 1
        return True

    def give_up(self, key: bytes, up_to: Version) -> bool:
        """See ``Store.give_up``."""
        self.catch_up()
        if super().give_up(key, up_to):
            return True
        record = self._only_cold(key)
        if record is None or record.version > up_to:
            return False
        self._lose(record)
        self.evictions["moved"] += 1
        return True

    def take_back(self, key: bytes, version: Version) -> bool:
        """See ``Store.take_back``."""
        self.catch_up()
        return super().take_back(key, version)

    def _expire(self, entry: Entry, now: Now) -> Entry:
        """See ``EntryChanges._expire``; a copy on disk goes, so that a record below a tombstone is one."""
        bare = entry.bare
        tombstone = super()._expire(entry, now)
        if not bare:
            self.tier.forget(tombstone.key)
        return tombstone

    def _only_cold(self, key: bytes) -> Record | None:
        if key in self.table or not self.tier.may_hold(key):
            return None
        return self._cold_record(key)

    def _lose_refused(self, key: bytes) -> None:
        """The disk has refused a record: if memory has given its entry up, that is evicted after all."""
        if key not in self.table:
            self.tier.count(key, -1)
            self.evictions["forced"] += 1
            self.partial_slots.add(self.table.slot_of(key))

    def _lose(self, record: Record) -> None:
        if record.kind != Kind.TOMBSTONE:
            self.tier.count(record.key, -1)
        self.tier.forget(record.key)

    def drop_slot(self, slot: int) -> int:
        """See ``EntryChanges.drop_slot``."""
        self.catch_up()
        dropped = super().drop_slot(slot)
        after: bytes | None = None
        while rows := self.tier.slot_rows(slot, after, PAGE):
            for place, _data in rows:
                self.tier.forget_place(place)
            after = rows[-1][0]
        cold = self.tier.cold[slot]
        self.tier.cold.add(slot, -cold)
        self.evictions["moved"] += cold
        return dropped + cold
