"""Replies of a RESP door: whole, in pieces, and what is none."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.resp_replies import ErrorReply, MalformedReply, Reply, ReplyReader, encoded

REPLIES = (
    b"+OK\r\n-MOVED 7 a:1\r\n:42\r\n$4\r\na\r\nb\r\n$-1\r\n*-1\r\n*2\r\n:1\r\n*1\r\n$0\r\n\r\n"
)
PARSED: list[Reply] = ["OK", ErrorReply("MOVED 7 a:1"), 42, b"a\r\nb", None, None, [1, [b""]]]


@given(st.lists(st.integers(0, len(REPLIES)), max_size=8))
def test_pieces_make_the_same_replies(cuts: list[int]) -> None:
    reader = ReplyReader()
    found: list[Reply] = []
    edges = [0, *sorted(cuts), len(REPLIES)]
    for first, last in pairwise(edges):
        found += reader.feed(REPLIES[first:last])
    assert found == PARSED


@pytest.mark.parametrize(
    "data", [b"?1\r\n", b":x\r\n", b"$x\r\n", b"$999999999\r\n", b"*9999999\r\n"]
)
def test_what_is_no_reply_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedReply):
        ReplyReader().feed(data)


def test_commands_are_arrays_of_bulks() -> None:
    assert encoded([b"GET", b"k"]) == b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
