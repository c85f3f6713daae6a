"""What the gate answers, and where it stops, in both tables."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Callable

import pytest

from nodecore.ids import SLOTS_COUNT
from nodecore.table import Kind, Table
from nodecore.table.interface import (
    ENTRY_OVERHEAD_BYTES,
    MULTI_GET_BYTES_MAX,
    QUEUE_TOMBSTONES,
    SLOT_FIRST,
    SLOT_READ,
    SLOT_SOLE,
    SLOT_WRITE,
)
from tests.nodecore.storage.worlds import set_command

NewTable = Callable[[], Table]
NIL = b"$-1\r\n"
GET_K = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
SET_K = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nhi\r\n"


def opened(new_table: NewTable, flags: int) -> Table:
    table = new_table()
    table.set_slots(bytes([flags]) * SLOTS_COUNT)
    table.open_gate(1)
    table.node_tag = 5
    return table


def test_a_closed_gate_serves_nothing(new_table: NewTable) -> None:
    table = new_table()
    table.put(b"k", 0, b"v", 1, 1, 0)
    assert table.serve(GET_K, 1, NIL) == (b"", 0)


def test_a_hit_is_answered_where_reads_are_allowed(new_table: NewTable) -> None:
    table = opened(new_table, SLOT_READ)
    entry = table.put(b"k", 0, b"v", 1, 1, 0)
    assert table.serve(GET_K * 5, 1, NIL) == (b"$1\r\nv\r\n" * 5, len(GET_K) * 5)
    assert entry.counter == 3
    assert table.touched == [b"k"] * 5
    assert (table.gate_reads, table.gate_hits) == (5, 5)


@pytest.mark.parametrize("kind", [None, Kind.TOMBSTONE, "expired"])
def test_a_miss_is_authoritative_only_for_the_sole_owner(new_table: NewTable, kind: object) -> None:
    for flags, answer in ((SLOT_READ, (b"", 0)), (SLOT_SOLE, (NIL, len(GET_K)))):
        table = opened(new_table, flags)
        if kind == Kind.TOMBSTONE:
            table.put(b"k", Kind.TOMBSTONE, b"", 1, 1, 0)
        elif kind == "expired":
            table.put(b"k", 0, b"v", 1, 1, 1000)
            assert table.serve(GET_K, 999, NIL)[0] == b"$1\r\nv\r\n"
        assert table.serve(GET_K, 1000, NIL) == answer


def test_hashes_and_guarded_keys_take_the_long_way(new_table: NewTable) -> None:
    table = opened(new_table, SLOT_READ | SLOT_SOLE)
    table.set_guard([b"strong:"], True)
    table.put(b"k", Kind.HASH, b"v", 1, 1, 0)
    assert table.serve(GET_K, 1, NIL) == (b"", 0)
    assert table.serve(SET_K, 1, NIL) == (b"", 0)
    assert table.serve(GET_K.replace(b"$1\r\nk", b"$8\r\nstrong:k"), 1, NIL) == (b"", 0)
    table.set_guard([], False)
    assert table.serve(GET_K.replace(b"k", b"j"), 1, NIL) == (b"", 0)


def test_a_new_generation_empties_the_gate_until_readmitted(new_table: NewTable) -> None:
    table = opened(new_table, SLOT_READ | SLOT_SOLE)
    entry = table.put(b"k", 0, b"v", 1, 1, 0)
    table.open_gate(2)
    assert table.serve(GET_K, 1, NIL) == (b"", 0)
    assert table.serve(SET_K, 1, NIL) == (b"", 0)
    assert table.readmit(b"k", entry)
    assert table.serve(GET_K, 1, NIL)[0] == b"$1\r\nv\r\n"
    with pytest.raises(ValueError, match="not above"):
        table.open_gate(2)


def test_an_inline_write_is_versioned_indexed_and_reported(new_table: NewTable) -> None:
    table = opened(new_table, SLOT_SOLE)
    assert table.serve(SET_K, 10, NIL) == (b"+OK\r\n", len(SET_K))
    entry = table.get(b"k")
    assert entry is not None
    assert (entry.value, entry.hlc, entry.node, entry.slot) == (
        b"hi",
        10 << 16,
        5,
        crc_hqx(b"k", 0) % SLOTS_COUNT,
    )
    assert table.inserted == [b"k"]
    assert table.slot_keys(entry.slot) == [b"k"]
    assert table.bytes_used == entry.size == 3 + ENTRY_OVERHEAD_BYTES
    table.assign(entry, 2)
    table.put(b"k", 0, b"old", 1, 1, 77)
    assert table.serve(SET_K, 10, NIL)[1] == len(SET_K)
    assert table.get(b"k") is entry
    assert (entry.expires_ms, entry.queue, entry.hlc) == (0, 2, (10 << 16) + 1)
    assert table.inserted == [b"k"]
    assert table.queue_bytes(2) == entry.size


def test_inline_writes_are_told_apart_from_reads(new_table: NewTable) -> None:
    table = opened(new_table, SLOT_READ | SLOT_SOLE)
    table.serve(SET_K + GET_K + SET_K + GET_K, 1, NIL)
    assert table.touched == [b"k"] * 4
    assert table.written == [b"k"] * 2
    table.touches_max = 4
    table.serve(SET_K + GET_K, 1, NIL)
    assert (len(table.touched), len(table.written)) == (4, 2)
    assert (table.touches_lost, table.writes_lost) == (2, 1)
    table.touched, table.written = [], []
    table.serve(SET_K, 1, NIL)
    assert table.touched == table.written == [b"k"]


def test_an_inline_write_over_a_tombstone_is_a_new_key(new_table: NewTable) -> None:
    table = opened(new_table, SLOT_SOLE)
    dead = table.put(b"k", Kind.TOMBSTONE, b"", 1, 1, 0)
    assert table.queue_count(QUEUE_TOMBSTONES) == 1
    assert table.slot_live(dead.slot) == 0
    assert table.serve(SET_K, 10, NIL)[0] == b"+OK\r\n"
    assert table.inserted == [b"k"]
    assert table.queue_count(QUEUE_TOMBSTONES) == 0
    assert table.slot_live(dead.slot) == 1
    assert dead.queue == 0


def test_an_inline_write_makes_an_entry_bare_and_says_so_once(new_table: NewTable) -> None:
    table = opened(new_table, SLOT_SOLE)
    there = table.put(b"k", 0, b"v", 1, 1, 0)
    table.serve(set_command(b"k", b"1"), 1, NIL)
    assert (table.superseded, there.bare) == ([], False)
    table.lists_superseded = True
    for key in (b"k", b"k", b"new", b"new"):
        table.serve(set_command(key, b"2"), 1, NIL)
    made = table.get(b"new")
    assert made is not None
    assert there.bare
    assert made.bare
    assert (table.superseded, table.inserted) == ([b"k"], [b"new"])
    # It has a record again, of which the next write must tell.
    there.bare = False
    table.serve(set_command(b"k", b"3"), 1, NIL)
    assert table.superseded == [b"k", b"k"]
    assert there.slot == table.slot_of(b"k")


def test_inline_writes_stop_at_the_memory_limit(new_table: NewTable) -> None:
    table = opened(new_table, SLOT_SOLE)
    table.inline_bytes_max = ENTRY_OVERHEAD_BYTES + 3
    assert table.serve(SET_K, 1, NIL)[0] == b"+OK\r\n"
    assert table.serve(SET_K.replace(b"$1\r\nk", b"$1\r\nj"), 1, NIL) == (b"", 0)
    assert table.serve(SET_K, 1, NIL)[0] == b"+OK\r\n"


def test_writes_that_must_be_told_stop_when_they_can_not_be(new_table: NewTable) -> None:
    table = opened(new_table, SLOT_READ | SLOT_WRITE)
    table.touches_max = 2
    assert table.serve(GET_K, 1, NIL) == (b"", 0), "a miss is for others to confirm"
    assert table.serve(SET_K, 1, NIL)[0] == b"+OK\r\n"
    assert table.inserted == [b"k"]
    assert table.serve(SET_K * 3, 1, NIL)[0] == b"+OK\r\n"
    assert (table.written, table.writes_lost) == ([b"k", b"k"], 0)
    assert table.serve(GET_K, 1, NIL)[0] == b"$2\r\nhi\r\n"
    table.touched.clear()
    assert table.serve(SET_K, 1, NIL)[0] == b"+OK\r\n"
    table.put(b"k", Kind.TOMBSTONE, b"", table.next_hlc(1), 5, 0)
    assert table.serve(GET_K, 1, NIL) == (b"", 0)


def test_touches_are_capped_and_the_rest_counted(new_table: NewTable) -> None:
    table = opened(new_table, SLOT_READ)
    table.put(b"k", 0, b"v", 1, 1, 0)
    table.touches_max = 2
    table.serve(GET_K * 5, 1, NIL)
    assert (table.touched, table.touches_lost) == ([b"k", b"k"], 3)


def test_slots_follow_the_hash_tag_rule(new_table: NewTable) -> None:
    table = new_table()
    assert table.slot_of(b"123456789") == 0x31C3 % SLOTS_COUNT
    assert table.slot_of(b"{user1000}.following") == table.slot_of(b"{user1000}.followers")
    assert table.slot_of(b"foo{}{bar}") == crc_hqx(b"foo{}{bar}", 0) % SLOTS_COUNT
    assert table.slot_of(b"foo{{bar}}zap") == crc_hqx(b"{bar", 0) % SLOTS_COUNT
    assert table.slots_of([b"foo", b"bar"]) == [12182, 5061]


def test_of_two_equal_versions_both_orders_keep_the_same_value(new_table: NewTable) -> None:
    kept = []
    for order in ([b"one", b"two"], [b"two", b"one"]):
        table = new_table()
        for value in order:
            table.multi_put([b"k"], [value], 5, 1, 0)
        entry = table.get(b"k")
        assert entry is not None
        kept.append(entry.value)
    assert kept[0] == kept[1]


def test_a_bulk_read_stops_at_its_bound(new_table: NewTable) -> None:
    table = opened(new_table, SLOT_READ)
    large = b"v" * (MULTI_GET_BYTES_MAX // 2)
    table.put(b"k", 0, large, 1, 1, 0)
    found = table.multi_get([b"k"] * 1000, 1)
    assert found == [large, large] + [None] * 998
    assert table.gate_hits == 2


def test_clients_that_follow_redirects_are_served_at_the_first_owner_only(
    new_table: NewTable,
) -> None:
    table = opened(new_table, SLOT_READ)
    table.put(b"k", 0, b"v", 1, 1, 0)
    for bits, served in ((SLOT_READ, 0), (SLOT_READ | SLOT_FIRST, len(GET_K))):
        table.set_slots(bytes([bits]) * SLOTS_COUNT)
        assert table.serve(GET_K, 1, NIL, SLOT_FIRST)[1] == served
        assert table.serve(GET_K, 1, NIL, SLOT_READ)[1] == len(GET_K)
