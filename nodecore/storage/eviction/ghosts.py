"""Memories of evicted keys, oldest forgotten first.

``ExactGhosts`` keeps the keys themselves and is meant for capacities counted in objects, where
policies are compared with published miss counts. ``CompactGhosts`` keeps 32 bits of a key's hash
beside a 32-bit sequence number, four to a bucket: 11 bytes a key, wrong once in some ten thousand
look-ups, which costs a policy nothing measurable.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol, final

from xxhash import xxh3_64_intdigest as _digest

_WAYS: Final = 4
_CELLS_MIN: Final = 1024
_CELLS_MAX: Final = 1 << 24
_GROWTH_CHECKED_EVERY: Final = 64
_PRINT_BYTES: Final = 4
_PRINT_MASK: Final = (1 << 8 * _PRINT_BYTES) - 1
_BUCKET_BYTES: Final = _WAYS * _PRINT_BYTES


class Ghosts(Protocol):
    """A bounded memory of keys."""

    @property
    def overhead_bytes(self) -> int: ...

    def add(self, key: bytes) -> None:
        """Remember a key; the oldest is forgotten when there is no room."""

    def take(self, key: bytes) -> bool:
        """Whether the key was remembered; it is forgotten."""


@final
class ExactGhosts:
    """Keys in order of eviction."""

    def __init__(self, keys_max: int) -> None:
        self._keys: OrderedDict[bytes, None] = OrderedDict()
        self._keys_max = keys_max

    @property
    def overhead_bytes(self) -> int:
        return 200 * len(self._keys)

    def add(self, key: bytes) -> None:
        self._keys[key] = None
        if len(self._keys) > self._keys_max:
            self._keys.popitem(last=False)

    def take(self, key: bytes) -> bool:
        if key in self._keys:
            del self._keys[key]
            return True
        return False


@final
class CompactGhosts:
    """Fingerprints of keys, looked for as bytes: four comparisons in Python would cost more than all else.

    Args:
        keys_max: how many of the last keys count, asked at every use because it follows the number
            of resident entries.
    """

    def __init__(self, keys_max: Callable[[], int]) -> None:
        self._keys_max = keys_max
        self._sequence = 0
        self._clear(_CELLS_MIN)

    def _clear(self, cells: int) -> None:
        self._cells = cells
        self._mask = cells // _WAYS - 1
        self._prints = bytearray(_PRINT_BYTES * cells)
        self._sequences = array("I", bytes(4 * cells))
        self._next_way = bytearray(cells // _WAYS)
        """By bucket: the cell that is written next. Keys leave a bucket in the order in which they came."""

    @property
    def overhead_bytes(self) -> int:
        return len(self._prints) + 4 * self._cells + len(self._next_way)

    def _place(self, fingerprint: int, sequence: int) -> None:
        bucket = fingerprint & self._mask
        way = self._next_way[bucket]
        self._next_way[bucket] = (way + 1) % _WAYS
        cell = bucket * _WAYS + way
        start = cell * _PRINT_BYTES
        self._prints[start : start + _PRINT_BYTES] = fingerprint.to_bytes(_PRINT_BYTES, "little")
        self._sequences[cell] = sequence

    def _grow(self) -> None:
        known = sorted(
            (sequence, int.from_bytes(self._prints[4 * cell : 4 * cell + 4], "little"))
            for cell, sequence in enumerate(self._sequences)
            if sequence
        )
        self._clear(2 * self._cells)
        for sequence, fingerprint in known:
            self._place(fingerprint, sequence)

    def add(self, key: bytes) -> None:
        self._sequence += 1
        if not self._sequence % _GROWTH_CHECKED_EVERY and self._cells < _CELLS_MAX:
            while self._keys_max() * 4 > self._cells * 3 and self._cells < _CELLS_MAX:
                self._grow()
        if self._sequence > _PRINT_MASK:
            self._sequence = 1
            self._clear(self._cells)
        self._place(_digest(key) & _PRINT_MASK, self._sequence)

    def take(self, key: bytes) -> bool:
        fingerprint = _digest(key) & _PRINT_MASK
        start = (fingerprint & self._mask) * _BUCKET_BYTES
        found = self._prints.find(
            fingerprint.to_bytes(_PRINT_BYTES, "little"), start, start + _BUCKET_BYTES
        )
        # Bytes of two neighbours that happen to look like a third print: as rare as equal prints.
        if found < 0 or found % _PRINT_BYTES:
            return False
        cell = found // _PRINT_BYTES
        sequence = self._sequences[cell]
        self._sequences[cell] = 0
        self._prints[found : found + _PRINT_BYTES] = bytes(_PRINT_BYTES)
        return sequence > 0 and self._sequence - sequence < self._keys_max()
