"""A filter of keys: "surely not there" for most keys that were never added, in a few bits for each.

A blocked Bloom filter: the hash of a key chooses a block of 512 bits (a line of the processor's cache)
and three bits in it. It only ever gathers. ``_filter.pxi`` is the same, compiled; a property test holds
both equal, wrong "maybe"s included, because they are seen: whoever is told "maybe" looks.

Sources: Bloom, 1970; Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, final

BLOCK_BITS: Final = 512
_SPREAD: Final = 0x9E3779B97F4A7C15
"""Odd, near 2**64 over the golden ratio (Knuth): its high product bits depend on all of the hash."""
_WORD: Final = (1 << 64) - 1


class KeyFilter(Protocol):
    """Three bits for each key: one of them clear, and the key was never added."""

    full: bool
    """Answers "maybe" to everything."""

    @property
    def used(self) -> bool:
        """Whether it ever answers "maybe"."""

    @property
    def overhead_bytes(self) -> int: ...

    def add(self, key: bytes) -> None:
        """This key is there from now on."""

    def may_hold(self, key: bytes) -> bool:
        """False: surely never added."""

    def among(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those of the keys that it may hold, in their order."""


@final
class PlainKeyFilter:
    """The specification, and what runs where no compiler was at hand.

    Args:
        bits: a power of two, at least BLOCK_BITS.

    Raises:
        ValueError: another number.
    """

    def __init__(self, bits: int) -> None:
        if bits < BLOCK_BITS or bits & (bits - 1):
            raise ValueError(f"bits must be a power of two from {BLOCK_BITS} on, not {bits}")
        self._block_mask = bits // BLOCK_BITS - 1
        self._bits = bytearray(bits >> 3)
        self._added = False
        self.full = False

    @property
    def used(self) -> bool:
        return self._added or self.full

    @property
    def overhead_bytes(self) -> int:
        return len(self._bits)

    def _positions(self, key: bytes) -> tuple[int, int, int]:
        code = crc32(key)
        spread = code * _SPREAD & _WORD
        start = (code & self._block_mask) * BLOCK_BITS
        return start + (spread >> 55), start + (spread >> 46 & 511), start + (spread >> 37 & 511)

    def add(self, key: bytes) -> None:
        for position in self._positions(key):
            self._bits[position >> 3] |= 1 << (position & 7)
        self._added = True

    def may_hold(self, key: bytes) -> bool:
        if self.full:
            return True
        return all(
            self._bits[position >> 3] >> (position & 7) & 1 for position in self._positions(key)
        )

    def among(self, keys: Iterable[bytes]) -> list[bytes]:
        return [key for key in keys if self.may_hold(key)] if self.used else []


def plain_keys_below(keys: Sequence[bytes], below: int) -> list[bytes]:
    """Those of the keys whose hash is below that 32-bit number, in their order: a sample of the keys,
    with all uses of each.
    """
    return [key for key, code in zip(keys, map(crc32, keys), strict=True) if code < below]


def make_keys_below(compiled: bool) -> Callable[[Sequence[bytes], int], list[bytes]]:
    """``plain_keys_below`` or its compiled twin."""
    if not compiled:
        return plain_keys_below
    from nodecore.table._table import keys_below

    return keys_below


def make_key_filter(bits: int, compiled: bool) -> KeyFilter:
    """An empty filter of that many bits (see ``PlainKeyFilter``), like the table that it serves."""
    if not compiled:
        return PlainKeyFilter(bits)
    from nodecore.table._table import CompiledKeyFilter

    return CompiledKeyFilter(bits)
