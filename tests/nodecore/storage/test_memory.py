"""The store: versions, expiry, memory, flush, walks, hooks."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodecore.ids import SLOTS_COUNT, Version
from nodecore.limits import TOMBSTONE_S
from nodecore.storage.causes import ApplyResult, Cause
from nodecore.storage.eviction import POLICIES, make_policy
from nodecore.storage.memory import Store
from nodecore.table import Kind, make_table
from nodecore.table.interface import QUEUE_TOMBSTONES, Entry
from tests.nodecore.storage.worlds import (
    at,
    delete,
    get_command,
    new_store,
    put,
    set_command,
    value_of,
)

NIL = b"$-1\r\n"


def test_the_newest_version_wins_in_any_order_of_arrival() -> None:
    records = [
        (b"a", Version(1, 1)),
        (b"b", Version(2, 1)),
        (b"c", Version(2, 2)),
        (b"d", Version(2, 2)),
    ]
    kept = set()
    for order in itertools.permutations(records):
        store = new_store()
        for value, version in order:
            store.apply(b"k", 0, value, version, 0, Cause.REPLICA, at(0))
        kept.add(value_of(store, b"k"))
    assert len(kept) == 1
    assert kept <= {b"c", b"d"}


def test_an_equal_record_is_older() -> None:
    store = new_store()
    assert put(store, b"k", b"v", 5) is ApplyResult.APPLIED
    assert put(store, b"k", b"v", 5) is ApplyResult.OLDER
    assert put(store, b"k", b"w", 4) is ApplyResult.OLDER
    assert store.counters["older"] == 2


def test_a_deletion_leaves_a_tombstone_that_overrules_older_writes() -> None:
    store = new_store()
    put(store, b"k", b"v", 5)
    delete(store, b"k", 6)
    entry = store.get(b"k", at(0))
    assert entry is not None
    assert entry.kind == Kind.TOMBSTONE
    assert put(store, b"k", b"w", 5, cause=Cause.HINT) is ApplyResult.OLDER
    assert put(store, b"k", b"w", 7) is ApplyResult.APPLIED
    assert value_of(store, b"k") == b"w"


def test_expiry_on_access_keeps_the_version() -> None:
    store = new_store()
    put(store, b"k", b"v", 5, expires_ms=1000)
    assert value_of(store, b"k", 999) == b"v"
    entry = store.get(b"k", at(1000))
    assert entry is not None
    assert (entry.kind, entry.hlc, entry.node, entry.value) == (Kind.TOMBSTONE, 5, 1, b"")
    assert store.evictions["expired"] == 1


def test_the_tick_expires_what_nobody_reads() -> None:
    store = new_store()
    for number in range(100):
        put(store, b"%d" % number, b"v", 5, expires_ms=1000 + number * 10)
    assert store.tick(at(1495)).expired == 50
    assert store.statistics().keys == 50
    assert store.tick(at(9000)).expired == 50
    assert store.tick(at(9000)).expired == 0
    assert store.statistics().tombstones == 100


def test_collected_tombstones_raise_the_floor_for_old_news_only() -> None:
    store = new_store()
    delete(store, b"{t}k", 50)
    later = int(TOMBSTONE_S * 1000) + 1
    store.tick(at(later))
    assert b"{t}k" not in store.table
    assert put(store, b"{t}k", b"v", 49, cause=Cause.HINT) is ApplyResult.REFUSED_FLOOR
    assert put(store, b"{t}k", b"v", 50, cause=Cause.REPAIR) is ApplyResult.REFUSED_FLOOR
    assert put(store, b"{t}k", b"v", 51, cause=Cause.HINT) is ApplyResult.APPLIED
    assert put(store, b"{t}j", b"v", 49, cause=Cause.REPLICA) is ApplyResult.APPLIED
    assert put(store, b"other", b"v", 1, cause=Cause.STREAM) is ApplyResult.APPLIED


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_memory_stays_within_its_limit(policy: str) -> None:
    limit = 64 * 1024
    store = new_store(limit, policy)
    for number in range(2000):
        assert (
            put(store, b"key%d" % number, b"v" * (number % 300), number + 1) is ApplyResult.APPLIED
        )
        assert store.memory_bytes <= limit
        if number % 7 == 0:
            store.get(b"key%d" % (number // 2), at(0), touch=True)
        if number % 100 == 0:
            store.tick(at(0))
        if number % 11 == 0:
            delete(store, b"key%d" % (number - 3), number + 1)
    assert store.evictions["size"] > 1000
    assert store.statistics().keys > 50


def test_a_value_that_can_never_fit_is_refused_and_evicts_nothing() -> None:
    store = new_store(20_000)
    put(store, b"k", b"v", 1)
    assert put(store, b"big", b"v" * 30_000, 2) is ApplyResult.REFUSED_MEMORY
    assert value_of(store, b"k") == b"v"
    assert store.counters["refused_memory"] == 1


def test_growing_an_entry_may_evict_that_entry_itself_and_still_fits() -> None:
    store = new_store(20_000, "fifo")
    for number in range(20):
        put(store, b"%d" % number, b"v" * 100, 1)
    assert put(store, b"0", b"w" * 9000, 2) is ApplyResult.APPLIED
    assert value_of(store, b"0") == b"w" * 9000
    assert store.memory_bytes <= 20_000


def test_evictions_are_reported_once_with_their_version() -> None:
    store = new_store(32 * 1024, "fifo")
    for number in range(300):
        put(store, b"%d" % number, b"v" * 100, number + 1)
    evicted = store.tick(at(0)).evicted
    assert evicted[0] == (b"0", Version(1, 1))
    assert len(evicted) == store.evictions["size"]
    assert store.tick(at(0)).evicted == []


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_only_slots_decided_here_are_evicted_while_there_are_any(policy: str) -> None:
    store = new_store(64 * 1024, policy)
    store.owner_decides = lambda slot: slot % 2 == 0
    for number in range(600):
        put(store, b"%d" % number, b"v" * 100, number + 1)
    ours = [key for key, _ in store.tick(at(0)).evicted]
    assert ours
    assert all(store.table.slot_of(key) % 2 == 0 for key in ours)


def test_when_nothing_is_decided_here_the_slot_becomes_partial() -> None:
    store = new_store(32 * 1024)
    store.owner_decides = lambda _slot: False
    for number in range(300):
        assert put(store, b"%d" % number, b"v" * 100, number + 1) is ApplyResult.APPLIED
    assert store.evictions["forced"] > 0
    assert store.partial_slots
    assert store.tick(at(0)).evicted == []


def test_an_eviction_order_spares_newer_entries_and_tombstones() -> None:
    store = new_store()
    put(store, b"k", b"v", 5)
    assert not store.drop(b"k", Version(4, 9))
    assert store.drop(b"k", Version(5, 1))
    assert b"k" not in store.table
    delete(store, b"k", 9)
    assert not store.drop(b"k", Version(10, 1))


def test_tombstones_beyond_their_share_are_collected_early() -> None:
    store = new_store(64 * 1024)
    for number in range(2000):
        delete(store, b"{t}%d" % number, number + 1)
    assert store.table.queue_bytes(QUEUE_TOMBSTONES) <= 16 * 1024
    assert store.counters["collected"] > 1900
    assert put(store, b"{t}0", b"v", 1, cause=Cause.HINT) is ApplyResult.REFUSED_FLOOR


def test_a_flush_hides_everything_at_once_and_removes_it_later() -> None:
    store = new_store()
    for number in range(50):
        put(store, b"{t}%d" % number, b"v", number + 1)
    slot = store.table.slot_of(b"{t}")
    store.flush(40)
    assert store.table.serve(get_command(b"{t}0"), 1, NIL) == (b"", 0)
    assert value_of(store, b"{t}0") is None
    assert value_of(store, b"{t}39") is None
    assert value_of(store, b"{t}40") == b"v"
    assert store.live_count(slot) == 10
    assert len(store.live_keys(slot, 100)) == 10
    assert put(store, b"{t}0", b"w", 40) is ApplyResult.REFUSED_FLUSHED
    store.tick(at(0))
    assert len(store.table) == 10
    assert store.table.serve(get_command(b"{t}40"), 1, NIL)[0] == b"$1\r\nv\r\n"
    assert store.counters["flushed"] == 40
    assert store.table.next_hlc(0) > 40


def test_the_gate_is_refilled_by_ticks_and_by_reads() -> None:
    store = new_store()
    put(store, b"a", b"v", 1)
    put(store, b"b", b"v", 1)
    store.reopen_gate()
    assert store.table.serve(get_command(b"a"), 1, NIL) == (b"", 0)
    store.get(b"a", at(0))
    assert store.table.serve(get_command(b"a"), 1, NIL)[0] != b""
    assert store.table.serve(get_command(b"b"), 1, NIL) == (b"", 0)
    store.tick(at(0))
    assert store.table.serve(get_command(b"b"), 1, NIL)[0] != b""


def test_inline_writes_find_room_again_after_a_tick() -> None:
    store = new_store(256 * 1024)
    served = 0
    for number in range(5000):
        command = set_command(b"%d" % number, b"v" * 100)
        served += store.table.serve(command, 1, NIL)[1] > 0
        if number % 3 == 0:
            store.tick(at(1))
        assert store.memory_bytes <= 256 * 1024
    assert served == 5000
    assert store.evictions["size"] > 3000


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_the_policy_can_be_changed_without_losing_data(policy: str) -> None:
    store = new_store(256 * 1024, "lru")
    for number in range(300):
        put(store, b"%d" % number, b"v", number + 1)
    store.set_policy(make_policy(policy, store.bytes_max))
    assert store.statistics().keys == 300
    assert store.statistics().policy == policy
    for number in range(3000):
        put(store, b"x%d" % number, b"v" * 50, number + 1)
    assert store.memory_bytes <= 256 * 1024
    assert sum(b"%d" % number in store.table for number in range(300)) < 300


@pytest.mark.parametrize("hooked", [False, True])
def test_a_batch_equals_single_changes(hooked: bool) -> None:
    one, many = new_store(), new_store()
    told: list[tuple[bytes, Cause]] = []
    if hooked:
        many.on_change.append(lambda key, _after, _before, cause: told.append((key, cause)))
    for store in (one, many):
        put(store, b"old", b"v", 3)
        put(store, b"newer", b"v", 9)
        delete(store, b"dead", 3)
    told.clear()
    keys, values = [b"old", b"newer", b"dead", b"new"], [b"1", b"2", b"3", b"4"]
    listed = many.apply_batch(keys, values, Version(5, 1), 7000, Cause.REPLICA, at(0))
    for key, value in zip(keys, values, strict=True):
        put(one, key, value, 5, expires_ms=7000)
    assert listed == [(1, ApplyResult.OLDER)]
    assert [value_of(one, key) for key in keys] == [value_of(many, key) for key in keys]
    assert many.statistics() == one.statistics()
    assert [key for key, _ in told] == ([b"old", b"dead", b"new"] if hooked else [])
    assert many.tick(at(8000)).expired == 3


def test_hooks_see_before_and_after() -> None:
    store = new_store(32 * 1024, "fifo")
    seen: list[tuple[bytes, object, object, Cause]] = []

    def short(entry: Entry | None) -> object:
        return None if entry is None else (entry.kind, entry.value, entry.hlc)

    store.on_change.append(
        lambda key, after, before, cause: seen.append((key, short(after), short(before), cause))
    )
    put(store, b"k", b"1", 1)
    put(store, b"k", b"2", 2, expires_ms=10)
    store.get(b"k", at(10))
    put(store, b"j", b"3", 3)
    store.drop(b"j", Version(9, 9))
    assert seen == [
        (b"k", (0, b"1", 1), None, Cause.CLIENT),
        (b"k", (0, b"2", 2), (0, b"1", 1), Cause.CLIENT),
        (b"k", (255, b"", 2), (0, b"2", 2), Cause.EXPIRED),
        (b"j", (0, b"3", 3), None, Cause.CLIENT),
        (b"j", None, (0, b"3", 3), Cause.EVICTED),
    ]


def test_a_moved_slot_is_forgotten() -> None:
    store = new_store()
    for number in range(20):
        put(store, b"{t}%d" % number, b"v", 1)
    delete(store, b"{t}x", 1)
    put(store, b"stays", b"v", 1)
    assert store.drop_slot(store.table.slot_of(b"{t}")) == 21
    assert len(store.table) == 1
    assert store.table.bytes_used == store.table.queue_bytes(1) + store.table.queue_bytes(2)


@pytest.mark.parametrize("size", [30, 1500])
def test_streaming_pages_are_stable_while_writes_go_on(size: int) -> None:
    store = new_store(8 * 1024 * 1024)
    slot = store.table.slot_of(b"{t}")
    stay = [b"{t}%d" % number for number in range(size)]
    for key in stay:
        put(store, key, b"v", 1)
        put(store, key + b"-goes", b"v", 1)
    delete(store, b"{t}0", 2)
    seen: list[bytes] = []
    after = None
    number = 0
    while page := store.slot_entries(slot, after, 7):
        after = page[-1][0]
        seen += [entry[0] for entry in page]
        for _ in range(5):
            number += 1
            put(store, b"{t}new%d" % number, b"v", 3)
            store.drop(b"{t}%d-goes" % number, Version(9, 9))
    assert sorted(key for key in seen if b"-" not in key and b"new" not in key) == sorted(stay)
    assert len(seen) == len(set(seen))


def test_a_scan_returns_every_key_of_the_chosen_slots() -> None:
    store = new_store(8 * 1024 * 1024)
    names = [b"%d" % number for number in range(300)] + [b"{t}%d" % number for number in range(900)]
    for name in names:
        put(store, name, b"v", 1)
    delete(store, b"{t}5", 2)
    cursor, seen, calls = 0, [], 0
    while True:
        cursor, page = store.scan(cursor, 10, lambda slot: slot % 3 != 0)
        seen += page
        calls += 1
        put(store, b"late%d" % calls, b"v", 1)
        if cursor == 0:
            break
    wanted = {name for name in names if store.table.slot_of(name) % 3 != 0} - {b"{t}5"}
    assert wanted <= set(seen)
    assert len(seen) == len(set(seen))
    assert store.scan(1 << 70, 10, lambda _slot: True) == (0, [])
    assert store.scan(-5, 10, lambda _slot: True) == (0, [])


def test_a_store_adopts_a_filled_table() -> None:
    table = make_table()
    table.set_slots(bytes([3]) * SLOTS_COUNT)
    for number in range(100):
        table.put(b"%d" % number, 0, b"v" * 100, 1, 1, 0)
    store = Store(table, make_policy("fifo", 20_000), 20_000, Random(1))
    store.tick(at(0))
    assert store.memory_bytes <= 20_000
    assert store.evictions["size"] > 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "delete", "drop", "get", "tick", "flush", "inline", "batch"]),
            st.integers(0, 8),
            st.integers(1, 12),
            st.sampled_from([0, 0, 5, 20]),
        ),
        max_size=60,
    ),
    st.sampled_from(sorted(POLICIES)),
)
def test_accounting_is_exact_after_anything(
    steps: list[tuple[str, int, int, int]], policy: str
) -> None:
    store = new_store(4 * 1024 + 16 * 1024, policy)
    for now, (action, number, hlc, expires_ms) in enumerate(steps):
        key = b"{%d}k" % number
        match action:
            case "put":
                put(store, key, b"v" * (number * 200), hlc, expires_ms, now_ms=now)
            case "delete":
                delete(store, key, hlc, now)
            case "drop":
                store.drop(key, Version(hlc, 1))
            case "get":
                store.get(key, at(now), touch=True)
            case "tick":
                store.tick(at(now))
            case "flush":
                store.flush(hlc // 4)
            case "inline":
                store.table.serve(set_command(key, b"v" * 50) + get_command(key), now, NIL)
            case _:
                keys = [b"{%d}k" % other for other in range(number)]
                store.apply_batch(keys, keys, Version(hlc, 1), expires_ms, Cause.REPLICA, at(now))
    table = store.table
    entries = [table.get(key) for slot in range(SLOTS_COUNT) for key in table.slot_keys(slot)]
    assert sum(entry.size for entry in entries if entry) == table.bytes_used
    assert len(entries) == len(table)
    dead = sum(entry.kind == Kind.TOMBSTONE for entry in entries if entry)
    assert dead == table.queue_count(QUEUE_TOMBSTONES)
    assert store.memory_bytes <= store.bytes_max
    store.tick(at(10**9))
    while store._evict_one():
        pass
    assert len(table) == 0
    assert table.bytes_used == 0
