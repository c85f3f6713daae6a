"""The backup file: what goes in comes out; what is cut, altered or foreign is refused, and says where."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodecore.backup.file_format import (
    FORMAT_VERSION,
    MAGIC,
    BadBackup,
    Decoder,
    Encoder,
    Header,
    Space,
    Trailer,
)
from nodecore.ids import Version
from nodecore.storage.records import Record

HEADER = Header(
    "ring-1", 7, 123 << 16, 1_700_000_000_000, 3, (Space("*", "eventual"), Space("s:*", "strong"))
)
RECORDS = st.lists(
    st.builds(
        Record,
        key=st.binary(max_size=40),
        kind=st.just(0),
        value=st.binary(max_size=60),
        version=st.builds(Version, st.integers(0, 2**62 - 1), st.integers(0, 2**32 - 1)),
        expires_ms=st.integers(0, 2**53),
        rank=st.integers(0, 15),
        flags=st.integers(0, 1),
    ),
    max_size=12,
)


def make(records: list[Record]) -> tuple[bytes, list[int]]:
    """A file, and where its records (and then its trailer) begin."""
    encoder = Encoder()
    data = encoder.header(HEADER)
    begins = [len(data)]
    for record in records:
        data += encoder.record(record)
        begins.append(len(data))
    return data + encoder.trailer(1_700_000_001_000), begins


def read(data: bytes, piece: int = 1 << 20) -> tuple[list[Record], Trailer]:
    decoder = Decoder()
    found: list[Record] = []
    for at in range(0, len(data), piece):
        found += decoder.feed(data[at : at + piece])
    trailer = decoder.finish()
    assert decoder.header == HEADER
    assert decoder.offset == len(data)
    return found, trailer


def example(count: int = 20) -> tuple[bytes, list[int]]:
    rng = random.Random(5)
    return make(
        [
            Record(b"key%d" % n, 0, rng.randbytes(n), Version(1000 + n, 9), n * 1000)
            for n in range(count)
        ]
    )


@settings(max_examples=60, deadline=None)
@given(RECORDS, st.integers(1, 200))
def test_what_goes_in_comes_out_in_whatever_pieces(records: list[Record], piece: int) -> None:
    data, _begins = make(records)
    found, trailer = read(data, piece)
    assert found == records
    assert trailer.records == len(records)
    assert trailer.payload_bytes == sum(len(r.key) + len(r.value) for r in records)
    assert trailer.ended_ms == 1_700_000_001_000


def test_a_file_that_ends_anywhere_early_is_refused_with_its_position() -> None:
    data, begins = example()
    for end in range(len(data)):
        with pytest.raises(BadBackup) as caught:
            read(data[:end])
        if end in begins:
            number = begins.index(end) + 1
            assert "truncated" in caught.value.text
            assert (caught.value.offset, caught.value.record) == (end, number)


def test_a_thousand_flipped_bits_are_all_refused() -> None:
    data, begins = example()
    rng = random.Random(11)
    for _ in range(1000):
        at = rng.randrange(len(data))
        altered = bytearray(data)
        altered[at] ^= 1 << rng.randrange(8)
        with pytest.raises(BadBackup) as caught:
            read(bytes(altered))
        assert caught.value.offset <= at, "the position is where the damaged part begins"
        record = sum(begin <= at for begin in begins)
        if record and caught.value.record and not caught.value.text.startswith("truncated"):
            assert caught.value.record == record


def test_records_that_were_left_out_doubled_or_exchanged_are_refused() -> None:
    data, begins = example()
    first, second, third = (data[begins[n] : begins[n + 1]] for n in (3, 4, 5))
    before, after = data[: begins[3]], data[begins[6] :]
    assert read(before + first + second + third + after)
    for altered in (first + third, first + second + second + third, second + first + third):
        with pytest.raises(BadBackup, match="digest of the whole"):
            read(before + altered + after)


def test_what_follows_behind_the_end_is_refused() -> None:
    data, _begins = example()
    with pytest.raises(BadBackup, match="behind the end") as caught:
        read(data + b"x")
    assert caught.value.offset == len(data)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "the file is empty"),
        (b"REDIS0011", "not a ringdeck backup: it begins with b'REDIS0011'"),
        (b"PK\x03\x04" * 50, "not a ringdeck backup"),
        (MAGIC + (FORMAT_VERSION + 1).to_bytes(2, "big") + bytes(40), "backup format 2"),
        (MAGIC + FORMAT_VERSION.to_bytes(2, "big") + b"\xff" * 4, "can't be"),
        (MAGIC[:9], "truncated"),
    ],
)
def test_foreign_files_are_refused_by_name(data: bytes, text: str) -> None:
    with pytest.raises(BadBackup) as caught:
        read(data)
    assert text in str(caught.value)


def test_an_absurd_length_is_refused_before_anything_is_held() -> None:
    data, begins = example()
    decoder = Decoder()
    decoder.feed(data[: begins[2]])
    with pytest.raises(BadBackup, match="can't be") as caught:
        decoder.feed((2**32 - 1).to_bytes(4, "big"))
    assert (caught.value.offset, caught.value.record) == (begins[2], 3)


def test_the_keyspace_of_a_key_is_the_longest_pattern() -> None:
    assert HEADER.space_of(b"s:1").mode == "strong"
    assert HEADER.space_of(b"x").pattern == "*"
    assert HEADER._replace(spaces=()).space_of(b"x") == Space("*", "eventual")
