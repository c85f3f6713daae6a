"""Finds entries whose time has come: a wheel of one-second buckets of keys.

A key stands in one bucket, at or before the second of its expiry. Extending an expiry leaves it
there: when the bucket is drained the key moves on to its proper second, so a session that is
refreshed a thousand times a second costs nothing. Shortening an expiry, or setting one anew, adds a
reference in an earlier bucket; the old one is recognised as stale and skipped, and once stale
references outnumber the registered keys the wheel is rebuilt. Precision within the second is the
business of the lazy check on access; this module removes nothing and compares no versions.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final, final

BYTES_PER_KEY: Final = 110
"""Dictionary cell, small integer and bucket reference of one expiring key, measured."""
_STALE_MIN: Final = 1024


@final
class ExpiryWheel:
    """Expiring keys by second.

    Args:
        expiry_of: expiry of a key in wall-clock milliseconds; 0 when it never expires or is gone.
    """

    def __init__(self, expiry_of: Callable[[bytes], int]) -> None:
        self._expiry_of = expiry_of
        self._second_of: dict[bytes, int] = {}
        self._buckets: dict[int, list[bytes]] = {}
        self._seconds: list[int] = []
        self._references = 0

    def __len__(self) -> int:
        return len(self._second_of)

    @property
    def overhead_bytes(self) -> int:
        """What the wheel costs, stale references included."""
        return len(self._second_of) * BYTES_PER_KEY + 8 * (self._references - len(self._second_of))

    @property
    def references(self) -> int:
        """Keys in all buckets, stale ones included: at most 2 x len + 1024."""
        return self._references

    def add(self, key: bytes, expires_ms: int) -> None:
        """Take note of an expiry (not 0)."""
        second = expires_ms // 1000
        registered = self._second_of.get(key)
        if registered is not None and registered <= second:
            return
        self._place(key, second)
        if self._references > 2 * len(self._second_of) + _STALE_MIN:
            self._rebuild()

    def _place(self, key: bytes, second: int) -> None:
        self._second_of[key] = second
        bucket = self._buckets.get(second)
        if bucket is None:
            bucket = self._buckets[second] = []
            heapq.heappush(self._seconds, second)
        bucket.append(key)
        self._references += 1

    def _rebuild(self) -> None:
        keys = list(self._second_of)
        self.clear()
        for key in keys:
            expires_ms = self._expiry_of(key)
            if expires_ms:
                self._place(key, expires_ms // 1000)

    def clear(self) -> None:
        """Forget everything."""
        self._second_of.clear()
        self._buckets.clear()
        self._seconds.clear()
        self._references = 0

    def due(self, now_ms: int, keys_max: int) -> list[bytes]:
        """Take keys that have expired, looking at no more than ``keys_max`` references.

        The bucket of the running second is looked at too, and keys that still have a part of it
        to live stay.
        """
        expired: list[bytes] = []
        later: list[bytes] = []
        this_second = now_ms // 1000
        budget = keys_max
        while self._seconds and self._seconds[0] <= this_second and budget > 0:
            second = self._seconds[0]
            bucket = self._buckets[second]
            while bucket and budget > 0:
                key = bucket.pop()
                budget -= 1
                self._references -= 1
                if self._second_of.get(key) != second:
                    continue
                del self._second_of[key]
                expires_ms = self._expiry_of(key)
                if expires_ms == 0:
                    continue
                if expires_ms <= now_ms:
                    expired.append(key)
                else:
                    later.append(key)
            if not bucket:
                heapq.heappop(self._seconds)
                del self._buckets[second]
        for key in later:
            self._place(key, self._expiry_of(key) // 1000)
        return expired
