from __future__ import annotations

import random

from nodecore.ids import Incarnation, Now
from nodecore.replication.replica import Replica
from nodecore.replication.versions import HybridClock
from nodecore.storage.eviction import make_policy
from nodecore.storage.memory import Store
from nodecore.table import make_table
from nodecore.table.interface import Kind

NOW = Now(10.0, 1_700_000_000_000)


def replica() -> tuple[Replica, HybridClock]:
    table = make_table()
    store = Store(table, make_policy("lru", 1 << 20), 1 << 20, random.Random(1))
    clock = HybridClock(table, 7, lambda _name, _plain: None)
    made = Replica(store, clock, Incarnation(1), lambda _slot: True, lambda _key: True, lambda: 0)
    return made, clock


def test_what_a_write_replaced_comes_back_when_the_write_is_taken_back() -> None:
    """It may be one of the copies of an acknowledged write."""
    made, clock = replica()
    first, second = clock.next(NOW), clock.next(NOW)
    made.apply_own([b"k"], [b"acknowledged"], Kind.STRING, first, 0, NOW)
    before = made.held([b"k", b"other"], second)
    assert list(before) == [b"k"]
    made.apply_own([b"k"], [b"refused"], Kind.STRING, second, 0, NOW)
    made.take_back(b"k", second, before.get(b"k"), NOW)
    entry = made.store.get(b"k", NOW)
    assert entry is not None
    assert (entry.value, entry.hlc) == (b"acknowledged", first.hlc)


def test_a_newer_write_is_not_taken_back() -> None:
    made, clock = replica()
    first, second, third = (clock.next(NOW) for _ in range(3))
    made.apply_own([b"k"], [b"1"], Kind.STRING, first, 0, NOW)
    made.apply_own([b"k"], [b"3"], Kind.STRING, third, 0, NOW)
    made.take_back(b"k", second, None, NOW)
    entry = made.store.get(b"k", NOW)
    assert entry is not None
    assert entry.value == b"3"


def test_what_the_write_itself_left_here_is_nothing_that_it_replaced() -> None:
    """In a new epoch a write is applied once more."""
    made, clock = replica()
    first, second = clock.next(NOW), clock.next(NOW)
    made.apply_own([b"k"], [b"1"], Kind.STRING, first, 0, NOW)
    made.apply_own([b"k"], [b"2"], Kind.STRING, second, 0, NOW)
    assert made.held([b"k"], second) == {}
