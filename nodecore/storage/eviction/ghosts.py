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
