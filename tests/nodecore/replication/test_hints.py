"""Hints: newest only, bounded, expiring, never lost between replacing and acknowledging."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodecore.ids import NodeId, Now, Version
from nodecore.replication.hints import Hint, Hints

A, B = NodeId("a"), NodeId("b")


def hint(key: bytes, hlc: int, value: bytes = b"v", since_s: float = 0.0) -> Hint:
    return Hint(key, 0, value, Version(hlc, 1), 0, since_s)


def test_only_the_newest_of_a_key_is_kept() -> None:
    hints = Hints()
    hints.add(A, hint(b"k", 5))
    hints.add(A, hint(b"k", 9))
    hints.add(A, hint(b"k", 7))
    assert [found.version.hlc for found in hints.peek(A, 10, 10_000)] == [9]


def test_what_was_replaced_while_in_flight_stays() -> None:
    hints = Hints()
    hints.add(A, hint(b"k", 5))
    sent = hints.peek(A, 10, 10_000)
    hints.add(A, hint(b"k", 6))
    hints.delivered(A, sent)
    assert [found.version.hlc for found in hints.peek(A, 10, 10_000)] == [6]
    assert hints.sent == 0


def test_bytes_are_bounded_and_the_fullest_owner_pays() -> None:
    hints = Hints(bytes_max=10_000)
    hints.add(B, hint(b"small", 1))
    for number in range(200):
        hints.add(A, hint(b"key%d" % number, number + 1, b"x" * 100))
    assert hints.bytes_used <= 10_000
    assert hints.count(B) == 1
    assert hints.dropped == 200 - hints.count(A)
    assert hints.peek(A, 1, 1)[0].key != b"key0", "the oldest go first"


def test_old_hints_are_dropped() -> None:
    hints = Hints(window_s=300.0)
    hints.add(A, hint(b"old", 1, since_s=0.0))
    hints.add(A, hint(b"new", 2, since_s=200.0))
    assert hints.expire(Now(301.0, 0)) == 1
    assert [found.key for found in hints.peek(A, 10, 10_000)] == [b"new"]


def test_the_oldest_hint_over_all_owners_tells_the_lag() -> None:
    hints = Hints()
    now = Now(50.0, 1_000)
    assert hints.oldest_age_s(now) == 0.0
    hints.add(A, hint(b"k", 1, since_s=40.0))
    hints.add(B, hint(b"k", 1, since_s=30.0))
    hints.add(B, hint(b"l", 2, since_s=45.0))
    assert hints.oldest_age_s(now) == 20.0
    hints.drop_node(B)
    assert hints.oldest_age_s(now) == 10.0
    hints.delivered(A, hints.peek(A, 10, 10_000))
    assert hints.oldest_age_s(now) == 0.0


def test_a_node_that_left_gets_nothing() -> None:
    hints = Hints()
    hints.add(A, hint(b"k", 1))
    assert hints.drop_node(A) == 1
    assert (len(hints), hints.bytes_used, hints.targets) == (0, 0, [])


def test_a_flush_voids_what_was_written_before() -> None:
    hints = Hints()
    hints.add(A, hint(b"before", 10))
    hints.add(A, hint(b"after", 11))
    hints.drop_flushed(10)
    assert [found.key for found in hints.peek(A, 10, 10_000)] == [b"after"]


_STEPS = st.lists(
    st.tuples(st.sampled_from([A, B]), st.integers(0, 5), st.integers(1, 50), st.integers(0, 400)),
    max_size=60,
)


@given(_STEPS)
def test_the_byte_count_is_exact(steps: list[tuple[NodeId, int, int, int]]) -> None:
    hints = Hints(bytes_max=2_000)
    for node, key, hlc, size in steps:
        hints.add(node, hint(b"%d" % key, hlc, b"x" * size))
        if hlc % 7 == 0:
            hints.delivered(node, hints.peek(node, 2, 10_000))
    expected = sum(
        len(found.key) + len(found.value) + 160
        for node in (A, B)
        for found in hints.peek(node, 1000, 10**9)
    )
    assert hints.bytes_used == expected <= 2_000
