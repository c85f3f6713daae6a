"""The memories of ``memories`` in plain Python: evicted keys, and how often keys were asked for.

All of them know a key by 32 bits, unless told otherwise: wrong once in some ten thousand look-ups, which costs a policy
nothing measurable.
"""

from __future__ import annotations

from array import array
from binascii import crc32
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, final

_WAYS: Final = 4
_CELLS_MIN: Final = 1024
_CELLS_MAX: Final = 1 << 24
_GROWTH_CHECKED_EVERY: Final = 64
_SEQUENCE_MAX: Final = (1 << 32) - 1
_MEMORY_BYTES: Final = 200
_ROWS: Final = 4
_ROW_BYTES: Final = 16
_BLOCK_BYTES: Final = _ROWS * _ROW_BYTES
_BYTES_PER_KEY: Final = 16
_TOP: Final = 15
_SAMPLE: Final = 10
_HALVES: Final = bytes(count // 2 for count in range(256))


def key_print(key: bytes) -> int:
    """1..2^32-1; of equal length, keys that differ in four neighbouring bytes at most differ here too."""
    code = crc32(key) * 0x9E3779B1 & 0xFFFFFFFF
    return code ^ code >> 16 or 1


@final
class PlainGhosts:
    """The last keys that were added, four to a bucket; see ``memories.Ghosts``."""

    def __init__(self, keys_max: Callable[[], int]) -> None:
        self._keys_max = keys_max
        self._sequence = 0
        self._clear(_CELLS_MIN)

    def _clear(self, cells: int) -> None:
        self._cells = cells
        self._mask = cells // _WAYS - 1
        self._prints = array("I", bytes(4 * cells))
        self._sequences = array("I", bytes(4 * cells))

    @property
    def overhead_bytes(self) -> int:
        return 8 * self._cells

    def _place(self, code: int, sequence: int) -> None:
        start = (code & self._mask) * _WAYS
        held = self._sequences[start : start + _WAYS]
        cell = start + held.index(min(held))
        self._prints[cell] = code
        self._sequences[cell] = sequence

    def _grow(self) -> None:
        known = sorted(pair for pair in zip(self._sequences, self._prints, strict=True) if pair[0])
        self._clear(2 * self._cells)
        for sequence, code in known:
            self._place(code, sequence)

    def add(self, key: bytes) -> None:
        self._sequence += 1
        if not self._sequence % _GROWTH_CHECKED_EVERY:
            while self._cells < _CELLS_MAX and self._keys_max() * 4 > self._cells * 3:
                self._grow()
        if self._sequence > _SEQUENCE_MAX:
            self._sequence = 1
            self._clear(self._cells)
        self._place(key_print(key), self._sequence)

    def take(self, key: bytes) -> bool:
        code = key_print(key)
        start = (code & self._mask) * _WAYS
        bucket = self._prints[start : start + _WAYS]
        if code not in bucket:
            return False
        cell = start + bucket.index(code)
        sequence = self._sequences[cell]
        self._sequences[cell] = self._prints[cell] = 0
        return self._sequence - sequence < self._keys_max()


@final
class PlainMemory:
    """Keys with sizes, oldest first; see ``memories.KeyMemory``.

    Args:
        mark: by what a key is known; ``bytes``: by all of it, never wrong.
    """

    def __init__(self, mark: Callable[[bytes], Hashable] = key_print) -> None:
        self._mark = mark
        self._sizes: OrderedDict[Hashable, int] = OrderedDict()
        self.total = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def __contains__(self, key: bytes) -> bool:
        return self._mark(key) in self._sizes

    @property
    def overhead_bytes(self) -> int:
        return _MEMORY_BYTES * len(self._sizes)

    def add(self, key: bytes, size: int, total_max: int, keys_max: int) -> None:
        code = self._mark(key)
        self.total += size - self._sizes.pop(code, 0)
        self._sizes[code] = size
        while len(self._sizes) > keys_max:
            self.total -= self._sizes.popitem(last=False)[1]
        self.shrink(total_max)

    def discard(self, key: bytes) -> None:
        self.total -= self._sizes.pop(self._mark(key), 0)

    def shrink(self, total_max: int) -> None:
        while self._sizes and self.total > total_max:
            self.total -= self._sizes.popitem(last=False)[1]


@final
class PlainSketch:
    """Counts of uses; see ``memories.FrequencySketch``.

    A key has four counters, one in each row of a block that fits a line of the processor's cache.
    """

    def __init__(self, keys: int) -> None:
        blocks = 4
        while blocks * _BLOCK_BYTES < _BYTES_PER_KEY * keys:
            blocks *= 2
        self._mask = blocks - 1
        self._counts = bytearray(blocks * _BLOCK_BYTES)
        self._seen = 0
        self._seen_max = _SAMPLE * max(keys, 16)

    @property
    def overhead_bytes(self) -> int:
        return len(self._counts)

    def _positions(self, key: bytes) -> tuple[int, int, int, int]:
        code = key_print(key) * 0x9E3779B97F4A7C15
        start = (code >> 32 & self._mask) * _BLOCK_BYTES
        return (
            start + (code >> 16 & 15),
            start + (code >> 20 & 15) + _ROW_BYTES,
            start + (code >> 24 & 15) + 2 * _ROW_BYTES,
            start + (code >> 28 & 15) + 3 * _ROW_BYTES,
        )

    def add(self, key: bytes) -> None:
        counts = self._counts
        for position in self._positions(key):
            if counts[position] < _TOP:
                counts[position] += 1
        self._seen += 1
        if self._seen >= self._seen_max:
            self._counts = counts.translate(_HALVES)
            self._seen //= 2

    def estimate(self, key: bytes) -> int:
        counts = self._counts
        return min(counts[position] for position in self._positions(key))
