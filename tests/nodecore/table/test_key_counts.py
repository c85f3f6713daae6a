"""Counts by key: exact, the heaviest in one order, and the same counts, compiled or not."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecore.table import TableNotBuiltError, make_table
from nodecore.table.key_counts import KeyCounts, PlainKeyCounts, make_key_counts

keys = st.integers(0, 300).map(lambda number: b"k%d" % number)
uses = st.lists(st.tuples(st.lists(keys, max_size=200), st.lists(keys, max_size=50)), max_size=6)


@pytest.fixture(params=[False, True], ids=["plain", "compiled"])
def counts(request: pytest.FixtureRequest) -> KeyCounts:
    return make(request.param)


def make(compiled: bool) -> KeyCounts:
    if compiled:
        try:
            make_table("compiled")
        except TableNotBuiltError as error:
            pytest.skip(str(error))
    return make_key_counts(compiled)


@given(uses, st.integers(0, 400), st.booleans())
def test_both_count_the_same_and_order_it_the_same(
    parts: list[tuple[list[bytes], list[bytes]]], count_max: int, again: bool
) -> None:
    plain, compiled = PlainKeyCounts(), make(True)
    for _ in range(1 + again):
        for touched, written in parts:
            # Objects of their own: equal keys need not be one object.
            plain.add(touched, written)
            compiled.add([bytes(bytearray(key)) for key in touched], tuple(written))
            assert len(compiled) == len(plain)
            assert (compiled.total, compiled.writes) == (plain.total, plain.writes)
            assert compiled.heaviest(count_max) == plain.heaviest(count_max)
        plain.clear()
        compiled.clear()
        assert len(compiled) == compiled.total == compiled.writes == 0
        assert compiled.heaviest(5) == []


@given(st.lists(keys, max_size=300), st.integers(1, 50))
def test_the_plain_counts_are_exact(touched: list[bytes], count_max: int) -> None:
    counts = PlainKeyCounts()
    written = touched[::3]
    counts.add(touched, written)
    totals, writes = Counter(touched), Counter(written)
    found = counts.heaviest(count_max)
    assert len(found) == min(count_max, len(totals))
    assert all((total, written) == (totals[key], writes[key]) for key, total, written in found)
    left_out = totals.keys() - {key for key, _total, _written in found}
    assert all(totals[key] <= found[-1][1] for key in left_out)


def test_of_equal_keys_the_first_have_the_last_places(counts: KeyCounts) -> None:
    counts.add([b"b", b"c", b"a", b"d", b"d"], [])
    assert counts.heaviest(3) == [(b"d", 2, 0), (b"c", 1, 0), (b"b", 1, 0)]
    assert counts.heaviest(0) == []


def test_keys_that_were_only_written_are_not_among_the_heaviest(counts: KeyCounts) -> None:
    counts.add([b"a"], [b"a", b"sampled"])
    assert (len(counts), counts.total, counts.writes) == (2, 1, 2)
    assert counts.heaviest(2) == counts.heaviest(1) == [(b"a", 1, 1)]


@pytest.mark.parametrize("wrong", [None, "text", 7])
def test_what_is_no_key_is_refused(counts: KeyCounts, wrong: object) -> None:
    for touched, written in (([wrong], []), ([b"a"], [wrong])):
        with pytest.raises(TypeError):
            counts.add(touched, written)  # type: ignore[arg-type]


def test_many_different_keys_are_counted(counts: KeyCounts) -> None:
    wide = [b"key:%d" % (number // 2) for number in range(20_000)]
    counts.add(wide, [])
    assert len(counts) == 10_000
    assert {total for _key, total, _written in counts.heaviest(10_000)} == {2}
