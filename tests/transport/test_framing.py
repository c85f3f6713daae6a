"""Frames: bounds, checksums, chunks, and bytes that arrive in any pieces."""

from __future__ import annotations

import zlib
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transport import limits
from transport.errors import (
    BadChecksum,
    FrameTooLarge,
    LocalProtocolError,
    RemoteProtocolError,
)
from transport.framing import (
    CHUNK,
    COMPRESSED,
    HEADER_BYTES,
    LAST,
    NEED_DATA,
    Assembler,
    Frame,
    FrameDecoder,
    encode_frame,
    encode_message,
)


def decode_all(data: bytes, payload_bytes_max: int = 1000) -> list[Frame]:
    decoder = FrameDecoder(payload_bytes_max)
    decoder.receive_data(data)
    return list(decoder.frames())


def test_layout_of_the_header() -> None:
    """Frozen: length, crc, version, flags, stream, payload."""
    assert encode_frame(b"abc", 0x01020304, CHUNK).hex() == ("00000003d68a36b4010101020304616263")
    assert HEADER_BYTES == 14


FRAMES = st.lists(
    st.tuples(st.binary(max_size=300), st.integers(0, 2**32 - 1), st.integers(0, 7)), max_size=8
)


@given(FRAMES, st.data())
@settings(max_examples=100, deadline=None)
def test_pieces_of_any_size_give_the_same_frames(
    sent: list[tuple[bytes, int, int]], data: st.DataObject
) -> None:
    stream = b"".join(encode_frame(*entry) for entry in sent)
    expected = [Frame(number, flags, payload) for payload, number, flags in sent]
    assert decode_all(stream) == expected
    decoder = FrameDecoder(1000)
    received: list[Frame] = []
    position = 0
    while position < len(stream):
        size = data.draw(st.integers(1, 40))
        decoder.receive_data(stream[position : position + size])
        position += size
        received.extend(decoder.frames())
    assert received == expected
    assert decoder.partial_bytes == 0
    assert decoder.next_frame() is NEED_DATA


def test_it_says_how_much_is_missing() -> None:
    frame = encode_frame(b"x" * 100, 1)
    decoder = FrameDecoder(1000)
    decoder.receive_data(frame[:10])
    assert decoder.next_frame() is NEED_DATA
    assert (decoder.partial_bytes, decoder.missing_bytes) == (10, HEADER_BYTES - 10)
    decoder.receive_data(frame[10:50])
    assert decoder.next_frame() is NEED_DATA
    assert (decoder.partial_bytes, decoder.missing_bytes) == (50, 64)
    decoder.receive_data(frame[50:])
    assert decoder.next_frame() == Frame(1, 0, b"x" * 100)


def test_a_declared_length_above_the_limit_is_refused_by_its_header() -> None:
    decoder = FrameDecoder(1000)
    decoder.receive_data(encode_frame(b"x" * 1001, 1)[:HEADER_BYTES])
    with pytest.raises(FrameTooLarge, match="1001 bytes exceeds the limit of 1000"):
        decoder.next_frame()
    decoder.receive_data(encode_frame(b"fine", 1))
    with pytest.raises(FrameTooLarge):
        decoder.next_frame()
    assert decoder.partial_bytes == 0, "a broken decoder keeps nothing"


@pytest.mark.parametrize("index", range(HEADER_BYTES + 5))
def test_any_flipped_bit_is_noticed(index: int) -> None:
    good = encode_frame(b"fine", 3)
    for bit in range(8):
        broken = bytearray(encode_frame(b"hello", 7))
        broken[index] ^= 1 << bit
        decoder = FrameDecoder(1000)
        decoder.receive_data(good + bytes(broken) + bytes(1000))
        assert decoder.next_frame() == Frame(3, 0, b"fine")
        with pytest.raises(RemoteProtocolError):
            decoder.next_frame()


def test_other_versions_and_flags_are_named() -> None:
    frame = bytearray(encode_frame(b"", 1))
    frame[8] = 9
    with pytest.raises(RemoteProtocolError, match="version 9 is unknown"):
        decode_all(bytes(frame))
    with pytest.raises(RemoteProtocolError, match="flags 8 are unknown"):
        decode_all(encode_frame(b"", 1, 8))


