"""Slots equal Redis Cluster's, hashes are fit for a ring, tags are stable."""

from __future__ import annotations

import hashlib

import pytest
import xxhash
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from nodecore.errors import InvalidTopology
from nodecore.ids import NodeId
from nodecore.placement.hashing import RING_HASHES, make_hash, node_tag, slot_of


def crc16(data: bytes) -> int:
    """Bit by bit, as in the appendix of the Redis Cluster specification."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"123456789", 0x31C3 % 16384),
        (b"foo", 12182),
        (b"bar", 5061),
        (b"hello", 866),
        (b"", 0),
        (b"{user1000}.following", 3443),
        (b"{user1000}.followers", 3443),
        (b"foo{hash_tag}", 2515),
    ],
)
def test_known_slots(key: bytes, slot: int) -> None:
    assert slot_of(key) == slot


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"{a}b", b"a"),
        (b"foo{}{bar}", b"foo{}{bar}"),
        (b"foo{{bar}}zap", b"{bar"),
        (b"foo{bar}{zap}", b"bar"),
        (b"foo}{bar", b"foo}{bar"),
        (b"foo{bar", b"foo{bar"),
        (b"{}", b"{}"),
    ],
)
def test_hash_tags(key: bytes, hashed: bytes) -> None:
    assert slot_of(key) == crc16(hashed) % 16384


@given(st.binary(max_size=64).filter(lambda key: b"{" not in key))
def test_slot_is_the_specified_crc(key: bytes) -> None:
    assert slot_of(key) == crc16(key) % 16384


def test_points_are_the_leading_bits_of_the_digests() -> None:
    data = b"n1#0"
    assert RING_HASHES["blake3"](data) == int(blake3(data).hexdigest()[:16], 16)
    assert RING_HASHES["md5"](data) == int(hashlib.md5(data).hexdigest()[:16], 16)
    assert RING_HASHES["sha1"](data) == int(hashlib.sha1(data).hexdigest()[:16], 16)
    assert RING_HASHES["xxh3"](data) == xxhash.xxh3_64(data).intdigest()


@pytest.mark.parametrize("name", RING_HASHES)
def test_points_spread_over_the_circle(name: str) -> None:
    ring_hash = make_hash(name)
    quarters = [0, 0, 0, 0]
    for index in range(4000):
        point = ring_hash(f"n{index % 10}#{index // 10}".encode())
        assert 0 <= point < 1 << 64
        quarters[point >> 62] += 1
    assert min(quarters) > 850


def test_custom_hash_is_resolved_and_tried() -> None:
    resolved = []

    def resolver(name: str) -> object:
        resolved.append(name)
        return lambda data: len(data)

    custom = make_hash("my.package:points", resolver)  # type: ignore[arg-type]
    assert custom(b"abc") == 3
    assert resolved == ["my.package:points"]


def missing(name: str) -> object:
    raise LookupError(f"no module of {name}")


@pytest.mark.parametrize(
    ("name", "resolver", "text"),
    [
        ("sha512", None, "must be one of"),
        ("os.system", None, "must be one of"),
        ("a:b", None, "can't be loaded"),
        ("a:b", missing, "no module"),
        ("a:b", lambda name: lambda data: -1, "64 bits"),
        ("a:b", lambda name: lambda data: 1 << 64, "64 bits"),
        ("a:b", lambda name: lambda data: "x", "64 bits"),
        ("a:b", lambda name: iter([1, 2, 3]).__next__, "argument"),
    ],
)
def test_unfit_hashes_are_refused(name: str, resolver: object, text: str) -> None:
    with pytest.raises(InvalidTopology, match=text):
        make_hash(name, resolver)  # type: ignore[arg-type]


def test_hash_without_memory_is_refused() -> None:
    numbers = iter(range(9))
    with pytest.raises(InvalidTopology, match="different points"):
        make_hash("a:b", lambda name: lambda data: next(numbers))


def test_tags_differ_and_fit() -> None:
    tags = [node_tag(NodeId(f"n{index}")) for index in range(1000)]
    assert len(set(tags)) == 1000
    assert all(0 < tag < 1 << 32 for tag in tags)
    assert node_tag(NodeId("n1")) == int(blake3(b"n1").hexdigest()[:8], 16)
