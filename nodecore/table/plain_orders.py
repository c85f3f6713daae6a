"""The orders of ``orders`` in plain Python, over any table that tallies queues.

Order is an ``OrderedDict`` where entries move: taking the front of a plain dict again and again walks
over the holes that removal leaves.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final, Self, final

from nodecore.table.interface import Entry
from nodecore.table.orders import USES_MAX, TalliedTable

_SLACK: Final = 64
_REFERENCE_BYTES: Final = 9
_ORDERED_BYTES: Final = 130
"""Cell and link of one entry in an OrderedDict, measured."""
_USES_BYTES: Final = 260


@final
class PlainQueue:
    """One policy queue, oldest first; see ``orders.EntryQueue``."""

    __slots__ = ("_entries", "_number", "_table")

    def __init__(self, table: TalliedTable, number: int) -> None:
        self._table = table
        self._number = number
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return self._table.queue_count(self._number)

    @property
    def references(self) -> int:
        return len(self._entries)

    @property
    def allocated_bytes(self) -> int:
        return _REFERENCE_BYTES * len(self._entries)

    def push(self, entry: Entry) -> None:
        self._table.assign(entry, self._number)
        self._entries.append(entry)
        if len(self._entries) > 2 * self._table.queue_count(self._number) + _SLACK:
            number = self._number
            self._entries = deque(entry for entry in self._entries if entry.queue == number)

    def rotate(self, entry: Entry) -> None:
        self._entries.append(entry)

    def pop(self) -> Entry | None:
        entries, number = self._entries, self._number
        while entries:
            entry = entries.popleft()
            if entry.queue == number:
                return entry
        return None

    def pop_unread(self, forgets: bool) -> Entry | None:
        # Ends after three rounds at the latest: whoever is put back has lost a read.
        while (entry := self.pop()) is not None and entry.counter:
            entry.counter = 0 if forgets else entry.counter - 1
            self._entries.append(entry)
        return entry

    def pop_below(self, reads: int, others: Self) -> Entry | None:
        while (entry := self.pop()) is not None and entry.counter >= reads:
            entry.counter = 0
            others.push(entry)
        return entry


@final
class PlainRing:
    """One policy queue with a hand; see ``orders.EntryRing``."""

    __slots__ = ("_entries", "_hand", "_number", "_table")

    def __init__(self, table: TalliedTable, number: int) -> None:
        self._table = table
        self._number = number
        self._entries: list[Entry] = []
        self._hand = 0

    @property
    def allocated_bytes(self) -> int:
        return _REFERENCE_BYTES * len(self._entries)

    def push(self, entry: Entry) -> None:
        self._table.assign(entry, self._number)
        self._entries.append(entry)
        if len(self._entries) > 2 * self._table.queue_count(self._number) + _SLACK:
            self._pack()

    def _pack(self) -> None:
        """Drop stale references; the hand stays before the same entry."""
        number = self._number
        passed = sum(entry.queue == number for entry in self._entries[: self._hand])
        self._entries = [entry for entry in self._entries if entry.queue == number]
        self._hand = passed

    def _settle(self) -> bool:
        """Move the hand to a live entry, if need be the oldest; False when it had to begin anew."""
        entries, number = self._entries, self._number
        while self._hand < len(entries):
            if entries[self._hand].queue == number:
                return True
            self._hand += 1
        self._hand = 0
        return False

    def unread(self) -> Entry | None:
        # Twice round suffices: the first round clears every count.
        ends = 0
        while ends < 3:
            if not self._settle():
                ends += 1
                continue
            entry = self._entries[self._hand]
            if entry.counter == 0:
                return entry
            entry.counter = 0
            self._hand += 1
        return None

    def advance(self) -> None:
        # Wrapping at once matters: past the end the hand would meet the next insertion first.
        if self._settle():
            self._hand += 1
            self._settle()

    def leave(self, entry: Entry) -> None:
        if self._hand < len(self._entries) and self._entries[self._hand] is entry:
            self.advance()


@final
class PlainOrder:
    """One policy queue in the order of the last touches; see ``orders.EntryOrder``."""

    __slots__ = ("_entries", "_feeder", "_number", "_table")

    bytes_per_entry = _ORDERED_BYTES

    def __init__(self, table: TalliedTable, number: int, feeder: int = 0) -> None:
        self._table = table
        self._number = number
        self._feeder = feeder
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()

    def __len__(self) -> int:
        return self._table.queue_count(self._number)

    @property
    def overhead_bytes(self) -> int:
        return _ORDERED_BYTES * len(self._entries)

    @property
    def allocated_bytes(self) -> int:
        return self.overhead_bytes

    def push(self, entry: Entry) -> None:
        self._table.assign(entry, self._number)
        entries = self._entries
        entries[entry.key] = entry
        entries.move_to_end(entry.key)
        if len(entries) > 2 * self._table.queue_count(self._number) + _SLACK:
            number = self._number
            self._entries = OrderedDict(
                (key, held) for key, held in entries.items() if held.queue == number
            )

    def touch(self, entry: Entry) -> None:
        queue = entry.queue
        if queue == self._number:
            self._entries.move_to_end(entry.key)
        elif queue and queue == self._feeder:
            self.push(entry)

    def discard(self, entry: Entry) -> None:
        """Do not wait for the turn of an entry that moves elsewhere."""
        self._entries.pop(entry.key, None)

    def oldest(self) -> Entry | None:
        entries, number = self._entries, self._number
        while entries:
            entry = next(iter(entries.values()))
            if entry.queue == number:
                return entry
            entries.popitem(last=False)
        return None


@final
class PlainUses:
    """One policy queue by the number of uses; see ``orders.UseOrder``.

    Constant time: one ordered dict per count, and the least count remembered.
    """

    bytes_per_entry = _USES_BYTES

    def __init__(self, table: TalliedTable, number: int, halve_every: int) -> None:
        self._table = table
        self._number = number
        self._halve_every = halve_every
        self._uses_of: dict[bytes, int] = {}
        self._by_uses: dict[int, OrderedDict[bytes, Entry]] = {}
        self._least = 1
        self._seen = 0

    def __len__(self) -> int:
        return self._table.queue_count(self._number)

    @property
    def overhead_bytes(self) -> int:
        return _USES_BYTES * len(self._uses_of)

    @property
    def allocated_bytes(self) -> int:
        return self.overhead_bytes

    def _place(self, entry: Entry, uses: int) -> None:
        self._uses_of[entry.key] = uses
        group = self._by_uses.get(uses)
        if group is None:
            group = self._by_uses[uses] = OrderedDict()
        group[entry.key] = entry

    def _leave(self, key: bytes) -> int:
        """Take a key out of its group; returns its uses, 0 when it is not here."""
        uses = self._uses_of.pop(key, 0)
        if uses:
            group = self._by_uses[uses]
            del group[key]
            if not group:
                del self._by_uses[uses]
        return uses

    def push(self, entry: Entry) -> None:
        self._table.assign(entry, self._number)
        self._leave(entry.key)
        self._place(entry, 1)
        self._least = 1

    def use(self, entry: Entry) -> None:
        if entry.queue != self._number:
            return
        uses = self._leave(entry.key)
        if not uses:
            return
        self._place(entry, min(uses + 1, USES_MAX))
        if uses == self._least and uses not in self._by_uses:
            self._least = uses + 1
        self._seen += 1
        if self._halve_every and self._seen >= self._halve_every * max(64, len(self)):
            self._halve()

    def _halve(self) -> None:
        self._seen = 0
        groups = sorted(self._by_uses.items())
        self._by_uses = {}
        for uses, group in groups:
            for entry in group.values():
                self._place(entry, max(1, uses // 2))
        self._least = min(self._by_uses, default=1)

    def defer(self, entry: Entry) -> None:
        if entry.queue == self._number and self._leave(entry.key):
            self._place(entry, max(self._by_uses, default=1))

    def leave(self, entry: Entry) -> None:
        if entry.queue == self._number:
            self._leave(entry.key)

    def worst(self) -> Entry | None:
        if not self._by_uses:
            return None
        if self._least not in self._by_uses:
            self._least = min(self._by_uses)
        return next(iter(self._by_uses[self._least].values()))
