"""Which key comes next: a Zipf distribution over a fixed population, by inverse transform.

Rank 1 is the hottest. Ranks are spread over key names by a seeded shuffle, so that hot keys do not
have neighbouring names. Drawing costs one binary search.
"""

from __future__ import annotations

import itertools
import random
from bisect import bisect_left
from typing import final

PREFIX = "load:"


def key_name(number: int) -> bytes:
    """The key of that number."""
    return f"{PREFIX}{number}".encode()


@final
class KeyChooser:
    """Draws key numbers 0..keys-1."""

    def __init__(self, keys: int, zipf: float, rng: random.Random) -> None:
        self._rng = rng
        self._numbers = list(range(keys))
        # A shuffle of its own: changing the exponent must not change which keys are hot.
        random.Random(keys).shuffle(self._numbers)
        weights = ((rank + 1.0) ** -zipf for rank in range(keys))
        self._cumulative = list(itertools.accumulate(weights))

    def draw(self) -> int:
        """The number of the next key."""
        point = self._rng.random() * self._cumulative[-1]
        return self._numbers[bisect_left(self._cumulative, point)]

    def hottest(self, count: int) -> list[int]:
        """Numbers of the most popular keys, hottest first."""
        return self._numbers[:count]
