"""The store shows its requests to the shadows, within a budget, and lets adaptive choose by them."""

from __future__ import annotations

import pytest

from nodecore.storage.eviction import make_policy
from nodecore.storage.eviction.adaptive import Adaptive
from nodecore.storage.memory import HANDED_OVER_PER_TICK_MAX, Store
from nodecore.storage.shadow_feed import SAMPLES_PER_TICK_MAX, ShadowFeed
from tests.nodecore.storage.eviction.replay import loop, zipf
from tests.nodecore.storage.worlds import MIB, at, get_command, new_store, put

NIL = b"$-1\r\n"


def cache_aside(store: Store, requests: list[int], start: int = 0) -> None:
    """Ask for every key; store what is missing. A tick every hundred requests."""
    for number, key in enumerate(requests, start=start + 1):
        name = b"key:%d" % key
        reply, _used = store.table.serve(get_command(name), 1, NIL)
        if reply in (b"", NIL):
            put(store, name, b"v" * 100, number)
        if number % 100 == 0:
            store.tick(at(0))


def test_statistics_tell_what_every_policy_would_have_done() -> None:
    store = new_store(3 * MIB, "lru")
    popular, passing = zipf(40_000, 20_000, 0.9, 3), loop(40_000, 39_000, 100_000)
    cache_aside(store, [number for pair in zip(popular, passing, strict=True) for number in pair])
    found = {estimate.policy: estimate for estimate in store.statistics().shadows}
    assert {"lru", "s3fifo", "arc", "twoq", "sieve", "tinylfu", "gdsf", "lfu"} == set(found)
    assert all(0 < estimate.hit_ratio < 1 for estimate in found.values())
    assert found["lru"].samples >= 200
    assert found["s3fifo"].hit_ratio > found["lru"].hit_ratio
    assert store.statistics().ruling_policy == "lru"


def test_slots_of_other_deciders_are_not_watched() -> None:
    store = new_store(3 * MIB, "lru")
    store.owner_decides = lambda _slot: False
    cache_aside(store, zipf(20_000, 20_000, 0.8, 3))
    assert store.statistics().shadows == ()


def test_adaptive_follows_the_shadows_of_its_store_and_loses_nothing_but_by_size() -> None:
    store = new_store(3 * MIB, "adaptive")
    assert isinstance(store.policy, Adaptive)
    cache_aside(store, loop(60_000, 11_000))
    statistics = store.statistics()
    assert statistics.policy == "adaptive"
    assert statistics.ruling_policy != "s3fifo" or statistics.shadows[0].policy == "s3fifo"
    assert statistics.ruling_policy not in ("lru", "sieve")
    assert statistics.memory_bytes <= 3 * MIB
    queued = sum(store.table.queue_count(number) for number in range(1, 63))
    assert queued == statistics.keys


def test_a_tick_has_a_budget_and_a_busy_node_a_thinner_sample() -> None:
    store = new_store(64 * MIB)
    feed = ShadowFeed(store.table, 64 * MIB)
    for number in range(3000):
        put(store, b"%d" % number, b"v", number + 1)
    feed.shadows.fit(1024)
    keys = [b"%d" % number for number in range(3000)] * 3
    before = feed.shadows.sampled_below
    for _ in range(60):
        feed.feed([], keys[:4500], lambda _slot: True, SAMPLES_PER_TICK_MAX // 2)
        feed.feed([], keys[4500:], lambda _slot: True)
        feed.end_tick(lambda _slot: True)
    assert feed.skipped > 10_000
    assert feed.shadows.sampled_below < before
    assert feed.shadows.sampled <= 60 * SAMPLES_PER_TICK_MAX
    assert 0 < feed.overhead_bytes <= 64 * MIB // 16


@pytest.mark.parametrize("policy", ["arc", "adaptive", "gdsf"])
def test_a_large_store_changes_its_policy_in_steps_under_load(policy: str) -> None:
    store = new_store(256 * MIB, "lru")
    count = 3 * HANDED_OVER_PER_TICK_MAX
    for number in range(count):
        put(store, b"%d" % number, b"v", number + 1)
    assert store.set_policy(make_policy(policy, store.bytes_max))
    ticks = 0
    while store.is_changing_policy:
        assert not store.set_policy(make_policy("lru", store.bytes_max))
        ticks += 1
        put(store, b"new%d" % ticks, b"v", count + ticks)
        assert store.get(b"%d" % ticks, at(0), touch=True) is not None
        store.tick(at(0))
    assert ticks >= 2
    assert store.statistics().keys == count + ticks
    assert all(b"%d" % number in store.table for number in range(count))
    assert store.policy.name == policy
    assert store.set_policy(make_policy("s3fifo", store.bytes_max))


def test_a_full_store_stays_within_its_memory_while_it_changes() -> None:
    store = new_store(3 * MIB, "lru")
    numbers = iter(range(1, 100_000))
    for number in numbers:
        put(store, b"%d" % number, b"v" * 20, number)
        if number == 30_000:
            break
    assert store.set_policy(make_policy("s3fifo", store.bytes_max))
    changed_while = 0
    while store.is_changing_policy:
        for _ in range(200):
            number = next(numbers)
            put(store, b"%d" % number, b"v" * 20, number)
            assert store.memory_bytes <= 3 * MIB
        changed_while += 1
        store.tick(at(0))
    assert changed_while
    assert store.statistics().keys > 5000
