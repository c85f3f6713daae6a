"""Hashes of placement: key to slot, token to point of the circle, node id to tag.

Key to slot is Redis Cluster's rule and fixed. The hash of the ring is chosen by name in the
topology document; every member must compute the same points, so a custom hash
(``package.module:function``) is looked up by a resolver that the process supplies. Nothing here is
on the read path: points are computed once per topology.

Sources: Redis Cluster specification (hash tags, CRC16/XMODEM); Steele, Lea and Flood, "Fast
splittable pseudorandom number generators" (the finalizer that spreads a CRC over 64 bits).
"""

from __future__ import annotations

import hashlib
import re
import zlib
from binascii import crc_hqx
from collections.abc import Callable
from typing import Final, TypeAlias

import xxhash
from blake3 import blake3

from nodecore.errors import InvalidTopology
from nodecore.ids import SLOTS_COUNT, NodeId, Slot

RingHash: TypeAlias = Callable[[bytes], int]
"""Bytes to a point of the circle, 0..2**64-1."""

Resolver: TypeAlias = Callable[[str], RingHash]
"""Finds ``package.module:function``; raises LookupError with a text for a person."""

_MASK_64: Final = (1 << 64) - 1
_SLOT_MASK: Final = SLOTS_COUNT - 1
_CUSTOM: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def slot_of(key: bytes) -> Slot:
    """Slot of a key: CRC16/XMODEM modulo 16384 of the part between the first ``{`` and the ``}``
    after it, or of the whole key when there is no such part or it is empty.
    """
    opening = key.find(b"{")
    if opening >= 0:
        closing = key.find(b"}", opening + 1)
        if closing > opening + 1:
            key = key[opening + 1 : closing]
    return Slot(crc_hqx(key, 0) & _SLOT_MASK)


def node_tag(node_id: NodeId) -> int:
    """The 32 bits that stand for a node in versions: never 0, equal in every process."""
    return int.from_bytes(blake3(node_id.encode()).digest(length=4), "big") or 1


def blake3_point(data: bytes) -> int:
    """First 64 bits of BLAKE3."""
    return int.from_bytes(blake3(data).digest(length=8), "big")


def md5_point(data: bytes) -> int:
    """First 64 bits of MD5."""
    return int.from_bytes(hashlib.md5(data, usedforsecurity=False).digest()[:8], "big")


def sha1_point(data: bytes) -> int:
    """First 64 bits of SHA-1."""
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest()[:8], "big")


def xxh3_point(data: bytes) -> int:
    """XXH3, 64 bits, seed 0."""
    return int(xxhash.xxh3_64_intdigest(data))


def crc32_point(data: bytes) -> int:
    """CRC-32 spread over 64 bits: a CRC is linear, so neighbouring names would stand in patterns."""
    mixed = (zlib.crc32(data) + 0x9E3779B97F4A7C15) & _MASK_64
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return mixed ^ (mixed >> 31)


RING_HASHES: Final[dict[str, RingHash]] = {
    "blake3": blake3_point,
    "md5": md5_point,
    "sha1": sha1_point,
    "xxh3": xxh3_point,
    "crc32": crc32_point,
}


def hash_problem(name: str) -> str | None:
    """What is wrong with a ring hash's name; a custom one is only checked for its form."""
    if name in RING_HASHES or _CUSTOM.fullmatch(name):
        return None
    known = ", ".join(RING_HASHES)
    return f"ring hash {name!r}: must be one of {known}, or package.module:function"


def make_hash(name: str, resolver: Resolver | None = None) -> RingHash:
    """The hash of that name, checked to give points of the circle.

    Raises:
        InvalidTopology: the name is unknown, can't be resolved, or the function is unfit.
    """
    known = RING_HASHES.get(name)
    if known is not None:
        return known
    problem = hash_problem(name)
    if problem is not None:
        raise InvalidTopology(problem)
    if resolver is None:
        raise InvalidTopology(f"ring hash {name!r}: custom hashes can't be loaded here")
    try:
        custom = resolver(name)
        points = [custom(probe) for probe in (b"n1#0", b"n1#0", b"n1#1")]
    except Exception as error:
        raise InvalidTopology(f"ring hash {name!r}: {error}") from error
    if any(type(point) is not int or not 0 <= point <= _MASK_64 for point in points):
        raise InvalidTopology(f"ring hash {name!r}: must return integers of 64 bits")
    if points[0] != points[1]:
        raise InvalidTopology(f"ring hash {name!r}: gives different points for equal names")
    return custom
