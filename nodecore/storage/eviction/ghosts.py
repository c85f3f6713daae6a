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

import xxhash

_WAYS: Final = 4
_CELLS_MIN: Final = 1024
_CELLS_MAX: Final = 1 << 24
_GROWTH_CHECKED_EVERY: Final = 64
_SEQUENCE_MASK: Final = (1 << 32) - 1


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
    """Fingerprints of keys.

    Args:
        keys_max: how many of the last keys count, asked at every use because it follows the number
            of resident entries.
    """

    def __init__(self, keys_max: Callable[[], int]) -> None:
        self._keys_max = keys_max
        self._cells = array("Q", bytes(8 * _CELLS_MIN))
        self._sequence = 0

    @property
    def overhead_bytes(self) -> int:
        return 8 * len(self._cells)

    def _place(self, fingerprint: int, sequence: int) -> None:
        cells = self._cells
        place = start = (fingerprint * _WAYS) & (len(cells) - 1)
        least = _SEQUENCE_MASK
        # The oldest of the bucket gives way; a cell that is free counts as older than any.
        for cell in cells[start : start + _WAYS]:
            if (cell & _SEQUENCE_MASK) < least:
                least = cell & _SEQUENCE_MASK
                start = place
                if not least:
                    break
            place += 1
        cells[start] = (fingerprint << 32) | sequence

    def _grow(self) -> None:
        known = sorted((cell & _SEQUENCE_MASK, cell >> 32) for cell in self._cells if cell)
        self._cells = array("Q", bytes(16 * len(self._cells)))
        for sequence, fingerprint in known:
            self._place(fingerprint, sequence)

    def add(self, key: bytes) -> None:
        self._sequence += 1
        if not self._sequence % _GROWTH_CHECKED_EVERY and len(self._cells) < _CELLS_MAX:
            while self._keys_max() * 4 > len(self._cells) * 3 and len(self._cells) < _CELLS_MAX:
                self._grow()
        if self._sequence > _SEQUENCE_MASK:
            self._sequence = 1
            self._cells = array("Q", bytes(8 * len(self._cells)))
        self._place(xxhash.xxh3_64_intdigest(key) & _SEQUENCE_MASK, self._sequence)

    def take(self, key: bytes) -> bool:
        fingerprint = xxhash.xxh3_64_intdigest(key) & _SEQUENCE_MASK
        cells = self._cells
        start = (fingerprint * _WAYS) & (len(cells) - 1)
        for index, cell in enumerate(cells[start : start + _WAYS], start):
            if cell >> 32 == fingerprint and cell:
                cells[index] = 0
                return self._sequence - (cell & _SEQUENCE_MASK) < self._keys_max()
        return False
