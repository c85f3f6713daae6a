"""Entries pass from one policy to another without any being lost."""

from __future__ import annotations

from random import Random

import pytest

from nodecore.storage.eviction import POLICIES, make_policy
from nodecore.storage.eviction.handover import Handover
from nodecore.storage.eviction.interface import EvictionPolicy
from nodecore.storage.eviction.key_table import KeyEntry, KeyTable

BASE = 16
ENTRIES = 300


def handing_over(old_name: str, new_name: str) -> tuple[Handover, KeyTable]:
    table = KeyTable()
    old, new = (make_policy(name, ENTRIES, in_objects=True) for name in (old_name, new_name))
    old.bind(table, Random(1))
    for number in range(ENTRIES):
        old.on_insert(table.add(b"%d" % number, 1))
    for number in range(0, ENTRIES, 3):
        entry = table.entries[b"%d" % number]
        entry.counter = 1
        old.on_hit(entry)
    new.use_queues(BASE)
    new.bind(table, Random(2))
    return Handover(old, new, table, range(BASE, 2 * BASE)), table


def evict(policy: EvictionPolicy, table: KeyTable) -> bytes:
    entry = policy.victim()
    assert entry is not None
    policy.on_evicted(entry)
    table.remove(entry.key)
    return entry.key


@pytest.mark.parametrize("new_name", sorted(POLICIES))
@pytest.mark.parametrize("old_name", sorted(POLICIES))
def test_every_entry_arrives_whatever_happens_meanwhile(old_name: str, new_name: str) -> None:
    handover, table = handing_over(old_name, new_name)
    rng = Random(3)
    gone = 0
    for number in range(ENTRIES, 2 * ENTRIES):
        if number % 3 == 0:
            handover.step(4)
        keys = list(table.entries)
        read, removed = (table.entries[rng.choice(keys)] for _ in range(2))
        read.counter = min(3, read.counter + 1)
        handover.on_hit(read)
        if number % 5 == 0:
            handover.on_remove(removed)
            table.remove(removed.key)
            gone += 1
        handover.before_insert(b"%d" % number)
        if number % 7 == 0:
            evict(handover, table)
            gone += 1
        handover.on_insert(table.add(b"%d" % number, 1))
        spared = handover.victim()
        assert spared is not None
        handover.on_spared(spared)
    while not handover.step(50):
        continue
    assert len(table) == 2 * ENTRIES - gone
    assert all(entry.queue >= BASE for entry in table.entries.values())
    assert {evict(handover.new, table) for _ in range(len(table))}
    assert len(table) == 0
    assert handover.new.victim() is None


def test_the_order_of_eviction_and_the_counts_of_reads_go_along() -> None:
    handover, table = handing_over("lru", "clock")
    assert not handover.step(ENTRIES)
    assert handover.step(1)
    assert table.entries[b"0"].counter == 1
    unread = [b"%d" % number for number in range(ENTRIES) if number % 3]
    assert [evict(handover, table) for _ in range(len(unread))] == unread


def test_the_first_to_be_handed_over_is_the_first_to_be_evicted() -> None:
    handover, table = handing_over("fifo", "fifo")
    handover.step(10)
    assert [evict(handover, table) for _ in range(20)] == [b"%d" % number for number in range(20)]
    assert isinstance(table.entries[b"20"], KeyEntry)
    assert handover.name == "fifo"
    assert handover.moved == 10
