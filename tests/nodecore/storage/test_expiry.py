"""The expiry wheel."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodecore.storage.expiry import ExpiryWheel


def test_keys_come_due_at_their_millisecond_and_once() -> None:
    expiry = {b"a": 1500, b"b": 1700, b"c": 90_000}
    wheel = ExpiryWheel(lambda key: expiry.get(key, 0))
    for key, expires_ms in expiry.items():
        wheel.add(key, expires_ms)
    assert wheel.due(1499, 100) == []
    assert wheel.due(1500, 100) == [b"a"]
    assert wheel.due(1999, 100) == [b"b"]
    assert wheel.due(89_999, 100) == []
    assert wheel.due(200_000, 100) == [b"c"]
    assert len(wheel) == wheel.references == 0


def test_an_extended_expiry_moves_on_and_a_cleared_one_is_dropped() -> None:
    expiry = {b"a": 1000, b"b": 1000}
    wheel = ExpiryWheel(lambda key: expiry.get(key, 0))
    wheel.add(b"a", 1000)
    wheel.add(b"b", 1000)
    expiry.update({b"a": 50_000, b"b": 0})
    wheel.add(b"a", 50_000)
    assert wheel.references == 2
    assert wheel.due(2000, 100) == []
    assert wheel.references == 1
    assert wheel.due(50_000, 100) == [b"a"]


def test_the_budget_bounds_a_call() -> None:
    wheel = ExpiryWheel(lambda _key: 1000)
    for number in range(100):
        wheel.add(b"%d" % number, 1000)
    taken = [len(wheel.due(2000, 30)) for _ in range(4)]
    assert taken == [30, 30, 30, 10]


def test_changing_expiries_for_ever_does_not_grow_the_wheel() -> None:
    expiry: dict[bytes, int] = {}
    wheel = ExpiryWheel(lambda key: expiry.get(key, 0))
    for number in range(50_000):
        key = b"%d" % (number % 10)
        expiry[key] = 10**9 - number * 1000
        wheel.add(key, expiry[key])
    assert len(wheel) == 10
    assert wheel.references <= 2 * 10 + 1024 + 1


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9000)), max_size=80), st.integers(1, 7))
def test_whatever_changed_every_expired_key_comes_out(
    changes: list[tuple[int, int]], budget: int
) -> None:
    expiry: dict[bytes, int] = {}
    wheel = ExpiryWheel(lambda key: expiry.get(key, 0))
    now_ms = 0
    for number, expires_ms in changes:
        key = b"%d" % number
        expiry[key] = now_ms + expires_ms if expires_ms else 0
        if expires_ms:
            wheel.add(key, expiry[key])
        now_ms += 400
        for due in wheel.due(now_ms, budget):
            assert 0 < expiry.pop(due) <= now_ms
    for _ in range(500):
        for due in wheel.due(20_000 + now_ms, budget):
            assert expiry.pop(due) > 0
    assert [key for key, expires_ms in expiry.items() if expires_ms] == []
