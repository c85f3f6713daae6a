"""Walks the keys of slots page by page while writes go on.

The keys of a slot are ordered by a 48-bit hash, which never changes, so a page can begin where the
last one ended whatever came or went in between: a key that is there all the time is returned
exactly once per walk. A cursor is slot and hash in one number; 0 begins, and 0 ends. Large slots
are ordered once per walk and the order is kept for a few slots at a time. Liveness is the caller's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final, final

import xxhash

from nodecore.table.interface import Table

HASH_BITS: Final = 48
_ORDERS_KEPT: Final = 4
_SMALL: Final = 512
"""Up to this many keys ordering anew is cheap."""


def hash_of(key: bytes) -> int:
    """Position of a key within its slot."""
    return xxhash.xxh3_64_intdigest(key) >> (64 - HASH_BITS)


@final
class SlotPages:
    """Orders of slots."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._orders: dict[int, list[tuple[int, bytes]]] = {}

    def _order(self, slot: int, fresh: bool) -> list[tuple[int, bytes]]:
        if not fresh and slot in self._orders:
            return self._orders[slot]
        self._orders.pop(slot, None)
        order = sorted((hash_of(key), key) for key in self._table.slot_keys(slot))
        if len(order) > _SMALL:
            if len(self._orders) >= _ORDERS_KEPT:
                del self._orders[next(iter(self._orders))]
            self._orders[slot] = order
        return order

    def after(self, slot: int, key: bytes | None, count: int) -> list[bytes]:
        """Up to ``count`` keys that follow ``key``; from the first when it is None."""
        order = self._order(slot, fresh=key is None)
        start = 0 if key is None else bisect_right(order, (hash_of(key), key))
        return [entry[1] for entry in order[start : start + count]]

    def from_hash(self, slot: int, least: int, count: int) -> tuple[list[bytes], int]:
        """At least ``count`` keys from that hash on (equal hashes stay together), and the hash at
        which to go on; 0 when the slot is done.
        """
        order = self._order(slot, fresh=least == 0)
        start = bisect_left(order, (least, b""))
        end = min(start + count, len(order))
        while start < end < len(order) and order[end][0] == order[end - 1][0]:
            end += 1
        keys = [entry[1] for entry in order[start:end]]
        if end >= len(order):
            self._orders.pop(slot, None)
            return keys, 0
        return keys, order[end][0]
