"""Traces from bytes, in chunks of any length; what is malformed is named with its place."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecore.limits import KEY_BYTES_MAX
from nodecore.storage.policy_sim.decoding import DECODERS, BadTrace
from nodecore.storage.policy_sim.trace import Trace


def decode(format_: str, data: bytes, chunk_bytes: int = 7) -> Trace:
    decoder = DECODERS[format_]()
    for start in range(0, len(data), chunk_bytes):
        decoder.feed(data[start : start + chunk_bytes])
    return decoder.end()


def requests_of(trace: Trace) -> list[bytes]:
    return [trace.keys[number] for number in trace.requests]


@given(
    st.lists(
        st.binary(min_size=1, max_size=9).filter(lambda key: not set(key) & set(b"\n\r")),
        min_size=1,
    ),
    st.integers(1, 30),
    st.booleans(),
)
def test_lines_come_back_as_keys_however_they_are_cut(
    keys: list[bytes], chunk_bytes: int, ends: bool
) -> None:
    trace = decode("keys", b"\n".join(keys) + b"\n" * ends, chunk_bytes)
    assert requests_of(trace) == keys
    assert len(trace.keys) == len(set(keys))
    assert trace.sizes is None


@given(st.lists(st.integers(0, (1 << 32) - 1), min_size=1), st.integers(1, 9))
def test_numbers_come_back_in_digits(numbers: list[int], chunk_bytes: int) -> None:
    data = struct.pack(f"<{len(numbers)}I", *numbers)
    assert requests_of(decode("u32le", data, chunk_bytes)) == [b"%d" % n for n in numbers]


@pytest.mark.parametrize("format_", ["csv", "auto"])
def test_sizes_follow_the_last_comma_below_an_optional_header(format_: str) -> None:
    trace = decode(format_, b"key,size\r\na,10\r\n\r\nb,c, 20\r\na,30")
    assert requests_of(trace) == [b"a", b"b,c", b"a"]
    assert trace.sizes is not None
    assert list(trace.sizes) == [10, 20, 30]
    assert trace.bytes_total == 60


def test_the_first_line_decides_whether_there_are_sizes() -> None:
    assert decode("auto", b"a\nb,1\n").sizes is None
    assert decode("auto", b"\n\na,1\nb,2\n").sizes is not None
    assert decode("auto", b"one").keys == [b"one"]


@pytest.mark.parametrize(
    ("format_", "data", "message"),
    [
        ("keys", b"", "empty"),
        ("keys", b"\n\n", "empty"),
        ("auto", b"", "empty"),
        ("csv", b"key,size\n", "empty"),
        ("u32le", b"", "empty"),
        ("u32le", b"abcdefg", "byte 4: 3 bytes are left over"),
        ("csv", b"a,1\nb\n", "line 2: expected key,size but found 'b'"),
        ("csv", b"a,1\n,5\n", "line 2: expected key,size"),
        ("csv", b"a,1\n\nb,x\n", "line 3: the size must be a whole number of bytes, not 'x'"),
        ("csv", b"a,1\nb,-5", "line 2: the size must be a whole number"),
        ("csv", b"a,0\n", "line 1: the size must lie between 1 and"),
        ("csv", b"a,%d\n" % (1 << 41), "line 1: the size must lie between"),
        ("csv", b"a,1\nb,%b\n" % (b"9" * 400), "line 2: the size must lie between"),
        ("keys", b"ok\n" + b"k" * (KEY_BYTES_MAX + 1) + b"\n", "line 2: a key of"),
        ("keys", b"ok\n" + b"k" * (2 * KEY_BYTES_MAX), "line 2: longer than"),
    ],
)
def test_what_is_malformed_is_named_with_its_place(format_: str, data: bytes, message: str) -> None:
    with pytest.raises(BadTrace, match=message):
        decode(format_, data, 4096)
