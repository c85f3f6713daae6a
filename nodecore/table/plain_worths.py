"""The orders of ``orders`` that serve one policy each, in plain Python: by worth, by expiry."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Sequence
from math import frexp
from typing import Final, final

from nodecore.table.interface import Entry
from nodecore.table.orders import USES_MAX, TalliedTable
from nodecore.table.plain_waiting import PlainWaiting

_SLACK: Final = 64
_WORTH_BYTES: Final = 300
_EXPIRY_BYTES: Final = 220
_PARTS_PER_OCTAVE: Final = 8
_LEAST_EXPONENT: Final = 40
_DEFERRED: Final = 511


def class_of(uses: int, size: int) -> int:
    """The part of an octave that uses by size falls into."""
    mantissa, exponent = frexp(uses / max(1, size))
    return (exponent + _LEAST_EXPONENT) * _PARTS_PER_OCTAVE + int(
        (mantissa * 2 - 1) * _PARTS_PER_OCTAVE
    )


@final
class PlainWorths:
    """One policy queue by worth; see ``orders.WorthOrder``.

    A class holds entries of about the same uses by size; as the floor never falls, the one that was
    touched longest ago is worth least of them.
    """

    bytes_per_entry = _WORTH_BYTES

    def __init__(self, table: TalliedTable, number: int) -> None:
        self._table = table
        self._number = number
        self._standing: dict[bytes, tuple[int, int, float]] = {}
        """By key: uses, class, worth."""
        self._classes: dict[int, OrderedDict[bytes, Entry]] = {}
        self._floor = self._highest = 0.0
        self._waiting = PlainWaiting(self._count)

    def __len__(self) -> int:
        return self._table.queue_count(self._number)

    @property
    def overhead_bytes(self) -> int:
        return _WORTH_BYTES * len(self._standing)

    @property
    def allocated_bytes(self) -> int:
        return self.overhead_bytes

    def _place(self, entry: Entry, uses: int, part: int, worth: float) -> None:
        self._standing[entry.key] = uses, part, worth
        self._highest = max(self._highest, worth)
        held = self._classes.get(part)
        if held is None:
            held = self._classes[part] = OrderedDict()
        held[entry.key] = entry

    def _quit(self, key: bytes) -> int:
        """Take a key out of its class; returns its uses, 0 when it is in none."""
        uses, part, _ = self._standing.pop(key, (0, 0, 0.0))
        if uses:
            held = self._classes[part]
            del held[key]
            if not held:
                del self._classes[part]
        return uses

    def push(self, entry: Entry) -> None:
        self._waiting.settle()
        self._table.assign(entry, self._number)
        self._quit(entry.key)
        size = entry.size
        self._place(entry, 1, class_of(1, size), self._floor + 1 / max(1, size))

    def use(self, entry: Entry) -> None:
        if entry.queue == self._number:
            self._waiting.add(entry)

    def _count(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            uses = self._quit(entry.key) if entry.queue == self._number else 0
            if uses:
                uses, size = min(uses + 1, USES_MAX), entry.size
                self._place(entry, uses, class_of(uses, size), self._floor + uses / max(1, size))

    def defer(self, entry: Entry) -> None:
        self._waiting.settle()
        if entry.queue == self._number:
            uses = self._quit(entry.key)
            if uses:
                self._place(entry, uses, _DEFERRED, self._highest)

    def leave(self, entry: Entry) -> None:
        self._waiting.settle()
        if entry.queue == self._number:
            self._quit(entry.key)

    def evicted(self, entry: Entry) -> None:
        self._waiting.settle()
        if entry.queue == self._number:
            _, part, worth = self._standing.get(entry.key, (0, _DEFERRED, 0.0))
            if part != _DEFERRED:
                self._floor = max(self._floor, worth)
            self._quit(entry.key)

    def worst(self) -> Entry | None:
        self._waiting.settle()
        worst, least = None, 0.0
        for _, held in sorted(self._classes.items()):
            entry = next(iter(held.values()))
            worth = self._standing[entry.key][2]
            if worst is None or worth < least:
                worst, least = entry, worth
        return worst


@final
class PlainExpiries:
    """One policy queue by expiry; see ``orders.ExpiryOrder``."""

    bytes_per_entry = _EXPIRY_BYTES

    def __init__(self, table: TalliedTable, number: int) -> None:
        self._table = table
        self._number = number
        self._heap: list[tuple[int, int, Entry]] = []
        self._never: OrderedDict[bytes, Entry] = OrderedDict()
        self._entered: dict[bytes, tuple[int, int]] = {}
        """By key: expiry when it was entered, and the number that it has in the heap, 0 outside."""
        self._last = 0

    def __len__(self) -> int:
        return self._table.queue_count(self._number)

    @property
    def overhead_bytes(self) -> int:
        return _EXPIRY_BYTES * len(self._entered)

    @property
    def allocated_bytes(self) -> int:
        return self.overhead_bytes

    def _is_current(self, item: tuple[int, int, Entry]) -> bool:
        return self._entered.get(item[2].key, (0, 0))[1] == item[1]

    def _enter(self, entry: Entry, last: bool) -> None:
        key, expires_ms = entry.key, entry.expires_ms
        self._never.pop(key, None)
        if last:
            self._entered[key] = expires_ms, 0
            self._never[key] = entry
            return
        self._last += 1
        self._entered[key] = expires_ms, self._last
        heapq.heappush(self._heap, (expires_ms, self._last, entry))
        if len(self._heap) > 2 * len(self._entered) + _SLACK:
            self._heap = [item for item in self._heap if self._is_current(item)]
            heapq.heapify(self._heap)

    def push(self, entry: Entry) -> None:
        self._table.assign(entry, self._number)
        self._enter(entry, last=not entry.expires_ms)

    def review(self, entry: Entry) -> None:
        if entry.queue == self._number and self._entered[entry.key][0] != entry.expires_ms:
            self._enter(entry, last=not entry.expires_ms)

    def defer(self, entry: Entry) -> None:
        if entry.queue == self._number:
            self._enter(entry, last=True)

    def leave(self, entry: Entry) -> None:
        if entry.queue == self._number:
            self._never.pop(entry.key, None)
            self._entered.pop(entry.key, None)

    def worst(self) -> Entry | None:
        while self._heap:
            if self._is_current(self._heap[0]):
                return self._heap[0][2]
            heapq.heappop(self._heap)
        return next(iter(self._never.values()), None)
