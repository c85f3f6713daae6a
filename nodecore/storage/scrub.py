"""Reads every record on disk over time, at a set rate, and removes what should not be there.

A record that fails its checksum or lies in the wrong place is reported as lost; what is expired,
flushed, or belongs to other nodes goes. Each pass makes a new filter of keys on the way. When the disk
holds more than it may, records are evicted: of a few neighbours at a random place the least used one,
then the one with the oldest version.

It reads no clock. Sources: approximate eviction by sampling as in Redis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from nodecore.ids import SLOTS_COUNT, Now
from nodecore.storage.cold import key_at, place_from, place_of, slot_at
from nodecore.storage.disk import DiskError
from nodecore.storage.records import BadRecord, Record, decode
from nodecore.storage.tiered import TieredStore
from nodecore.table.interface import Kind

PAGE_RECORDS: Final = 64
BURST_S: Final = 1.0
"""Budget that an idle scrub saves up."""
PAUSE_S: Final = 60.0
"""Between the beginnings of two passes: little data need not be read all the time."""
SAMPLE_RECORDS: Final = 15
EVICTED_PER_SAMPLE: Final = 5
EVICTIONS_PER_STEP_MAX: Final = 1_000
"""More than can be written back meanwhile, and a few milliseconds of work."""
EASE_SHARE: Final = 0.02
"""How far below its limit an overfull disk is brought."""


@final
class Scrub:
    """The upkeep of one disk tier.

    Args:
        store: whose records.
        holds: whether copies of a slot belong on this node.
        bytes_per_s: rate of reading; 0: only evictions are made.
    """

    def __init__(self, store: TieredStore, holds: Callable[[int], bool], bytes_per_s: int) -> None:
        self._store = store
        self._holds = holds
        self._rate = bytes_per_s
        self._budget = 0.0
        self._last_s = 0.0
        self._next_pass_s = 0.0
        self._cursor: bytes | None = None
        self.passes = 0
        """Complete walks over everything."""
        self.records = 0
        self.bytes = 0

    @property
    def progress(self) -> float:
        """Share of the slots that this pass has gone through."""
        return 0.0 if self._cursor is None else slot_at(self._cursor) / SLOTS_COUNT

    def step(self, now: Now) -> None:
        """Do what the time since the last step allows."""
        if self._store.tier.indexed_to is not None:
            return
        elapsed_s = now.mono_s - self._last_s if self._last_s else 0.0
        self._last_s = now.mono_s
        self._budget = min(self._budget + elapsed_s * self._rate, BURST_S * self._rate)
        if self._cursor is None and now.mono_s < self._next_pass_s:
            return
        while self._budget > 0 and self._page(now):
            continue

    def _page(self, now: Now) -> bool:
        """Go through one page; False at the end of a pass."""
        tier = self._store.tier
        try:
            rows = tier.walk(self._cursor, PAGE_RECORDS)
        except DiskError:
            tier.counters["read_errors"] += 1
            return False
        if not rows:
            if self._cursor is not None:
                tier.end_filter()
                self.passes += 1
            self._cursor = None
            return False
        if self._cursor is None:
            self._next_pass_s = now.mono_s + PAUSE_S
            tier.begin_filter()
        for place, data in rows:
            self._budget -= len(data)
            self.records += 1
            self.bytes += len(data)
            self._judge(place, data, now)
        self._cursor = rows[-1][0]
        return True

    def _judge(self, place: bytes, data: bytes, now: Now) -> None:
        store, tier = self._store, self._store.tier
        slot = slot_at(place)
        key = key_at(place)
        try:
            record = decode(data, key)
        except BadRecord:
            if key not in store.table:
                tier.count_place(place, slot, -1)
            tier.damaged(place)
            return
        misplaced = place != place_of(store.table.slot_of(key), key)
        if misplaced or not self._holds(slot) or record.version.hlc <= store.flushed_hlc:
            tier.forget_place(place)
            if not misplaced and key not in store.table and record.kind != Kind.TOMBSTONE:
                tier.count_place(place, slot, -(record.version.hlc > store.flushed_hlc))
            return
        if 0 < record.expires_ms <= now.wall_ms:
            # Turns the record into a tombstone, as any other access would.
            store.get(key, now)
            tier.counters["expired"] += 1
        tier.met(key)

    def make_room(self) -> int:
        """Evict until the disk is below its limit again; returns how many records went."""
        tier = self._store.tier
        if not tier.bytes_max or tier.used_bytes <= tier.bytes_max:
            return 0
        excess = tier.used_bytes - int(tier.bytes_max * (1 - EASE_SHARE))
        evicted = 0
        # Random places may hold nothing: the number of looks is bounded too.
        for _look in range(EVICTIONS_PER_STEP_MAX):
            if excess <= 0 or evicted >= EVICTIONS_PER_STEP_MAX:
                break
            for record in self._sample():
                if record.version.hlc <= self._store.flushed_hlc:
                    tier.forget(record.key)
                else:
                    self._store.evict_record(record)
                excess -= len(record.key) + len(record.value)
                evicted += 1
        return evicted

    def _sample(self) -> list[Record]:
        tier = self._store.tier
        start = place_from(tier.rng.randrange(SLOTS_COUNT), tier.rng.getrandbits(48))
        try:
            rows = tier.sample(start, SAMPLE_RECORDS) or tier.sample(b"", SAMPLE_RECORDS)
        except DiskError:
            tier.counters["read_errors"] += 1
            return []
        records: list[Record] = []
        for place, data in rows:
            try:
                record = decode(data, key_at(place))
            except BadRecord:
                tier.damaged(place)
                continue
            if record.kind != Kind.TOMBSTONE:
                records.append(record)
        records.sort(key=lambda record: (record.rank, record.version, record.key))
        return records[:EVICTED_PER_SAMPLE]
