"""Remembers deletions until they may be forgotten, and what was forgotten.

Every tombstone waits ``TOMBSTONE_S`` in order of its making. When one is collected, the floor of
its slot rises to its version: hints, repairs and streams at or below the floor are refused, because
the tombstone that would have overruled them is gone (a miss, never a resurrection). It removes
nothing from the table.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, final

from nodecore.limits import TOMBSTONE_S

_STALE_MIN: Final = 1024
BYTES_PER_REFERENCE: Final = 120


class _Waiting(NamedTuple):
    due_ms: int
    key: bytes
    hlc: int


@final
class Tombstones:
    """The tombstones of one store, oldest first.

    Args:
        is_current: whether (key, hlc) is still a tombstone of the table.
        count: tombstones in the table.
    """

    def __init__(self, is_current: Callable[[bytes, int], bool], count: Callable[[], int]) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._is_current = is_current
        self._count = count
        self._floors: dict[int, int] = {}

    @property
    def overhead_bytes(self) -> int:
        """What the order of waiting costs."""
        return len(self._waiting) * BYTES_PER_REFERENCE

    def add(self, key: bytes, hlc: int, now_ms: int) -> None:
        """A tombstone has come into being."""
        self._waiting.append(_Waiting(now_ms + int(TOMBSTONE_S * 1000), key, hlc))
        if len(self._waiting) > 2 * self._count() + _STALE_MIN:
            self._waiting = deque(
                entry for entry in self._waiting if self._is_current(entry.key, entry.hlc)
            )

    def due(self, now_ms: int, keys_max: int) -> list[bytes]:
        """Take the keys whose tombstones may be collected."""
        keys: list[bytes] = []
        for _ in range(keys_max):
            if not self._waiting or self._waiting[0].due_ms > now_ms:
                break
            entry = self._waiting.popleft()
            if self._is_current(entry.key, entry.hlc):
                keys.append(entry.key)
        return keys

    def oldest(self) -> bytes | None:
        """Take the oldest tombstone before its time, because memory is short."""
        while self._waiting:
            entry = self._waiting.popleft()
            if self._is_current(entry.key, entry.hlc):
                return entry.key
        return None

    def collected(self, slot: int, hlc: int) -> None:
        """A tombstone of that version was removed."""
        if hlc > self._floors.get(slot, 0):
            self._floors[slot] = hlc

    def floor(self, slot: int) -> int:
        """Clock value at or below which old news for the slot is refused; 0 = none."""
        return self._floors.get(slot, 0)

    def forget_slot(self, slot: int) -> None:
        """The slot left this node: should it return, it returns with its own tombstones."""
        self._floors.pop(slot, None)
