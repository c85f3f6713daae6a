"""What each policy promises beyond its miss counts."""

from __future__ import annotations

from random import Random

import pytest

from nodecore.ids import Version
from nodecore.storage.causes import Cause
from nodecore.storage.eviction import POLICIES, make_policy
from nodecore.storage.eviction.adaptive import CANDIDATES, Adaptive
from nodecore.storage.eviction.interface import Capacity, EvictionPolicy
from nodecore.table import Table, make_table
from nodecore.table.plain_ghosts import PlainSketch
from tests.nodecore.storage.eviction.replay import loop, misses, trace, zipf
from tests.nodecore.storage.worlds import at, new_store, put


def filled(policy: EvictionPolicy, sizes: list[int], expiries: list[int] | None = None) -> Table:
    table = make_table()
    policy.bind(table, Random(1))
    for number, size in enumerate(sizes):
        expires_ms = expiries[number] if expiries else 0
        policy.on_insert(table.put(b"%d" % number, 0, b"v" * size, 1, 1, expires_ms))
    return table


def order_of(policy: EvictionPolicy, table: Table) -> list[bytes]:
    order = []
    while (entry := policy.victim()) is not None:
        policy.on_evicted(entry)
        table.remove(entry.key)
        order.append(entry.key)
    return order


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_entry_is_proposed_once_whatever_was_removed_or_spared(name: str) -> None:
    policy = make_policy(name, 40, in_objects=True)
    table = filled(policy, [10] * 40)
    for number in range(0, 40, 4):
        entry = table.get(b"%d" % number)
        assert entry is not None
        table.touch(entry.key, entry)
        policy.on_hit(entry)
    for number in range(0, 40, 5):
        entry = table.get(b"%d" % number)
        assert entry is not None
        policy.on_remove(entry)
        table.remove(entry.key)
    for _ in range(10):
        entry = policy.victim()
        assert entry is not None
        policy.on_spared(entry)
    order = order_of(policy, table)
    assert sorted(order) == sorted(b"%d" % number for number in range(40) if number % 5)
    assert len(table) == 0


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_bookkeeping_stays_bounded_under_churn(name: str) -> None:
    store = new_store(128 * 1024, name)
    for number in range(6000):
        put(store, b"%d" % (number % 50), b"v", number + 1)
        store.drop(b"%d" % ((number * 7) % 50), Version(number + 2, 1))
    assert store.policy.overhead_bytes < 128 * 1024
    assert store.statistics().keys <= 50


def test_unknown_names_and_capacities_are_refused() -> None:
    with pytest.raises(ValueError, match="s3fifo"):
        make_policy("nope", 1)
    with pytest.raises(ValueError, match="at least 1"):
        make_policy("lru", 0)


def test_ttl_takes_the_soonest_expiry_first() -> None:
    policy = make_policy("ttl", 10, in_objects=True)
    table = filled(policy, [1] * 5, [500, 0, 300, 400, 0])
    later = table.put(b"2", 0, b"v", 2, 1, 900)
    policy.on_hit(later)
    sooner = table.put(b"4", 0, b"v", 2, 1, 100)
    policy.on_hit(sooner)
    assert order_of(policy, table) == [b"4", b"3", b"0", b"2", b"1"]


def test_gdsf_prefers_small_entries_and_misses_fewer_objects_than_lru() -> None:
    policy = make_policy("gdsf", 10_000)
    table = filled(policy, [5000, 10, 2000])
    assert order_of(policy, table) == [b"0", b"2", b"1"]
    sizes = Random(3)
    size_of = [sizes.choice([20, 50, 4000]) for _ in range(2000)]
    counts = {}
    for name in ("gdsf", "lru"):
        store = new_store(200_000, name)
        missed = 0
        for hlc, number in enumerate(zipf(15_000, 2000, 0.9, 8), start=1):
            key = b"%d" % number
            if store.get(key, at(0), touch=True) is None:
                missed += 1
                store.apply(key, 0, b"v" * size_of[number], Version(hlc, 1), 0, Cause.CLIENT, at(0))
            if hlc % 20 == 0:
                store.tick(at(0))
        counts[name] = missed
    assert counts["gdsf"] < 0.9 * counts["lru"]


def test_aged_lfu_lets_go_of_what_was_popular_once() -> None:
    past = zipf(20_000, 500, 1.2, 1)
    now = [number + 10_000 for number in zipf(20_000, 500, 1.2, 2)]
    aged = misses(make_policy("lfu", 50, in_objects=True), 50, past + now)
    unaged = misses(make_policy("lfu-unaged", 50, in_objects=True), 50, past + now)
    assert aged < unaged


def test_sketch_estimates_are_not_too_low_and_age() -> None:
    sketch = PlainSketch(64)
    for _ in range(5):
        sketch.add(b"popular")
    assert sketch.estimate(b"popular") >= 5
    assert sketch.estimate(b"stranger") == 0
    for number in range(10_000):
        sketch.add(b"%d" % (number % 3000))
    assert sketch.estimate(b"popular") < 15


@pytest.mark.slow
def test_adaptive_switches_to_what_suits_the_requests_and_keeps_every_entry() -> None:
    policy = Adaptive(Capacity(200, in_objects=True))
    requests = loop(6000, 220) + list(trace("zipf10"))[:20_000]
    counted = misses(policy, 200, requests)
    fixed = {
        name: misses(make(Capacity(200, in_objects=True)), 200, requests)
        for name, make in CANDIDATES.items()
    }
    assert counted <= 1.15 * min(fixed.values())
    recency = [number // 3 + offset for number in range(30_000) for offset in (0, number % 150)]
    policy = Adaptive(Capacity(200, in_objects=True))
    misses(policy, 200, list(trace("phases"))[:40_000] + recency)
    assert policy.switches >= 1
    assert len(policy.table) == 200


def test_s3fifo_weighs_bytes() -> None:
    policy = make_policy("s3fifo", 100_000)
    table = filled(policy, [100] * 200)
    for number in range(200, 340):
        policy.on_insert(table.put(b"%d" % number, 0, b"v" * 400, 1, 1, 0))
        while table.bytes_used > 100_000:
            entry = policy.victim()
            assert entry is not None
            policy.on_evicted(entry)
            table.remove(entry.key)
    assert table.bytes_used == table.queue_bytes(1) + table.queue_bytes(2)
    assert 50_000 < table.bytes_used <= 100_000
