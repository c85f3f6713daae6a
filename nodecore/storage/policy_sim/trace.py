"""A recorded sequence of requests, in little memory: a number a request, each key once.

It holds what decoders (``decoding``) gathered and decides nothing.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Final

REQUESTS_MAX: Final = 200_000_000
KEYS_MAX: Final = 1 << 32
SIZE_BYTES_MAX: Final = 1 << 40


def _numbers() -> array[int]:
    return array("I")


@dataclass(slots=True)
class Trace:
    """Requests in order."""

    requests: array[int] = field(default_factory=_numbers)
    """Per request the position of its key in ``keys``."""
    keys: list[bytes] = field(default_factory=list)
    """Distinct keys in order of first appearance."""
    sizes: array[int] | None = None
    """Per request the size of the object in bytes; None when the trace has no sizes."""

    def __len__(self) -> int:
        return len(self.requests)

    @property
    def bytes_total(self) -> int:
        """Sum of the sizes over all requests; requests count 1 without sizes."""
        return len(self.requests) if self.sizes is None else sum(self.sizes)
