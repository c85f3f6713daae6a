"""Numbers of the requests that one room of a node has under way.

An answer names the request's number and nothing else of it, and travels on whatever link its receiver
has by then. A node that restarts therefore begins at a random number: what a peer still answers to its
earlier life must not be taken for the answer to a new request.
"""

from __future__ import annotations

from collections.abc import Container
from random import Random
from typing import final


@final
class RequestNumbers:
    """Numbers from ``first`` on, ``count`` in all, over and over.

    Args:
        first: at least 1; 0 asks for no answer.
        count: how many.
        rng: says where to begin.
    """

    def __init__(self, first: int, count: int, rng: Random) -> None:
        self._first = first
        self._count = count
        self._next = rng.randrange(count)

    def take(self, taken: Container[int]) -> int:
        """The next number that is not ``taken``."""
        while True:
            number = self._first + self._next
            self._next = (self._next + 1) % self._count
            if number not in taken:
                return number
