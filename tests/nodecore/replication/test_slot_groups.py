"""Groups of slots survive the wire, split without loss, and reject what no peer would send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecore.ids import SLOTS_COUNT
from nodecore.replication.slot_groups import (
    FAN_OUT,
    SMALL_GROUP,
    decode_group,
    encode_group,
    split_group,
)

GROUPS = st.lists(st.integers(0, SLOTS_COUNT - 1), unique=True, max_size=200).map(sorted)


@given(GROUPS)
def test_a_group_comes_back_as_it_was(slots: list[int]) -> None:
    assert decode_group(encode_group(slots)) == slots


@given(GROUPS)
def test_parts_are_the_group(slots: list[int]) -> None:
    parts = split_group(slots)
    assert [slot for part in parts for slot in part] == slots
    assert all(parts)
    if len(slots) > SMALL_GROUP:
        assert len(parts) == FAN_OUT
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    else:
        assert len(parts) == len(slots)


def test_neighbours_make_one_run() -> None:
    assert len(encode_group(list(range(500, 1000)))) == 4


@pytest.mark.parametrize(
    "plain",
    [
        None,
        7,
        b"abc",
        b"\0\0\0\0",
        b"\x40\0\0\1",
        b"\x3f\xff\0\2",
        b"\0\5\0\1\0\5\0\1",
        b"\0\5\0\1\0\1\0\1",
        b"\0\0\0\1" * (SLOTS_COUNT + 1),
    ],
)
def test_malformed_groups_are_empty(plain: object) -> None:
    assert decode_group(plain) == []