def test_checksum_errors_are_their_own_kind() -> None:
    frame = bytearray(encode_frame(b"hello", 1))
    frame[-1] ^= 1
    with pytest.raises(BadChecksum):
        decode_all(bytes(frame))


@given(st.binary(max_size=100))
@settings(max_examples=200, deadline=None)
def test_garbage_raises_nothing_undeclared(data: bytes) -> None:
    try:
        decode_all(data)
    except RemoteProtocolError:
        return


@given(st.integers(0, 5000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_messages_of_any_size_survive_chunking(size: int, compress: bool) -> None:
    payload = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    frames = encode_message(payload, 5, chunk_bytes_max=1000, compress=compress)
    assembler = Assembler(5000, decompress=compress)
    received = [assembler.add(frame) for frame in decode_all(b"".join(frames))]
    assert received == [None] * (len(frames) - 1) + [payload]
    assert assembler.held_bytes == 0


def test_chunks_of_several_streams_interleave() -> None:
    first = encode_message(b"a" * 2500, 1, chunk_bytes_max=1000)
    second = encode_message(b"b" * 1500, 2, chunk_bytes_max=1000)
    small = encode_message(b"c", 3, chunk_bytes_max=1000)
    order = [first[0], second[0], small[0], first[1], second[1], first[2]]
    assembler = Assembler(5000)
    received = [assembler.add(frame) for frame in decode_all(b"".join(order))]
    assert received == [None, None, b"c", None, b"b" * 1500, b"a" * 2500]


def test_what_pays_is_compressed_and_the_rest_is_not() -> None:
    text = b"compress me " * 1000
    (frame,) = decode_all(encode_message(text, 1, compress=True)[0], 100_000)
    assert frame.flags == COMPRESSED
    assert len(frame.payload) < len(text) / 10
    noise = Random(1).randbytes(8000)
    (frame,) = decode_all(encode_message(noise, 1, compress=True)[0], 100_000)
    assert frame.flags == 0
    (frame,) = decode_all(encode_message(text[:4000], 1, compress=True)[0], 100_000)
    assert frame.flags == 0, "too small to matter"


def test_messages_above_the_limit_are_not_sent() -> None:
    with pytest.raises(LocalProtocolError, match="exceeds the limit"):
        encode_message(bytes(limits.MESSAGE_BYTES_MAX + 1), 1)


BOMB = zlib.compress(bytes(10_000_000))


def add_all(assembler: Assembler, frames: list[Frame]) -> None:
    for frame in frames:
        assembler.add(frame)


WRONG_CHUNKS = {
    "last without chunk": [Frame(1, LAST, b"x")],
    "whole frame between chunks": [Frame(1, CHUNK, b"x"), Frame(1, 0, b"x")],
    "empty chunk": [Frame(1, CHUNK, b"")],
    "too many streams": [Frame(n, CHUNK, b"x") for n in range(limits.ASSEMBLIES_MAX + 1)],
    "too long": [Frame(1, CHUNK, b"x" * 600)] * 2,
    "bomb": [Frame(1, COMPRESSED, BOMB)],
    "not zlib": [Frame(1, COMPRESSED, b"x" * 20)],
    "cut zlib": [Frame(1, COMPRESSED, zlib.compress(b"x" * 900)[:-2])],
    "tail after zlib": [Frame(1, COMPRESSED, zlib.compress(b"x") + b"y")],
}


@pytest.mark.parametrize("name", sorted(WRONG_CHUNKS))
def test_chunks_that_do_not_fit_are_refused(name: str) -> None:
    assembler = Assembler(1000, decompress=True)
    with pytest.raises(RemoteProtocolError):
        add_all(assembler, WRONG_CHUNKS[name])


def test_unfinished_messages_are_bounded_together() -> None:
    assembler = Assembler(limits.MESSAGE_BYTES_MAX)
    chunk = bytes(limits.CHUNK_BYTES_MAX)
    per_stream = limits.MESSAGE_BYTES_MAX // len(chunk)
    streams = range(limits.ASSEMBLIES_MAX)
    frames = [Frame(stream, CHUNK, chunk) for stream in streams for _ in range(per_stream)]
    with pytest.raises(FrameTooLarge, match="unfinished"):
        add_all(assembler, frames)


def test_compression_must_be_agreed() -> None:
    with pytest.raises(RemoteProtocolError, match="did not agree"):
        Assembler(1000).add(Frame(1, COMPRESSED, zlib.compress(b"x")))
