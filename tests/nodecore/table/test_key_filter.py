"""The filter of keys never denies what was added, seldom affirms what was not, and is one filter, compiled or not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecore.table import TableNotBuiltError, make_table
from nodecore.table.key_filter import (
    BLOCK_BITS,
    KeyFilter,
    make_key_filter,
    make_keys_below,
    plain_keys_below,
)

keys = st.binary(max_size=40)


@pytest.fixture(params=[False, True], ids=["plain", "compiled"])
def new_filter(request: pytest.FixtureRequest) -> Callable[[int], KeyFilter]:
    compiled: bool = request.param
    if compiled:
        _need_compiled()
    return lambda bits: make_key_filter(bits, compiled)


def _need_compiled() -> None:
    try:
        make_table("compiled")
    except TableNotBuiltError as error:
        pytest.skip(str(error))


def test_it_never_denies_what_was_added(new_filter: Callable[[int], KeyFilter]) -> None:
    assert not new_filter(1 << 12).used
    found = new_filter(1 << 12)
    added = [b"k%d" % number for number in range(200)]
    for key in added:
        found.add(key)
    assert found.used
    assert all(map(found.may_hold, added))
    assert found.among(iter(added)) == added


def test_it_seldom_affirms_what_was_not_added(new_filter: Callable[[int], KeyFilter]) -> None:
    found = new_filter(1 << 12)
    for number in range(200):
        found.add(b"k%d" % number)
    strangers = [b"s%d" % number for number in range(4_000)]
    # Twenty bits for each key: 0.3 % by the formula for filters without blocks.
    assert 0 < len(found.among(strangers)) < 40


def test_a_full_one_affirms_everything(new_filter: Callable[[int], KeyFilter]) -> None:
    assert new_filter(BLOCK_BITS).among([b"a"]) == []
    found = new_filter(BLOCK_BITS)
    found.full = True
    assert found.used
    assert found.may_hold(b"a")
    assert found.among([b"a", b"b"]) == [b"a", b"b"]
    assert found.overhead_bytes == BLOCK_BITS // 8


def test_it_refuses_what_it_can_not_work_with(new_filter: Callable[[int], KeyFilter]) -> None:
    for bits in (-1, 0, BLOCK_BITS - 1, BLOCK_BITS + 1, 3 * BLOCK_BITS):
        with pytest.raises(ValueError, match="power of two"):
            new_filter(bits)
    found = new_filter(BLOCK_BITS)
    found.add(b"a")
    for act in (found.add, found.may_hold, lambda key: found.among([key])):
        with pytest.raises(TypeError):
            act(None)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            act("a")  # type: ignore[arg-type]


@given(st.sampled_from([1 << 9, 1 << 10, 1 << 14]), st.lists(keys), st.lists(keys))
def test_compiled_and_plain_affirm_the_same(
    bits: int, added: list[bytes], asked: list[bytes]
) -> None:
    _need_compiled()
    one, other = (make_key_filter(bits, compiled) for compiled in (False, True))
    # In a block as crowded as this one many strangers are affirmed, by both.
    crowd = [b"%d" % number for number in range(bits >> 3)]
    for key in added + crowd:
        one.add(key)
        other.add(key)
    strangers = [b"x%d" % number for number in range(100)]
    asked = asked + added + strangers
    assert one.among(asked) == other.among(asked)
    assert list(map(one.may_hold, asked)) == list(map(other.may_hold, asked))


@given(st.lists(keys), st.integers(0, 1 << 32))
def test_a_sample_of_keys_is_one_sample_compiled_or_not(some: list[bytes], below: int) -> None:
    _need_compiled()
    found = plain_keys_below(some, below)
    assert make_keys_below(True)(some, below) == found
    assert make_keys_below(False) is plain_keys_below
    assert plain_keys_below(some, 0) == []
    assert found == [key for key in some if key in found]
