"""Builds stores for tests, and a plain model to compare them with."""

from __future__ import annotations

from random import Random

from nodecore.ids import SLOTS_COUNT, Now, Version
from nodecore.storage.causes import ApplyResult, Cause
from nodecore.storage.eviction import make_policy
from nodecore.storage.memory import Store
from nodecore.table import Kind, make_table

MIB = 1024 * 1024


def at(ms: int) -> Now:
    return Now(ms / 1000, ms)


def new_store(bytes_max: int = MIB, policy: str = "s3fifo", flags: int = 3) -> Store:
    table = make_table()
    table.set_slots(bytes([flags]) * SLOTS_COUNT)
    table.open_gate(1)
    return Store(table, make_policy(policy, bytes_max), bytes_max, Random(1))


def put(
    store: Store,
    key: bytes,
    value: bytes,
    hlc: int,
    expires_ms: int = 0,
    cause: Cause = Cause.CLIENT,
    now_ms: int = 0,
) -> ApplyResult:
    return store.apply(key, Kind.STRING, value, Version(hlc, 1), expires_ms, cause, at(now_ms))


def delete(
    store: Store, key: bytes, hlc: int, now_ms: int = 0, cause: Cause = Cause.CLIENT
) -> ApplyResult:
    return store.apply(key, Kind.TOMBSTONE, b"", Version(hlc, 1), 0, cause, at(now_ms))


def value_of(store: Store, key: bytes, now_ms: int = 0) -> bytes | None:
    entry = store.get(key, at(now_ms))
    return None if entry is None or entry.kind == Kind.TOMBSTONE else entry.value


def set_command(key: bytes, value: bytes) -> bytes:
    return b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(value), value)


def get_command(key: bytes) -> bytes:
    return b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(key), key)
