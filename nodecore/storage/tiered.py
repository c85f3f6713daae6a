"""Memory and disk as one store: walks over slots, counts and flushes that see both tiers.

How single entries move is ``tiered_changes`` and ``tiered_room``. Both tiers walk a slot in the same order, by hash, so
that their pages can be merged. It reads no clock and sends nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import final

from nodecore.ids import SLOTS_COUNT, Now
from nodecore.storage.cold import ColdEntry, hash_at, key_at
from nodecore.storage.eviction.interface import EvictionPolicy
from nodecore.storage.memory import SCANNED_PER_CALL_MAX, EntryTuple, Store
from nodecore.storage.paging import HASH_BITS, hash_of
from nodecore.storage.records import BadRecord, Record, decode, peek
from nodecore.storage.reports import StoreStatistics, StoreTick
from nodecore.storage.tiered_changes import PAGE
from nodecore.storage.tiered_room import TieredRoom
from nodecore.table.interface import Entry, Kind, Table


@final
class TieredStore(TieredRoom):
    """Entries of one node in memory and on disk. Until ``tier.attach`` it is a plain store."""

    def held(self, key: bytes) -> Entry | None:
        """See ``Store.held``."""
        entry = super().held(key)
        if entry is None:
            record = self._only_cold(key)
            if record is not None:
                return ColdEntry(record, self.table.slot_of(key))
        return entry

    # -- walks

    def slot_count(self, slot: int) -> int:
        """See ``Store.slot_count``."""
        self.catch_up()
        return super().slot_count(slot) + self.tier.cold[slot]

    def slot_counts(self, slots: Iterable[int]) -> list[int]:
        """See ``Store.slot_counts``."""
        self.catch_up()
        table, cold = self.table, self.tier.cold
        return [table.slot_count(slot) + cold[slot] for slot in slots]

    def empties(self, slots: Iterable[int]) -> Iterator[bool]:
        """See ``Store.empties``; before the disk is indexed nothing is certain."""
        table, cold, indexed = self.table, self.tier.cold, self.tier.indexed_to is None
        return (indexed and not cold[slot] and not table.slot_count(slot) for slot in slots)

    def live_count(self, slot: int) -> int:
        """See ``Store.live_count``."""
        self.catch_up()
        return super().live_count(slot) + self.tier.cold[slot]

    def live_keys(self, slot: int, count: int, now_ms: int = 0) -> list[bytes]:
        """See ``Store.live_keys``; keys that are on disk alone come last."""
        keys = super().live_keys(slot, count, now_ms)
        after: bytes | None = None
        while len(keys) < count and (rows := self.tier.slot_page(slot, after, PAGE)):
            keys += [key for key, head in self._heads(rows) if self._lives(head, now_ms)]
            after = key_at(rows[-1][0])
        return keys[:count]

    def _heads(self, rows: list[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, Record]]:
        """What can be read of the records that memory has no entry for."""
        for place, data in rows:
            try:
                key, head = peek(data)
            except BadRecord:
                self.tier.damaged(place)
                continue
            if key not in self.table and head.version.hlc > self.flushed_hlc:
                yield key, Record(key, head.kind, b"", head.version, head.expires_ms)

    def _records(self, rows: list[tuple[bytes, bytes]]) -> Iterator[Record]:
        """As ``_heads``, whole and checked."""
        for place, data in rows:
            try:
                record = decode(data, key_at(place))
            except BadRecord:
                self.tier.damaged(place)
                continue
            if record.key not in self.table and record.version.hlc > self.flushed_hlc:
                yield record

    def _lives(self, head: Record, now_ms: int) -> bool:
        return head.kind != Kind.TOMBSTONE and not 0 < head.expires_ms <= now_ms

    def slot_heads(self, slot: int) -> Iterator[tuple[bytes, int, int, int, int]]:
        """See ``Store.slot_heads``."""
        yield from super().slot_heads(slot)
        after: bytes | None = None
        while rows := self.tier.slot_page(slot, after, PAGE):
            for key, head in self._heads(rows):
                yield key, head.kind, head.version.hlc, head.version.node, head.expires_ms
            after = key_at(rows[-1][0])

    def slot_entries(self, slot: int, after: bytes | None, count: int) -> list[EntryTuple]:
        """See ``Store.slot_entries``: both tiers are in the same order, and are merged."""
        entries = super().slot_entries(slot, after, count)
        found: list[EntryTuple] = []
        start = after
        while rows := self.tier.slot_page(slot, start, min(PAGE, count)):
            found += [
                (record.key, record.kind, record.value, *record.version, record.expires_ms)
                for record in self._records(rows)
            ]
            start = key_at(rows[-1][0])
            if len(found) >= count:
                break
        if not found:
            return entries
        merged = sorted(entries + found, key=lambda entry: (hash_of(entry[0]), entry[0]))
        return merged[:count]

    def scan(
        self, cursor: int, count: int, slots_predicate: Callable[[int], bool], now_ms: int = 0
    ) -> tuple[int, list[bytes]]:
        """See ``Store.scan``."""
        if not self.tier.cold.total and self.tier.indexed_to is None:
            return super().scan(cursor, count, slots_predicate, now_ms)
        slot, least = divmod(cursor, 1 << HASH_BITS)
        keys: list[bytes] = []
        budget = SCANNED_PER_CALL_MAX
        while 0 <= slot < SLOTS_COUNT and len(keys) < count and budget > 0:
            if slots_predicate(slot):
                page, least, looked = self._page(slot, least, min(max(1, count), budget), now_ms)
                keys += page
                budget -= looked
            else:
                least = 0
            if not least:
                slot += 1
                budget -= 1
        return ((slot << HASH_BITS) | least if slot < SLOTS_COUNT else 0), keys

    def _page(
        self, slot: int, least: int, wanted: int, now_ms: int
    ) -> tuple[list[bytes], int, int]:
        """Live keys of both tiers from a hash on, the hash to go on at (0: done), and the cost."""
        page: list[bytes] = []
        following = 0
        if self.table.slot_count(slot):
            page, following = self._pages.from_hash(slot, least, wanted)
        keys = [key for key in page if self._is_live(self.table.get(key), now_ms)]
        rows = self.tier.hash_page(slot, least, wanted)
        if len(rows) >= wanted:
            last = hash_at(rows[-1][0])
            # Equal hashes stay together: what shares the last one is read on the next page.
            if last > least:
                rows = [row for row in rows if hash_at(row[0]) < last]
            else:
                last += 1
            following = min(following, last) if following else last
        keys += [key for key, head in self._heads(rows) if self._lives(head, now_ms)]
        if following:
            keys = [key for key in keys if hash_of(key) < following]
        return keys, following, len(page) + len(rows) + 1

    # -- the tick, flushes, statistics

    def flush(self, hlc: int) -> None:
        """See ``Store.flush``; records of before are passed over, and removed as they are met."""
        if hlc > self.flushed_hlc:
            self.catch_up()
            self.tier.cold.clear()
        super().flush(hlc)

    def tick(self, now: Now, idle_share: float = 1.0) -> StoreTick:
        """See ``Store.tick``."""
        report = super().tick(now, idle_share)
        if self.tier.active:
            self.tier.tick(now, idle_share)
        return report

    @property
    def keys_in_memory(self) -> int:
        """Live entries that memory holds."""
        return super().statistics().keys

    def statistics(self) -> StoreStatistics:
        """See ``Store.statistics``; keys of both tiers."""
        self.catch_up()
        found = super().statistics()
        return replace(found, keys=found.keys + self.tier.cold.total)


def make_store(
    table: Table,
    policy: EvictionPolicy,
    bytes_max: int,
    rng: random.Random,
    data_dir: str,
    disk_bytes_max: int,
) -> Store:
    """The store of a node: with a disk tier where there is a folder to keep it in."""
    if not data_dir:
        return Store(table, policy, bytes_max, rng)
    return TieredStore(table, policy, bytes_max, rng, disk_bytes_max)
