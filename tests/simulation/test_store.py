"""The records of a simulated node fail in every way that a medium does, and only when told to."""

from __future__ import annotations

from random import Random

import pytest

from nodecore.effects import DiskWrite
from nodecore.ids import Version
from nodecore.simulation.store import SimStore
from nodecore.storage.disk import Area, DiskError
from nodecore.storage.records import BadRecord, Record, decode, encode

CACHE = int(Area.CACHE)
KEYS = tuple(b"k%d" % number for number in range(20))


def record_of(key: bytes, number: int) -> bytes:
    return encode(Record(key, 0, b"value %d of " % number + key, Version(number, 1), 0))


def promised(number: int, ticket: int = 0) -> DiskWrite:
    rows = tuple((CACHE, key, record_of(key, number)) for key in KEYS)
    return DiskWrite(ticket, (), rows) if ticket else DiskWrite(ticket, rows)


def flushed(number: int = 1) -> SimStore:
    """A store that holds one generation of records on its medium."""
    store = SimStore(Random(4))
    store.write(promised(number, ticket=1))
    assert store.land(1)
    return store


def found(store: SimStore) -> list[bytes | None]:
    return [store.get(Area.CACHE, key) for key in KEYS]


def all_of(number: int) -> list[bytes | None]:
    return [record_of(key, number) for key in KEYS]


def test_what_was_written_survives_a_kill_and_what_was_flushed_a_loss_of_power() -> None:
    store = flushed(1)
    store.write(promised(2))
    store.kill()
    assert found(store) == all_of(2)
    store.cut_power()
    assert found(store) == all_of(1), "the tail that was not flushed is lost"


@pytest.mark.parametrize("cut", ["kill", "cut_power"])
def test_what_was_on_its_way_has_landed_whole_or_not_at_all(cut: str) -> None:
    seen = set()
    for ticket in range(2, 20):
        store = flushed(1)
        store._rng.seed(ticket)
        store.write(promised(2, ticket))
        getattr(store, cut)()
        after = found(store)
        assert after in (all_of(1), all_of(2))
        assert not store.land(ticket), "its process is gone"
        seen.add(after == all_of(2))
    assert seen == {False, True}


def test_a_medium_that_tears_leaves_parts_that_are_no_records() -> None:
    store = flushed(1)
    store.tears = 1.0
    store.write(promised(2, ticket=2))
    store.cut_power()
    for key, body in zip(KEYS, found(store), strict=True):
        assert body is not None
        assert record_of(key, 2).startswith(body)
        with pytest.raises(BadRecord):
            decode(body, key)


def test_a_failed_flush_leaves_what_was_there() -> None:
    store = flushed(1)
    store.fsync_fails = "input/output error"
    store.write(promised(2, ticket=2))
    with pytest.raises(DiskError, match="input/output"):
        store.land(2)
    assert found(store) == all_of(1)


def test_a_full_disk_refuses_what_was_promised_aloud_and_the_rest_politely() -> None:
    store = flushed(1)
    store.refuses = "no space left on device"
    for effect in (promised(2), promised(2, ticket=2)):
        with pytest.raises(DiskError, match="no space"):
            store.write(effect)
    spare = DiskWrite(3, (), spare=((CACHE, KEYS[0], record_of(KEYS[0], 2)),))
    assert store.write(spare) == "no space left on device"
    assert found(store) == all_of(1)


def test_flipped_and_misdirected_records_are_told_from_whole_ones() -> None:
    store = flushed(1)
    damaged = {store.damage(Area.CACHE) for _ in range(5)}
    defects = 0
    for key in KEYS:
        body = store.get(Area.CACHE, key)
        assert body is not None
        try:
            decode(body, key)
        except BadRecord:
            defects += 1
            assert key in damaged
    # A bit that is flipped twice is whole again.
    assert 0 < defects <= len(damaged)
    store = flushed(1)
    store.misdirected = 1.0
    bodies = [store.get(Area.CACHE, key) for key in KEYS]
    misplaced = [
        (key, body) for key, body in zip(KEYS, bodies, strict=True) if body != record_of(key, 1)
    ]
    assert len(misplaced) > len(KEYS) // 2
    for key, body in misplaced:
        with pytest.raises(BadRecord, match="another key"):
            decode(body or b"", key)


def test_a_share_of_the_reads_fails() -> None:
    store = flushed(1)
    store.unreadable = 0.3
    failed = 0
    for _ in range(200):
        try:
            store.get(Area.CACHE, KEYS[0])
        except DiskError:
            failed += 1
    assert 30 < failed < 90
    store.unreadable = 1.0
    with pytest.raises(DiskError, match="input/output"):
        store.walk(Area.CACHE, None, 5)
