"""Keys that were evicted, exactly: for capacities counted in objects, where policies are compared with
published miss counts. In bytes the table's own memories serve (see ``nodecore.table.orders``).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, final

_KEY_BYTES: Final = 200


@final
class ExactGhosts:
    """Keys in order of eviction; see ``memories.Ghosts``."""

    def __init__(self, keys_max: int) -> None:
        self._keys: OrderedDict[bytes, None] = OrderedDict()
        self._keys_max = keys_max

    @property
    def overhead_bytes(self) -> int:
        return _KEY_BYTES * len(self._keys)

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
class ExactMemory:
    """Keys and sizes in order of eviction; see ``memories.KeyMemory``."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[bytes, int] = OrderedDict()
        self.total = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def __contains__(self, key: bytes) -> bool:
        return key in self._sizes

    @property
    def overhead_bytes(self) -> int:
        return _KEY_BYTES * len(self._sizes)

    def add(self, key: bytes, size: int, total_max: int, keys_max: int) -> None:
        self.total += size - self._sizes.pop(key, 0)
        self._sizes[key] = size
        while len(self._sizes) > keys_max:
            self.total -= self._sizes.popitem(last=False)[1]
        self.shrink(total_max)

    def discard(self, key: bytes) -> None:
        self.total -= self._sizes.pop(key, 0)

    def shrink(self, total_max: int) -> None:
        while self._sizes and self.total > total_max:
            self.total -= self._sizes.popitem(last=False)[1]
