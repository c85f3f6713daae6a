"""Back-off grows, stays within its bounds and starts over."""

from __future__ import annotations

from random import Random

import pytest

from transport.backoff import Backoff


def test_delays_grow_within_bounds_and_repeat_by_seed() -> None:
    first, second = Backoff(Random(7), 0.1, 2.0), Backoff(Random(7), 0.1, 2.0)
    delays = [first.next_s() for _ in range(200)]
    assert delays == [second.next_s() for _ in range(200)]
    assert all(0.1 <= delay <= 2.0 for delay in delays)
    previous = [0.1, *delays[:-1]]
    assert all(delay <= 3 * before for delay, before in zip(delays, previous, strict=True))
    assert sum(delays[20:]) / 180 > 1.0, "a long outage is not hammered"
    assert first.attempts == 200


def test_success_starts_over() -> None:
    backoff = Backoff(Random(1), 0.1, 2.0)
    for _ in range(50):
        backoff.next_s()
    backoff.reset()
    assert backoff.attempts == 0
    assert backoff.next_s() <= 0.3


def test_impossible_bounds_are_refused() -> None:
    for first_s, cap_s in ((0.0, 1.0), (2.0, 1.0)):
        with pytest.raises(ValueError, match="back-off"):
            Backoff(Random(1), first_s, cap_s)
