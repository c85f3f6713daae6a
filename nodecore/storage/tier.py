"""The disk tier of a node's cache: which records are there, and what may be written and removed when.

What memory gives up is gathered and written in batches: within a tick, or earlier when much has come
together; and no more in one tick than a budget (``write_budget``), so that writing back never costs the
requests more than a share. What is over the budget is evicted instead. Records that a keyspace was
promised go at once and past the budget.

A record is *unknown* when it can't be read or fails its checksum: it is counted, removed if it is
damaged, and its slot is reported, so that the owners of copies are asked. After a refusal (a full
disk) the tier rests for a while and is only read.

It holds no entries and knows no table; ``tiered`` joins it with the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Final, final

from nodecore.ids import SLOTS_COUNT, Now
from nodecore.storage.cold import (
    PREFIX_BYTES,
    ColdCounts,
    filter_bits,
    key_at,
    place_from,
    place_of,
    slot_at,
)
from nodecore.storage.disk import Area, DiskError, DiskWrites, Durability, NoDisk, Spares
from nodecore.storage.gathered import Gathered
from nodecore.storage.records import BadRecord, Record, decode, encode
from nodecore.storage.write_budget import WriteBudget
from nodecore.table.interface import SLOT_SOLE
from nodecore.table.key_filter import KeyFilter
from nodecore.table.memories import FrequencySketch

BATCH_BYTES: Final = 256 * 1024
"""What has been gathered is handed over when it reaches this, or at the tick."""
BATCH_SHARE_MAX: Final = 1 / 16
"""Of the memory, which it is part of."""
REST_S: Final = 5.0
"""After a refused write nothing is written back for so long."""
CLOSED_SLOTS_MAX: Final = 64
"""With records in more slots than this, the gate answers no misses in any of them."""
PROMOTE_USES_MIN: Final = 2
"""A key must be asked for so often lately before memory considers it."""

_COUNTERS: Final = (
    "hits", "misses", "promotions", "write_backs", "write_throughs", "refused", "overflowed",
    "superseded", "evictions_l2", "evictions_l2_forced", "expired", "checksum_failures", "read_errors",
)  # fmt: skip


@final
class DiskTier:
    """See the module.

    Args:
        slot_of: slot of a key.
        make_filter: an empty filter of so many bits.
        make_sketch: an empty sketch for so many keys.
        bytes_max: the memory of the node, which bounds what is remembered here.
        disk_bytes_max: of records; 0: nothing is written back.
        rng: for sampling.
    """

    def __init__(
        self,
        slot_of: Callable[[bytes], int],
        make_filter: Callable[[int], KeyFilter],
        make_sketch: Callable[[int], FrequencySketch],
        bytes_max: int,
        disk_bytes_max: int,
        rng: Random,
    ) -> None:
        self._slot_of = slot_of
        self._make_filter = make_filter
        self._bits = filter_bits(bytes_max, disk_bytes_max)
        self.rng = rng
        self.bytes_max = disk_bytes_max
        self.writes = DiskWrites(NoDisk())
        self.active = False
        """Whether there is a disk at all."""
        self._use_filter(make_filter(self._bits))
        self._next_filter: KeyFilter | None = None
        self.cold = ColdCounts()
        self.counters = dict.fromkeys(_COUNTERS, 0)
        self.uses = make_sketch(max(64, min(65_536, bytes_max >> 12)))
        self.indexed_to: bytes | None = None
        """Records up to here are counted; None: all of them."""
        self.closed = bytearray(SLOTS_COUNT)
        """SLOT_SOLE where the gate may not answer misses: there are records."""
        self.closed_count = 0
        self.on_closed: Callable[[], None] = _nothing
        self.on_unknown: Callable[[int], None] = _ignore
        """Told slots of which a record is lost."""
        self.on_refused: Callable[[str], None] = _ignore_text
        self.on_lost: Callable[[bytes], None] = _ignore_key
        """Told keys whose records were refused."""
        self.used_bytes = 0
        self.read_only_until_s = 0.0
        self._now_s = 0.0
        self._gathered = Gathered(min(BATCH_BYTES, int(bytes_max * BATCH_SHARE_MAX)))
        self.budget = WriteBudget()
        self.hot: frozenset[bytes] = frozenset()
        """Keys that the node could least do without after a restart."""

    def attach(self, writes: DiskWrites) -> None:
        """The disk is there; what is on it becomes visible at once and counted by a walk."""
        self.writes = writes
        self.active = True
        writes.on_refused = self._refused
        self.used_bytes = writes.store.used_bytes(Area.CACHE)
        if writes.walk(Area.CACHE, None, 1):
            self.indexed_to = b""
            self.filter.full = True
            self.close_all()

    @property
    def overhead_bytes(self) -> int:
        """Memory for the tier's own needs."""
        filters = self.filter.overhead_bytes
        if self._next_filter is not None:
            filters += self._next_filter.overhead_bytes
        return filters + self.uses.overhead_bytes + self._gathered.bytes

    @property
    def read_only(self) -> bool:
        """Whether the disk has lately refused to take more."""
        return self._now_s < self.read_only_until_s

    def _refused(self, text: str, rows: Spares, now: Now) -> None:
        self.counters["refused"] += 1
        self._gathered.retain(place for place, _record in rows)
        for place, record in rows:
            if record is not None:
                self.on_lost(key_at(place))
        was = self.read_only
        self._now_s = now.mono_s
        self.read_only_until_s = now.mono_s + REST_S
        if not was:
            self.on_refused(text)

    # -- what the gate may answer by itself

    def close(self, slot: int) -> None:
        """A record of this slot is about to be written."""
        if self.closed[slot]:
            return
        self.closed_count += 1
        self.closed[slot] = SLOT_SOLE
        if self.closed_count > CLOSED_SLOTS_MAX:
            self.close_all()
        else:
            self.on_closed()

    def close_all(self) -> None:
        """There may be records in every slot."""
        self.closed[:] = bytes([SLOT_SOLE]) * SLOTS_COUNT
        self.closed_count = SLOTS_COUNT
        self.on_closed()

    # -- records

    def _use_filter(self, keys: KeyFilter) -> None:
        self.filter = keys
        self.may_hold: Callable[[bytes], bool] = keys.may_hold
        """False: there is surely no record of this key. Asked for every write: without detours."""
        self.among: Callable[[Iterable[bytes]], list[bytes]] = keys.among
        """Those of many keys of which there may be records, in their order."""

    def read(self, key: bytes) -> Record | None:
        """The record of a key; None when there is none, or when it is unknown."""
        slot = self._slot_of(key)
        place = place_of(slot, key)
        try:
            data = self._raw(place)
        except DiskError:
            self.counters["read_errors"] += 1
            self.on_unknown(slot)
            return None
        if data is None:
            return None
        try:
            return decode(data, key)
        except BadRecord:
            self.damaged(place)
            return None

    def _raw(self, place: bytes) -> bytes | None:
        if place in self._gathered:
            return self._gathered[place]
        return self.writes.get(Area.CACHE, place)

    def waits(self, key: bytes) -> bool:
        """Whether something of this key is on its way to the disk."""
        place = place_of(self._slot_of(key), key)
        return place in self._gathered or self.writes.waits(Area.CACHE, place)

    def has(self, key: bytes) -> bool | None:
        """Whether there is a record, without looking into it; None: unknown, and reported."""
        if not self.may_hold(key):
            return False
        slot = self._slot_of(key)
        try:
            return self._raw(place_of(slot, key)) is not None
        except DiskError:
            self.counters["read_errors"] += 1
            self.on_unknown(slot)
            return None

    def damaged(self, place: bytes) -> None:
        """What lies at a place is no record of its key: it goes, and its slot lacks something."""
        self.counters["checksum_failures"] += 1
        self._gathered.withdraw(place)
        self.writes.put_spare(Area.CACHE, place, None)
        self.on_unknown(slot_at(place))

    @property
    def takes(self) -> bool:
        """Whether records may still be written back in this tick."""
        if not self.budget.left:
            return False
        return self.bytes_max > 0 and not self.read_only and self.used_bytes <= self.bytes_max

    def accepts(self, entry_bytes: int) -> bool:
        """Whether another record may be written back in this tick; counts it if so."""
        if not self.takes:
            self.counters["overflowed"] += not self.budget.left
            return False
        self.budget.spend(entry_bytes)
        return True

    def follows(self, key: bytes) -> bool:
        """Whether the record of a hot key is to follow its change at once; counts it if so."""
        return key in self.hot and self.takes and self.budget.spend_hot()

    def write_back(self, slot: int, key: bytes, data: bytes) -> None:
        """Gather a record that nobody was promised; ``accepts`` has been asked."""
        self.counters["write_backs"] += 1
        if self._gathered.put(self._begin(slot, key), data):
            self.hand_over()

    def write_through(self, record: Record, durability: Durability, now: Now) -> None:
        """Write a record in this wake-up; with a durability it is a promise."""
        place = self._begin(self._slot_of(record.key), record.key)
        self._gathered.withdraw(place)
        data = encode(record)
        if durability is Durability.MEMORY:
            self.writes.put_spare(Area.CACHE, place, data)
        else:
            self.writes.put(Area.CACHE, place, data, durability, None, now)
        self.counters["write_throughs"] += 1

    def _begin(self, slot: int, key: bytes) -> bytes:
        if not self.closed[slot]:
            self.close(slot)
        self.filter.add(key)
        if self._next_filter is not None:
            self._next_filter.add(key)
        return place_of(slot, key)

    def forget(self, key: bytes) -> None:
        """A record is superseded, or its entry is gone for good: it goes within a tick."""
        if self.may_hold(key):
            self.forget_place(place_of(self._slot_of(key), key))

    def forget_place(self, place: bytes) -> None:
        """As ``forget``, by place."""
        self.counters["superseded"] += 1
        if self._gathered.put(place, None) and not self.read_only:
            self.hand_over()

    def hand_over(self) -> None:
        """Give what has been gathered to the disk."""
        if self._gathered.bytes:
            self.writes.put_spares(Area.CACHE, self._gathered.take())

    # -- counting what is here only

    def count(self, key: bytes, change: int) -> None:
        """A live key has become cold (1), or is so no more (-1)."""
        slot = self._slot_of(key)
        if self.indexed_to is None:
            self.cold.add(slot, change)
        else:
            self.count_place(place_of(slot, key), slot, change)

    def count_place(self, place: bytes, slot: int, change: int) -> None:
        """As ``count``; what the first walk has not reached yet is counted when it gets there."""
        if self.indexed_to is None or place <= self.indexed_to:
            self.cold.add(slot, change)

    # -- walks

    def walk(self, after: bytes | None, count: int) -> list[tuple[bytes, bytes]]:
        """Up to ``count`` (place, record) above a place, what has been gathered included.

        Raises:
            DiskError: the medium could not be read.
        """
        self.hand_over()
        return self.writes.walk(Area.CACHE, after, count)

    def sample(self, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """Some of up to ``count`` (place, record) above a place, none that has just been written.

        Raises:
            DiskError: the medium could not be read.
        """
        self.hand_over()
        return self.writes.sample(Area.CACHE, after, count)

    def slot_page(self, slot: int, after: bytes | None, count: int) -> list[tuple[bytes, bytes]]:
        """As ``walk`` within a slot, above the key ``after``; nothing when the disk can't be read."""
        if not self.active or not (self.cold[slot] or self.indexed_to is not None):
            return []
        start = place_from(slot, 0) if after is None else place_of(slot, after)
        return self._page(slot, start, count)

    def slot_rows(self, slot: int, after: bytes | None, count: int) -> list[tuple[bytes, bytes]]:
        """As ``walk`` within a slot, above a place, counted or not."""
        if not self.active:
            return []
        return self._page(slot, place_from(slot, 0) if after is None else after, count)

    def hash_page(self, slot: int, least: int, count: int) -> list[tuple[bytes, bytes]]:
        """As ``walk`` within a slot, from a hash on."""
        if not self.active or not (self.cold[slot] or self.indexed_to is not None):
            return []
        return self._page(slot, place_from(slot, least), count)

    def _page(self, slot: int, start: bytes, count: int) -> list[tuple[bytes, bytes]]:
        try:
            rows = self.walk(start, count)
        except DiskError:
            self.counters["read_errors"] += 1
            self.on_unknown(slot)
            return []
        prefix = slot.to_bytes(2, "big")
        return [row for row in rows if row[0][:2] == prefix and len(row[0]) >= PREFIX_BYTES]

    def begin_filter(self) -> None:
        """A walk over everything begins: a new filter gathers what it meets."""
        self._next_filter = self._make_filter(self._bits)

    def met(self, key: bytes) -> None:
        """The walk has met a key."""
        if self._next_filter is not None:
            self._next_filter.add(key)

    def end_filter(self) -> None:
        """The walk is over: the new filter knows everything that is there, and less that is not."""
        if self._next_filter is not None:
            self._use_filter(self._next_filter)
            self._next_filter = None

    # -- the tick

    def tick(self, now: Now, idle_share: float) -> None:
        """Hand over what was gathered; a new budget, see ``WriteBudget.renew``."""
        self._now_s = now.mono_s
        self.budget.renew(idle_share)
        if not self.read_only:
            self.hand_over()
        self.used_bytes = self.writes.store.used_bytes(Area.CACHE)


def _nothing() -> None:
    """Nobody listens."""


def _ignore(_slot: int) -> None:
    """Nobody listens."""


def _ignore_key(_key: bytes) -> None:
    """Nobody listens."""


def _ignore_text(_text: str) -> None:
    """Nobody listens."""
