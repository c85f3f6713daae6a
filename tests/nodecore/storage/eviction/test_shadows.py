"""A sample of the requests tells how policies would do."""

from __future__ import annotations

import pytest

from nodecore.storage.eviction import POLICIES, make_policy
from nodecore.storage.eviction.adaptive import CANDIDATES
from nodecore.storage.eviction.interface import Capacity
from nodecore.storage.eviction.shadows import SHADOW_KEYS_IN_BYTES, ShadowCaches
from tests.nodecore.storage.eviction.replay import misses, zipf


def test_a_small_sample_estimates_the_hit_ratio_of_the_whole() -> None:
    requests = zipf(120_000, 40_000, 0.9, 11)
    limit = 4000
    shadows = ShadowCaches(
        {name: CANDIDATES[name] for name in ("lru", "s3fifo")}, Capacity(limit, True)
    )
    for number in requests:
        shadows.request(b"%d" % number, 1)
    shadows.end_round()
    estimates = {estimate.policy: estimate for estimate in shadows.estimates()}
    assert estimates["s3fifo"].samples < len(requests) // 4
    for name, estimate in estimates.items():
        real = 1 - misses(make_policy(name, limit, True), limit, requests) / len(requests)
        assert estimate.hit_ratio == pytest.approx(real, abs=0.05)
    assert estimates["s3fifo"].hit_ratio > estimates["lru"].hit_ratio
    assert [estimate.policy for estimate in shadows.estimates()] == ["s3fifo", "lru"]


def test_sizes_count_in_a_capacity_in_bytes() -> None:
    """Of large and small objects asked for equally often, size-aware eviction keeps the small."""
    shadows = ShadowCaches(
        {"gdsf": POLICIES["gdsf"], "lru": CANDIDATES["lru"]}, Capacity(4_000_000)
    )
    for number in zipf(60_000, 8000, 0.7, 5):
        shadows.request(b"%d" % number, 5000 if number % 2 else 100)
    ratios = shadows.end_round()
    assert ratios["gdsf"] < 0.9 * ratios["lru"]


def test_nothing_is_said_before_enough_was_seen() -> None:
    shadows = ShadowCaches(CANDIDATES, Capacity(100, True))
    for number in range(199):
        shadows.request(b"%d" % number, 1)
    assert shadows.estimates() == ()
    shadows.request(b"198", 1)
    assert {(one.samples, round(one.hit_ratio, 6)) for one in shadows.estimates()} == {(200, 0.005)}
    assert shadows.end_round() == dict.fromkeys(CANDIDATES, pytest.approx(199 / 200))
    shadows.request(b"x", 1)
    assert {estimate.samples for estimate in shadows.estimates()} == {200}


def test_the_sample_follows_the_number_of_entries() -> None:
    shadows = ShadowCaches(CANDIDATES, Capacity(1 << 30))
    assert not shadows.fit(shadows.entries + 10)
    assert shadows.fit(20 * shadows.entries)
    assert shadows.sampled_below < (1 << 32) * SHADOW_KEYS_IN_BYTES / (19 * (1 << 21))
    for number in range(50_000):
        shadows.request(b"%d" % number, 200)
    assert shadows.overhead_bytes < 8 << 20


def test_a_sample_can_be_made_thinner_to_a_bound() -> None:
    shadows = ShadowCaches(CANDIDATES, Capacity(1 << 30))
    below = shadows.sampled_below
    thinned = 0
    while shadows.thin():
        thinned += 1
    assert thinned >= 2
    assert shadows.sampled_below == pytest.approx(below / 2**thinned, rel=0.01)
