"""Counts of uses by key, exact, and which keys have the most.

``_counts.pxi`` is the same, compiled; a property test holds both equal, the order of ties included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Protocol, TypeAlias, final

KeyCount: TypeAlias = tuple[bytes, int, int]
"""A key, how often it was used, and how many of these uses were writes."""


def weight_of(count: KeyCount) -> tuple[int, bytes]:
    """Sorts by uses, then by key."""
    return count[1], count[0]


class KeyCounts(Protocol):
    """Uses by key since the last ``clear``."""

    @property
    def total(self) -> int:
        """All uses."""

    @property
    def writes(self) -> int:
        """Those that were writes."""

    def __len__(self) -> int:
        """Different keys."""

    def add(self, touched: Iterable[bytes], written: Iterable[bytes]) -> None:
        """Count uses.

        Args:
            touched: keys, repeated.
            written: those of ``touched`` that were writes.

        Raises:
            TypeError: a key is not bytes.
        """

    def heaviest(self, count_max: int) -> list[KeyCount]:
        """The keys with the most uses: heaviest first and, of equal weight, greatest key first.

        Where the last places are tied, the keys that came first have them.
        """

    def clear(self) -> None:
        """Begin again."""


@final
class PlainKeyCounts:
    """The specification, and what runs where no compiler was at hand."""

    def __init__(self) -> None:
        self._totals: Counter[bytes] = Counter()
        self._writes: Counter[bytes] = Counter()
        self.total = 0
        self.writes = 0

    def __len__(self) -> int:
        return len(self._totals)

    def add(self, touched: Iterable[bytes], written: Iterable[bytes]) -> None:
        touched, written = list(touched), list(written)
        for key in (*touched, *written):
            if not isinstance(key, bytes):
                raise TypeError("keys must be bytes")
        self._totals.update(touched)
        self.total += len(touched)
        if written:
            self._writes.update(written)
            self.writes += len(written)
            for key in written:
                self._totals.setdefault(key, 0)

    def heaviest(self, count_max: int) -> list[KeyCount]:
        totals = self._totals
        if len(totals) <= count_max:
            heavy = [item for item in totals.items() if item[1]]
        else:
            # Most keys of a wide window count little: how many count how much tells the least count
            # that is wanted, without ordering them.
            room, least = count_max, 0
            for count, keys in sorted(Counter(totals.values()).items(), reverse=True):
                if keys > room:
                    least = count
                    break
                room -= keys
            heavy = [item for item in totals.items() if item[1] > least]
            if least:
                heavy += islice((item for item in totals.items() if item[1] == least), room)
        counts = [(key, total, self._writes[key]) for key, total in heavy]
        return sorted(counts, key=weight_of, reverse=True)

    def clear(self) -> None:
        self._totals.clear()
        self._writes.clear()
        self.total = self.writes = 0


def make_key_counts(compiled: bool) -> KeyCounts:
    """Empty counts, like the table that they serve."""
    if not compiled:
        return PlainKeyCounts()
    from nodecore.table._table import CompiledKeyCounts

    return CompiledKeyCounts()
