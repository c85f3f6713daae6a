"""How often keys were asked for lately, in a little memory: a count-min sketch with ageing.

Four rows of counters that stop at 15; once as many uses were counted as ten times the keys that it
is made for, all are halved. Estimates are never too low between two halvings, and seldom too high.
Cormode and Muthukrishnan, 2005; ageing as in Einziger, Friedman, Manes, "TinyLFU", 2017.
"""

from __future__ import annotations

from typing import Final, final

import xxhash

_ROWS: Final = 4
_TOP: Final = 15
_WIDTH_PER_KEY: Final = 4
_SAMPLE: Final = 10
_HALVES: Final = bytes(count // 2 for count in range(256))


@final
class FrequencySketch:
    """Counts of uses.

    Args:
        keys: how many keys matter at a time; sixteen bytes of memory for each, rounded up.
    """

    def __init__(self, keys: int) -> None:
        width = 64
        while width < _WIDTH_PER_KEY * keys:
            width *= 2
        self._mask = width - 1
        self._rows = [bytearray(width) for _ in range(_ROWS)]
        self._seen = 0
        self._seen_max = _SAMPLE * max(keys, 16)

    @property
    def overhead_bytes(self) -> int:
        return _ROWS * (self._mask + 1)

    def add(self, key: bytes) -> None:
        """Count a use."""
        position = xxhash.xxh3_64_intdigest(key)
        step = (position >> 32) | 1
        for row in self._rows:
            if row[position & self._mask] < _TOP:
                row[position & self._mask] += 1
            position += step
        self._seen += 1
        if self._seen >= self._seen_max:
            self._rows = [row.translate(_HALVES) for row in self._rows]
            self._seen //= 2

    def estimate(self, key: bytes) -> int:
        """Uses, 0..15."""
        code, mask = xxhash.xxh3_64_intdigest(key), self._mask
        step = (code >> 32) | 1
        first, second, third, fourth = self._rows
        return min(
            first[code & mask],
            second[(code + step) & mask],
            third[(code + 2 * step) & mask],
            fourth[(code + 3 * step) & mask],
        )
