"""Records on disk: what goes in comes out, and no damage goes unseen."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecore.ids import Version
from nodecore.storage.records import (
    FLAG_DURABLE,
    OVERHEAD_BYTES,
    BadRecord,
    Defect,
    Record,
    decode,
    encode,
    peek,
)
from nodecore.table.interface import Kind

RECORDS = st.builds(
    Record,
    key=st.binary(max_size=300),
    kind=st.sampled_from([int(kind) for kind in Kind]),
    value=st.binary(max_size=2000),
    version=st.builds(Version, st.integers(0, 2**62 - 1), st.integers(0, 2**32 - 1)),
    expires_ms=st.integers(0, 2**53),
    rank=st.integers(0, 15),
    flags=st.sampled_from([0, FLAG_DURABLE]),
)
PLAIN = Record(b"key", Kind.STRING, b"value", Version(77 << 16, 9), 0, 3)


@given(RECORDS)
def test_what_goes_in_comes_out(record: Record) -> None:
    data = encode(record)
    assert decode(data) == record
    assert decode(data, record.key) == record
    assert len(data) == len(record.key) + len(record.value) + OVERHEAD_BYTES
    key, head = peek(data)
    assert key == record.key
    assert head.version == record.version
    assert head.record_bytes == len(data)


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(BadRecord) as refused:
        decode(data)
    assert refused.value.defect in Defect
    assert str(refused.value)


def test_a_thousand_flipped_bytes_are_all_seen() -> None:
    rng = random.Random(5)
    for _ in range(1_000):
        key, value = rng.randbytes(rng.randrange(40)), rng.randbytes(rng.randrange(300))
        data = bytearray(encode(PLAIN._replace(key=key, value=value)))
        data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        with pytest.raises(BadRecord):
            decode(bytes(data))


@pytest.mark.parametrize("cut", [0, 1, 10, OVERHEAD_BYTES - 1, OVERHEAD_BYTES, OVERHEAD_BYTES + 7])
def test_a_torn_record_is_refused(cut: int) -> None:
    with pytest.raises(BadRecord) as refused:
        decode(encode(PLAIN)[:cut])
    assert refused.value.defect in (Defect.SHORT, Defect.LENGTHS)


def test_a_record_under_a_foreign_key_is_refused() -> None:
    with pytest.raises(BadRecord) as refused:
        decode(encode(PLAIN), b"other")
    assert refused.value.defect is Defect.MISPLACED


def test_a_later_format_is_named() -> None:
    data = bytearray(encode(PLAIN))
    data[2] = 2
    with pytest.raises(BadRecord, match="format 2"):
        decode(bytes(data))


@pytest.mark.parametrize(
    "bad",
    [
        PLAIN._replace(kind=7),
        PLAIN._replace(rank=16),
        PLAIN._replace(flags=128),
        PLAIN._replace(expires_ms=-1),
        PLAIN._replace(version=Version(2**62, 0)),
    ],
)
def test_fields_out_of_range_are_never_written(bad: Record) -> None:
    with pytest.raises(ValueError, match="out of range"):
        encode(bad)
