"""Two tiers behave as one store: what was written is found, whatever moved where."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nodecore.effects import DiskWrite
from nodecore.ids import SLOTS_COUNT, Now, Version
from nodecore.simulation.disk import SimDisk
from nodecore.storage.causes import ApplyResult, Cause
from nodecore.storage.cold import key_at, place_from, place_of, slot_at
from nodecore.storage.disk import Area, DiskError, DiskWrites, Durability
from nodecore.storage.eviction import make_policy
from nodecore.storage.ranking import SLOTS_PER_STEP_MAX, Ranking
from nodecore.storage.records import RANK_MAX
from nodecore.storage.scrub import Scrub
from nodecore.storage.tiered import TieredStore, make_store
from nodecore.storage.warming import Warming, spans_of
from nodecore.storage.write_budget import (
    HOT_WRITES_PER_TICK_MAX,
    IDLE_SHARE_FULL,
    RECORDS_PER_TICK_MAX,
    RECORDS_PER_TICK_MIN,
)
from nodecore.table import make_table
from nodecore.table.interface import SLOT_READ, SLOT_WRITE, Kind
from tests.nodecore.storage.worlds import set_command

KIB, MIB = 1 << 10, 1 << 20
VALUE = b"v" * 500


def damaged(place: bytes, record: bytes) -> DiskWrite:
    return DiskWrite(0, ((int(Area.CACHE), place, record),))


def everywhere(_slot: int) -> bool:
    return True


class World:
    """A store over a simulated disk, and the wake-ups around it."""

    def __init__(self, bytes_max: int = 128 * KIB, disk_bytes_max: int = 4 * MIB) -> None:
        self.disk = SimDisk(random.Random(7))
        self.bytes_max, self.disk_bytes_max = bytes_max, disk_bytes_max
        self.hlc = 1 << 40
        self.now = Now(1.0, 1_000_000)
        self.unknown: list[int] = []
        self.store = self.begin()

    def begin(self) -> TieredStore:
        """A life of the store over what the disk holds."""
        table = make_table("reference")
        table.set_slots(bytes([SLOT_READ | SLOT_WRITE]) * SLOTS_COUNT)
        table.open_gate(1)
        store = TieredStore(
            table,
            make_policy("s3fifo", self.bytes_max),
            self.bytes_max,
            random.Random(1),
            self.disk_bytes_max,
        )
        self.writes = DiskWrites(self.disk)
        store.tier.on_unknown = self.unknown.append
        store.tier.attach(self.writes)
        self.store = store
        return store

    def turn(self) -> None:
        effect = self.writes.take()
        if effect is not None:
            refused = self.disk.write(effect)
            if refused:
                self.writes.refuse(effect, refused, self.now)
            self.disk.land(effect.ticket)
            self.writes.on_done(effect.ticket, self.now)

    def tick(self, elapsed_s: float = 0.25, idle_share: float = 1.0) -> None:
        self.now = Now(self.now.mono_s + elapsed_s, self.now.wall_ms + int(elapsed_s * 1000))
        self.store.tick(self.now, idle_share)
        self.turn()

    def restart(self) -> Warming:
        """As a kill between two wake-ups, then a start with all of its warming."""
        self.begin()
        warming = Warming(self.store, everywhere, self.now)
        for _ in range(10_000):
            if warming.done:
                break
            warming.step(50, self.now)
            self.turn()
        assert warming.done
        return warming

    def put(self, key: bytes, value: bytes = VALUE, expires_ms: int = 0) -> ApplyResult:
        self.hlc += 1
        version = Version(self.hlc, 1)
        result = self.store.apply(
            key, Kind.STRING, value, version, expires_ms, Cause.CLIENT, self.now
        )
        self.turn()
        return result

    def put_inline(self, key: bytes, value: bytes) -> None:
        """As a client does: through the gate, or the long way when that does not take it."""
        command = set_command(key, value)
        served = self.store.table.serve(command, self.now.wall_ms, b"$-1\r\n")[1]
        self.hlc = max(self.hlc, self.store.table.hlc_high)
        if not served:
            self.put(key, value)

    def delete(self, key: bytes) -> ApplyResult:
        self.hlc += 1
        version = Version(self.hlc, 1)
        result = self.store.apply(key, Kind.TOMBSTONE, b"", version, 0, Cause.CLIENT, self.now)
        self.turn()
        return result

    def value(self, key: bytes) -> bytes | None:
        entry = self.store.get(key, self.now, touch=True)
        self.turn()
        return None if entry is None or entry.kind == Kind.TOMBSTONE else entry.value

    def fill(self, count: int) -> None:
        for number in range(count):
            self.put(b"k%d" % number)
            if number % 100 == 99:
                self.tick()

    @property
    def total(self) -> int:
        return self.store.statistics().keys

    def scanned(self) -> list[bytes]:
        cursor, keys = 0, []
        for _ in range(10_000):
            cursor, page = self.store.scan(cursor, 200, everywhere, self.now.wall_ms)
            keys += page
            if not cursor:
                return keys
        raise AssertionError("the walk does not end")


def test_places_keep_the_order_in_which_slots_are_walked() -> None:
    for key in (b"", b"a", b"x" * 600):
        place = place_of(77, key)
        assert key_at(place) == key
        assert slot_at(place) == 77
        assert place_from(77, 0) < place < place_from(78, 0)


def test_what_leaves_memory_is_found_on_disk() -> None:
    world = World()
    world.fill(400)
    assert world.store.evictions["demoted"] > 200
    assert world.store.evictions["size"] == 0
    assert world.total == 400
    assert sorted(world.scanned()) == sorted(b"k%d" % number for number in range(400))
    assert all(world.value(b"k%d" % number) == VALUE for number in range(400))
    assert world.store.memory_bytes <= world.bytes_max
    assert world.store.statistics().keys == 400


def test_without_a_disk_it_is_a_plain_store() -> None:
    table = make_table("reference")
    policy = make_policy("lru", MIB)
    plain = make_store(table, policy, MIB, random.Random(1), "", MIB)
    assert not isinstance(plain, TieredStore)


def test_what_is_over_the_budget_is_evicted_and_told() -> None:
    world = World()
    for number in range(RECORDS_PER_TICK_MAX + 600):
        world.put(b"k%d" % number)
    assert world.store.evictions["demoted"] == RECORDS_PER_TICK_MAX
    assert world.store.evictions["size"] > 100
    told = world.store.tick(world.now).evicted
    assert len(told) == world.store.evictions["size"]


def flood(world: World, per_tick: int, idle_share: float) -> tuple[int, int]:
    """New keys for five ticks into a full memory; how many entries went down, and how many were evicted."""
    for number in range(1_000):
        world.put(b"before%d" % number)
    world.tick(idle_share=idle_share)
    evictions = world.store.evictions
    before = evictions["demoted"], evictions["size"]
    for tick in range(5):
        for number in range(per_tick):
            world.put(b"k%d:%d" % (tick, number))
        world.tick(idle_share=idle_share)
    return evictions["demoted"] - before[0], evictions["size"] - before[1]


def test_a_node_with_time_left_keeps_all_that_memory_gives_up() -> None:
    world = World()
    down, evicted = flood(world, RECORDS_PER_TICK_MAX - 100, IDLE_SHARE_FULL)
    assert evicted == 0
    assert down >= 5 * (RECORDS_PER_TICK_MAX - 100) - 100


def test_a_saturated_node_keeps_a_part_and_counts_the_rest() -> None:
    world = World()
    down, evicted = flood(world, 500, 0.0)
    assert down == 5 * RECORDS_PER_TICK_MIN
    assert evicted >= 5 * (500 - RECORDS_PER_TICK_MIN) - 100
    assert world.store.tier.counters["overflowed"] == world.store.evictions["size"]
    assert world.total == len(world.scanned())


def test_what_has_a_record_goes_down_when_nothing_more_may_be_written() -> None:
    world = World()
    world.fill(150)
    kept = [b"k%d" % number for number in range(150)]
    assert all(key in world.store.table for key in kept), "nothing has gone down yet"
    for key in kept:
        assert world.store.write_down(key)
    world.tick()
    while world.store.tier.accepts(1):
        continue
    for number in range(500):
        world.put(b"other%d" % number)
    assert any(key not in world.store.table for key in kept)
    assert all(world.value(key) == VALUE for key in kept)


def test_a_delete_of_a_cold_key_takes_its_record_along() -> None:
    world = World()
    world.fill(400)
    key = next(k for k in world.scanned() if k not in world.store.table)
    world.delete(key)
    world.tick()
    assert world.value(key) is None
    assert world.total == 399
    for _ in range(4):
        world.tick(400.0)
    assert key not in world.store.table
    assert world.value(key) is None
    world.restart()
    assert world.value(key) is None


def test_an_overwritten_record_never_comes_back() -> None:
    world = World()
    world.fill(400)
    cold = [key for key in world.scanned() if key not in world.store.table]
    for key in cold[:50]:
        assert world.put(key, b"new") is ApplyResult.APPLIED
    world.tick()
    world.restart()
    assert {world.value(key) for key in cold[:50]} <= {None, b"new"}


def test_older_news_about_a_cold_key_is_refused() -> None:
    world = World()
    world.fill(400)
    key = next(k for k in world.scanned() if k not in world.store.table)
    old = Version(1 << 39, 1)
    for cause in (Cause.REPLICA, Cause.REPAIR, Cause.STREAM):
        result = world.store.apply(key, Kind.STRING, b"old", old, 0, cause, world.now)
        assert result is ApplyResult.OLDER
    refused = world.store.apply_batch(
        [key, b"fresh"], [b"old"] * 2, old, 0, Cause.REPLICA, world.now
    )
    assert refused == [(0, ApplyResult.OLDER)]
    assert world.value(key) == VALUE
    assert world.value(b"fresh") == b"old"


def test_a_batch_that_pushes_its_own_keys_down_counts_them_once() -> None:
    world = World(bytes_max=64 * KIB)
    keys = [b"k%d" % number for number in range(60)]
    for _ in range(30):
        world.hlc += 1
        version = Version(world.hlc, 1)
        refused = world.store.apply_batch(keys, [VALUE] * 60, version, 0, Cause.CLIENT, world.now)
        world.turn()
        assert refused == []
        assert world.total == 60
        world.put(keys[7], VALUE * 20)
        assert world.total == 60
        world.tick()
    old = Version(5, 1)
    refused = world.store.apply_batch(keys, [b"old"] * 60, old, 0, Cause.REPLICA, world.now)
    assert [row for row, _result in refused] == list(range(60))


def test_a_record_comes_up_when_it_is_asked_for_more_than_what_would_go() -> None:
    world = World()
    world.fill(400)
    key = next(k for k in world.scanned() if k not in world.store.table)
    before, number = world.store.evictions["demoted"], 400
    while world.store.evictions["demoted"] == before:
        # Uses up the room that the last tick has made.
        world.put(b"k%d" % number)
        number += 1
    asked = 0
    while key not in world.store.table and asked < 20:
        world.value(key)
        asked += 1
    assert 2 <= asked < 20
    assert world.store.tier.counters["promotions"] >= 1
    assert world.total == number


def test_the_policy_is_not_upset_by_questions() -> None:
    """Proposals that are not taken go back: every entry can still be evicted."""
    world = World()
    world.fill(400)
    for number in range(400):
        world.value(b"k%d" % number)
        world.value(b"k%d" % number)
    evicted = 0
    while world.store._evict_one():
        evicted += 1
        assert evicted < 1_000
    assert len(world.store.table) == 0


def test_drops_and_moved_slots_reach_the_disk() -> None:
    world = World()
    world.fill(400)
    cold = [key for key in world.scanned() if key not in world.store.table]
    newest = Version(world.hlc, 9)
    assert not world.store.drop(cold[0], Version(1, 1))
    assert world.store.drop(cold[0], newest)
    assert world.store.give_up(cold[1], newest)
    slot = world.store.table.slot_of(cold[2])
    held = world.store.slot_count(slot)
    assert world.store.drop_slot(slot) == held
    world.tick()
    assert [world.value(key) for key in cold[:3]] == [None] * 3
    assert world.total == 400 - 2 - held


def test_a_flush_reaches_the_disk() -> None:
    world = World()
    world.fill(400)
    world.store.flush(world.hlc)
    assert all(world.store.live_count(slot) == 0 for slot in range(SLOTS_COUNT))
    assert all(world.value(b"k%d" % number) is None for number in range(400))
    world.put(b"after", b"new")
    world.tick()
    world.restart()
    assert world.scanned() == [] or world.scanned() == [b"after"]


def test_streams_see_both_tiers_once_and_in_order() -> None:
    world = World()
    for number in range(400):
        world.put(b"{tag}%d" % number)
        if number % 100 == 99:
            world.tick()
    slot = world.store.table.slot_of(b"{tag}")
    seen: list[bytes] = []
    after: bytes | None = None
    while entries := world.store.slot_entries(slot, after, 7):
        seen += [entry[0] for entry in entries]
        after = seen[-1]
        assert all(entry[2] == VALUE for entry in entries)
    assert len(seen) == len(set(seen)) == 400
    heads = list(world.store.slot_heads(slot))
    assert sorted(head[0] for head in heads) == sorted(seen)
    assert len(world.store.live_keys(slot, 1_000)) == 400
    assert world.store.slot_count(slot) == 400


def test_expired_records_are_tombstones_to_whoever_asks() -> None:
    world = World()
    for number in range(400):
        world.put(b"k%d" % number, expires_ms=world.now.wall_ms + 5_000)
        if number % 100 == 99:
            world.tick(0.1)
    key = next(k for k in world.scanned() if k not in world.store.table)
    world.tick(10.0)
    entry = world.store.get(key, world.now)
    assert entry is not None
    assert entry.kind == Kind.TOMBSTONE


@pytest.mark.parametrize("durability", [Durability.PROCESS, Durability.POWER])
def test_a_promise_is_on_disk_within_the_wake_up(durability: Durability) -> None:
    world = World(bytes_max=MIB)
    world.store.durability_of = lambda _key: (durability, False)
    world.put(b"a", b"1")
    world.hlc += 1
    version = Version(world.hlc, 1)
    world.store.apply_batch([b"b", b"c"], [b"2", b"3"], version, 0, Cause.CLIENT, world.now)
    world.delete(b"c")
    world.turn()
    assert len(world.disk.walk(Area.CACHE, None, 10)) == 3
    world.restart()
    assert [world.value(key) for key in (b"a", b"b", b"c")] == [b"1", b"2", None]
    entry = world.store.get(b"c", world.now)
    assert entry is not None
    assert entry.kind == Kind.TOMBSTONE


def test_write_through_copies_at_once_and_memory_pays_nothing() -> None:
    world = World(bytes_max=MIB)
    world.put(b"a", b"1")
    assert world.disk.walk(Area.CACHE, None, 10) == []
    world.store.durability_of = lambda key: (Durability.MEMORY, key == b"b")
    world.put(b"b", b"2")
    world.put(b"c", b"3")
    assert [key_at(place) for place, _ in world.disk.walk(Area.CACHE, None, 10)] == [b"b"]


def test_records_of_hot_keys_follow_their_changes_at_once_within_a_budget() -> None:
    world = World()
    world.put(b"hot")
    world.put(b"mild")
    world.store.tier.hot = frozenset({b"hot"})
    for key in (b"hot", b"mild"):
        assert world.store.write_down(key)
    world.tick()
    for number in range(2 * HOT_WRITES_PER_TICK_MAX):
        value = b"v%d" % number
        world.put(b"hot", value)
        world.put(b"mild", value)
        record = world.store.tier.read(b"hot")
        if number < HOT_WRITES_PER_TICK_MAX:
            assert record is not None
            assert record.value == value
        else:
            assert record is None, "superseded, never out of date"
        assert world.store.tier.read(b"mild") is None
    world.delete(b"hot")
    assert world.store.tier.read(b"hot") is None
    world.tick()
    world.put(b"hot", b"last")
    world.restart()
    assert world.value(b"hot") == b"last"
    assert world.value(b"mild") is None


def test_a_restart_lifts_the_hottest_first() -> None:
    world = World(bytes_max=2 * MIB)
    for number in range(300):
        world.put(b"k%d" % number)
    for number in range(300):
        world.store.write_down(b"k%d" % number, rank=15 if number % 10 == 0 else 0)
    world.tick()
    world.bytes_max = 128 * KIB
    warming = world.restart()
    assert warming.found == 300
    assert 30 <= warming.lifted < 200
    assert all(b"k%d" % number in world.store.table for number in range(0, 300, 10))
    assert world.total == 300


def _by_rank(**counts: int) -> list[int]:
    """Counts by rank, named r0, r1 ..."""
    return [counts.get(f"r{rank}", 0) for rank in range(RANK_MAX + 1)]


@pytest.mark.parametrize(
    ("counts", "room_records", "spans"),
    [
        (_by_rank(), 100, []),
        (_by_rank(r0=50), 100, [(0, 0)]),
        (_by_rank(r0=50), 10, [(0, 0)]),
        # Everything fits: the hottest tenth, then all others in one walk.
        (_by_rank(r15=6, r5=5, r3=9, r1=30, r0=50), 200, [(4, RANK_MAX), (0, 3)]),
        (_by_rank(r9=90, r0=10), 200, [(8, RANK_MAX), (0, 0)]),
        # Of what does not fit, nothing colder comes up before it.
        (_by_rank(r15=10, r5=20, r3=20, r1=60, r0=50), 50, [(8, RANK_MAX), (2, 7), (1, 1), (0, 0)]),
        (_by_rank(r15=60, r1=60, r0=50), 50, [(8, RANK_MAX), (1, 1), (0, 0)]),
    ],
)
def test_a_restart_walks_seldom_and_lifts_no_colder_record_before_one_that_may_not_fit(
    counts: list[int], room_records: int, spans: list[tuple[int, int]]
) -> None:
    sizes = [10 * count for count in counts]
    assert spans_of(counts, sizes, 10.0 * room_records) == spans


@pytest.mark.parametrize("durability", list(Durability))
def test_ranks_follow_the_uses_of_entries_that_are_only_read(durability: Durability) -> None:
    world = World()
    world.store.durability_of = lambda _key: (durability, durability is Durability.MEMORY)
    for number in range(120):
        world.put(b"k%d" % number)
    hot = [b"k%d" % number for number in range(0, 120, 10)]
    for _use in range(3):
        assert all(world.value(key) == VALUE for key in hot)
    assert world.store.tier.read(hot[0]) is not None
    assert world.store.rank_up(hot[0], RANK_MAX) is (durability is not Durability.POWER)
    ranking = Ranking(world.store)
    for _ in range(2 * SLOTS_COUNT // SLOTS_PER_STEP_MAX):
        ranking.step(1.0)
        world.tick()
    records = {key: world.store.tier.read(key) for key in (*hot, b"k1")}
    ranks = {key: record.rank for key, record in records.items() if record is not None}
    assert ranks[b"k1"] == 0
    if durability is Durability.POWER:
        assert ranking.raised == 0
    else:
        assert min(ranks[key] for key in hot) >= 8
        flags = {record.durable for record in records.values() if record is not None}
        assert flags == {durability is Durability.PROCESS}
        world.put(hot[0], b"again")
        changed = world.store.tier.read(hot[0])
        assert changed is not None
        assert (changed.rank > 0) is (durability is Durability.PROCESS)


def test_a_promise_of_this_wake_up_is_not_written_over() -> None:
    world = World()
    world.store.durability_of = lambda _key: (Durability.PROCESS, False)
    world.hlc += 1
    version = Version(world.hlc, 1)
    world.store.apply(b"k", Kind.STRING, VALUE, version, 0, Cause.CLIENT, world.now)
    assert not world.store.rank_up(b"k", RANK_MAX)
    effect = world.writes.take()
    assert effect is not None
    assert len(effect.records) == 1
    assert world.store.rank_up(b"k", RANK_MAX) is False, "the disk has not executed it yet"
    world.disk.write(effect)
    assert world.store.rank_up(b"k", RANK_MAX)


def test_a_damaged_record_is_unknown_and_reported() -> None:
    world = World()
    world.fill(400)
    key = next(k for k in world.scanned() if k not in world.store.table)
    slot = world.store.table.slot_of(key)
    place = place_of(slot, key)
    record = bytearray(world.disk.get(Area.CACHE, place) or b"")
    record[60] ^= 4
    world.disk.write(damaged(place, bytes(record)))
    assert world.value(key) is None
    assert world.unknown == [slot]
    assert world.store.tier.counters["checksum_failures"] == 1
    assert world.disk.get(Area.CACHE, place) is None


def test_a_misdirected_read_is_never_served() -> None:
    world = World()
    values = {b"k%d" % number: b"%d," % number * 150 for number in range(400)}
    for key, value in values.items():
        world.put(key, value)
    world.tick()
    cold = [key for key in world.scanned() if key not in world.store.table]
    world.disk.misdirected = 0.5
    found = [world.value(key) for key in cold[:40]]
    assert all(value in (None, values[key]) for key, value in zip(cold[:40], found, strict=True))
    assert 0 < found.count(None) < 40
    assert world.store.tier.counters["checksum_failures"] == len(world.unknown) > 0


def test_scrub_reads_at_its_rate() -> None:
    world = World()
    world.fill(1_500)
    rate = 50 * KIB
    scrub = Scrub(world.store, everywhere, rate)
    scrub.step(world.now)
    before = scrub.bytes
    for _ in range(40):
        world.now = Now(world.now.mono_s + 0.25, world.now.wall_ms + 250)
        scrub.step(world.now)
    assert scrub.passes == 0
    assert 0.9 * 10 * rate < scrub.bytes - before < 1.2 * 10 * rate
    world.now = Now(world.now.mono_s + 3600.0, world.now.wall_ms + 3_600_000)
    before = scrub.bytes
    scrub.step(world.now)
    assert scrub.bytes - before < 2 * rate, "an idle hour is not made up for"


def test_scrub_finds_damage_and_what_does_not_belong() -> None:
    world = World()
    world.fill(400)
    cold = [key for key in world.scanned() if key not in world.store.table]
    slots = [world.store.table.slot_of(key) for key in cold]
    for key, slot in zip(cold[:5], slots, strict=False):
        world.disk.write(damaged(place_of(slot, key), b"rubbish"))
    stranger = slots[10]
    scrub = Scrub(world.store, lambda slot: slot != stranger, 10 * MIB)
    for _ in range(300):
        world.tick()
        scrub.step(world.now)
    assert scrub.passes >= 1
    assert scrub.records >= len(cold)
    assert sorted(set(world.unknown)) == sorted(set(slots[:5]))
    world.tick()
    assert world.value(cold[10]) is None
    assert sum(world.value(key) == VALUE for key in cold) == len(cold) - 5 - slots.count(stranger)


def test_an_overfull_disk_evicts_the_least_used() -> None:
    world = World(disk_bytes_max=64 * KIB)
    scrub = Scrub(world.store, everywhere, 0)
    for number in range(600):
        world.put(b"k%d" % number)
        if number % 20 == 19:
            world.tick()
            scrub.make_room()
            world.turn()
    assert world.store.tier.counters["evictions_l2"] > 100
    world.tick()
    assert world.store.tier.used_bytes < 100 * KIB
    assert world.total == len(world.scanned())
    told = world.store.tick(world.now).evicted
    assert isinstance(told, list)


def test_a_disk_that_refuses_is_left_alone_for_a_while() -> None:
    world = World()
    said: list[str] = []
    world.store.tier.on_refused = said.append
    world.fill(100)
    world.writes.on_refused("disk full", [], world.now)
    assert said == ["disk full"]
    before = world.store.evictions["demoted"]
    world.fill(200)
    assert world.store.evictions["demoted"] == before
    for _ in range(30):
        world.tick()
    world.fill(300)
    assert world.store.evictions["demoted"] > before


class _Unreadable:
    def get(self, _area: Area, _key: bytes) -> bytes | None:
        raise DiskError("input/output error")

    def walk(self, _area: Area, _after: bytes | None, _count: int) -> list[tuple[bytes, bytes]]:
        raise DiskError("input/output error")

    def used_bytes(self, _area: Area) -> int:
        return 0


def test_a_disk_that_cannot_be_read_makes_keys_unknown_not_missing() -> None:
    world = World()
    world.fill(400)
    key = next(k for k in world.scanned() if k not in world.store.table)
    world.store.tier.writes = DiskWrites(_Unreadable())
    assert world.store.get(key, world.now) is None
    assert world.unknown == [world.store.table.slot_of(key)]
    assert world.store.tier.counters["read_errors"] == 1


def test_no_other_owner_drops_what_only_this_disk_can_not_be_asked_about() -> None:
    world = World()
    world.store.durability_of = lambda _key: (Durability.PROCESS, False)
    world.fill(100)
    world.store.tier.writes.store = _Unreadable()  # type: ignore[misc]
    world.store.set_bytes_max(32 * KIB)
    report = world.store.tick(world.now)
    assert report.evicted == []
    assert world.store.evictions["forced"] > 10
    assert world.unknown


def test_what_the_gate_writes_supersedes_records_and_counts_once() -> None:
    world = World()
    world.fill(400)
    count = world.total
    cold = next(key for key in world.scanned() if key not in world.store.table)
    warm = next(key for key in world.scanned() if key in world.store.table)
    assert world.store.write_down(warm)
    served = world.store.table.gate_writes
    world.put_inline(cold, b"new")
    world.put_inline(warm, b"new")
    assert world.store.table.gate_writes == served + 2
    assert world.total == count
    world.tick()
    assert world.store.tier.read(cold) is None
    assert world.store.tier.read(warm) is None
    world.fill(900)
    world.restart()
    assert world.value(cold) in (None, b"new")
    assert world.value(warm) in (None, b"new")


@pytest.mark.parametrize("how", ["copied down", "hot", "written through"])
def test_a_record_made_of_what_the_gate_wrote_is_superseded_in_its_turn(how: str) -> None:
    world = World()
    world.put_inline(b"k", b"first")
    world.tick()
    entry = world.store.table.get(b"k")
    assert entry is not None
    assert entry.bare
    if how == "copied down":
        world.store.write_down(b"k")
    elif how == "hot":
        world.store.tier.filter.add(b"k")
        world.store.tier.hot = frozenset([b"k"])
        world.put(b"k", b"second")
    else:
        world.store.durability_of = lambda _key: (Durability.PROCESS, False)
        world.put(b"k", b"second")
        world.store.durability_of = None
    world.tick()
    assert world.store.tier.read(b"k") is not None
    world.put_inline(b"k", b"third")
    world.tick()
    assert world.store.tier.read(b"k") is None


def test_what_the_gate_wrote_goes_down_as_it_is() -> None:
    """An entry whose record is out of date must not be taken for one that is on disk already."""
    world = World()
    world.fill(150)
    keys = [key for key in world.scanned() if key in world.store.table]
    assert len(keys) == 150
    assert all(world.store.write_down(key) for key in keys)
    world.tick()
    for key in keys[:50]:
        world.put_inline(key, b"x" * 500)
    # Between ticks a busy node takes what the gate has gathered.
    world.store.take_touches()
    for key in keys[50:]:
        world.put_inline(key, b"x" * 500)
    for number in range(300):
        world.put(b"later%d" % number)
    assert all(world.value(key) == b"x" * 500 for key in keys)


def test_the_gate_answers_no_misses_where_records_are() -> None:
    world = World()
    told: list[int] = []
    world.store.tier.on_closed = lambda: told.append(sum(map(bool, world.store.tier.closed)))
    world.fill(60)
    assert told == []
    world.fill(400)
    assert told[0] == 1
    assert told[-1] == SLOTS_COUNT
    assert len(told) < 70


class TieredMachine(RuleBasedStateMachine):
    """Against a plain dictionary: a value that is found is the last one written, and none is lost
    that was not counted as evicted.
    """

    keys = st.integers(0, 60).map(lambda number: b"k%d" % number)

    @initialize()
    def begin(self) -> None:
        self.world = World(bytes_max=64 * KIB)
        self.model: dict[bytes, bytes] = {}

    @rule(key=keys, size=st.integers(0, 9_000))
    def put(self, key: bytes, size: int) -> None:
        value = b"%04d" % size * (size // 4)
        if self.world.put(key, value) is ApplyResult.APPLIED:
            self.model[key] = value

    @rule(key=keys, size=st.integers(0, 2_000))
    def put_inline(self, key: bytes, size: int) -> None:
        value = b"%04d" % size * (size // 4)
        self.world.put_inline(key, value)
        self.model[key] = value

    @rule(key=keys, ms=st.sampled_from([100, 100_000]))
    def expiring(self, key: bytes, ms: int) -> None:
        if self.world.put(key, b"short", self.world.now.wall_ms + ms) is ApplyResult.APPLIED:
            self.model[key] = b"short"
        if ms == 100:
            self.world.tick()
            assert self.world.value(key) is None
            self.model.pop(key, None)

    @rule(key=keys)
    def delete(self, key: bytes) -> None:
        self.world.delete(key)
        self.model.pop(key, None)

    @rule(key=keys)
    def read(self, key: bytes) -> None:
        assert self.world.value(key) == self.model.get(key)

    @rule()
    def tick(self) -> None:
        self.world.tick()

    @rule()
    def flush(self) -> None:
        self.world.store.flush(self.world.hlc)
        self.model.clear()
        self.world.tick()

    @rule(key=keys)
    def write_down(self, key: bytes) -> None:
        self.world.store.write_down(key)

    @rule(key=keys)
    def heat(self, key: bytes) -> None:
        self.world.store.tier.hot = frozenset([key])

    @rule(key=keys)
    def rank_up(self, key: bytes) -> None:
        self.world.store.catch_up()
        self.world.store.rank_up(key, RANK_MAX)

    @invariant()
    def bare_entries_have_no_record(self) -> None:
        store = self.world.store
        store.catch_up()
        for key in self.model:
            entry = store.table.get(key)
            assert entry is None or not entry.bare or store.tier.read(key) is None

    @rule()
    def take_touches(self) -> None:
        self.world.store.take_touches()

    @invariant()
    def counts_agree(self) -> None:
        assert self.world.store.evictions["size"] == 0
        assert self.world.total == len(self.model)

    @rule()
    def walk(self) -> None:
        assert sorted(self.world.scanned()) == sorted(self.model)


TieredMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
test_tiers_against_a_dictionary = TieredMachine.TestCase


def test_what_a_disk_refused_to_replace_is_never_served_again() -> None:
    world = World()
    world.fill(400)
    cold = [key for key in world.scanned() if key not in world.store.table]
    world.disk.refuses = "no space left on device"
    # The long way and the gate: both supersede records that the disk does not let go of.
    for number, key in enumerate(cold):
        if number % 2:
            world.put(key, b"newer")
        else:
            world.put_inline(key, b"newer")
    world.tick()
    assert world.store.tier.counters["refused"] > 0
    world.store.set_bytes_max(24 * KIB)
    world.tick()
    gone = [key for key in cold if key not in world.store.table]
    assert len(gone) > 50
    assert {world.value(key) for key in cold} <= {None, b"newer"}
    world.disk.refuses = ""
    world.tick(elapsed_s=10.0)
    world.tick()
    world.restart()
    assert {world.value(key) for key in cold} <= {None, b"newer"}


def test_a_record_that_is_refused_is_an_eviction() -> None:
    world = World()
    world.fill(200)
    before, slots = world.store.evictions["forced"], set(world.store.partial_slots)
    world.disk.refuses = "no space left on device"
    number = 0
    while not world.store.tier.counters["refused"]:
        world.put(b"more%d" % number)
        number += 1
        if number % 50 == 0:
            world.tick()
    lost = world.store.evictions["forced"] - before
    assert lost > 0
    assert len(world.store.partial_slots - slots) > 0
    world.disk.refuses = ""
    assert world.total == len(world.scanned())
