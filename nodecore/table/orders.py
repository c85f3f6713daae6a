"""Orders of entries and memories of keys that a table offers to eviction policies.

``plain_orders`` and ``plain_ghosts`` (plain Python, the specification, over any table) and the
compiled table's own implement exactly this; a property test holds them equal. None of them removes an
entry or decides which one goes: policies do.

Entries may leave a queue or the table behind an order's back: what is not in the order's queue any
more is skipped when its turn comes. Only ``EntryRing`` and ``UseOrder`` must be told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, Self

from nodecore.table.interface import Entry

USES_MAX: Final = 65_535
"""Where uses stop being counted."""


class TalliedTable(Protocol):
    """What orders need of their table."""

    def assign(self, entry: Entry, queue: int) -> None:
        """As ``Table.assign``."""

    def queue_count(self, queue: int) -> int:
        """As ``Table.queue_count``."""


class EntryQueue(Protocol):
    """One policy queue, oldest first."""

    def __len__(self) -> int: ...

    @property
    def references(self) -> int:
        """Entries held, stale ones included: never more than twice the live ones and a constant."""

    @property
    def allocated_bytes(self) -> int:
        """Memory, of which 9 bytes an entry are in the table's figure for an entry."""

    def push(self, entry: Entry) -> None:
        """Assign the entry to this queue and append it as the newest.

        Raises:
            ValueError: as ``Table.assign``.
        """

    def rotate(self, entry: Entry) -> None:
        """Put back an entry that ``pop`` gave, as the newest."""

    def pop(self) -> Entry | None:
        """Take the oldest live entry; it stays in the table's tally until it is assigned or removed."""

    def pop_unread(self, forgets: bool) -> Entry | None:
        """Take the oldest live entry whose ``counter`` is 0. Those before it become the newest, and
        each loses one of its reads, or all when ``forgets``.
        """

    def pop_below(self, reads: int, others: Self) -> Entry | None:
        """Take the oldest live entry whose ``counter`` is below ``reads``. Those before it move to
        ``others``, a queue of the same table, with their counters cleared.
        """


class EntryRing(Protocol):
    """One policy queue with a hand that walks from old to new and leaves entries where they are."""

    @property
    def allocated_bytes(self) -> int:
        """As ``EntryQueue.allocated_bytes``."""

    def push(self, entry: Entry) -> None:
        """As ``EntryQueue.push``."""

    def unread(self) -> Entry | None:
        """The first entry from the hand on whose ``counter`` is 0, where the hand stops; those
        before it have theirs cleared.
        """

    def advance(self) -> None:
        """Move the hand past the entry where it stands; behind the newest comes the oldest."""

    def leave(self, entry: Entry) -> None:
        """An entry is about to leave the queue."""


class EntryOrder(Protocol):
    """One policy queue in the order of the last touches."""

    def __len__(self) -> int: ...

    @property
    def overhead_bytes(self) -> int:
        """Memory that it and the table's notes take at most, beyond the table's figure for an entry."""

    @property
    def bytes_per_entry(self) -> int:
        """What one more entry adds to ``overhead_bytes``."""

    @property
    def allocated_bytes(self) -> int:
        """Memory without notes: the measure of ``overhead_bytes``, which does not grow by leaps."""

    def push(self, entry: Entry) -> None:
        """Assign the entry to this queue, from whichever it was in, as the newest.

        Raises:
            ValueError: as ``Table.assign``.
        """

    def touch(self, entry: Entry) -> None:
        """``push`` an entry of this queue, or of the one that feeds it; others are left alone."""

    def oldest(self) -> Entry | None:
        """The entry that was touched longest ago; it stays."""


class UseOrder(Protocol):
    """One policy queue by the number of uses; among equals, who has had so many for longest is first."""

    def __len__(self) -> int: ...

    @property
    def overhead_bytes(self) -> int:
        """As ``EntryOrder.overhead_bytes``."""

    @property
    def bytes_per_entry(self) -> int:
        """As ``EntryOrder.bytes_per_entry``."""

    @property
    def allocated_bytes(self) -> int:
        """As ``EntryOrder.allocated_bytes``."""

    def push(self, entry: Entry) -> None:
        """Assign the entry to this queue, used once.

        Raises:
            ValueError: as ``Table.assign``.
        """

    def use(self, entry: Entry) -> None:
        """Count a use of an entry of this queue; others are left alone."""

    def defer(self, entry: Entry) -> None:
        """Let an entry count as the latest among the most used."""

    def leave(self, entry: Entry) -> None:
        """An entry is about to leave the queue or the table."""

    def worst(self) -> Entry | None:
        """The entry with the fewest uses; it stays."""


class WorthOrder(Protocol):
    """One policy queue by worth: a floor, that of the last evicted one, and uses by size.

    What is worth least is found to within an eighth of its uses by size.
    """

    def __len__(self) -> int: ...

    @property
    def overhead_bytes(self) -> int:
        """As ``EntryOrder.overhead_bytes``."""

    @property
    def bytes_per_entry(self) -> int:
        """As ``EntryOrder.bytes_per_entry``."""

    @property
    def allocated_bytes(self) -> int:
        """As ``EntryOrder.allocated_bytes``."""

    def push(self, entry: Entry) -> None:
        """Assign the entry to this queue, used once.

        Raises:
            ValueError: as ``Table.assign``.
        """

    def use(self, entry: Entry) -> None:
        """Count a use of an entry of this queue; others are left alone."""

    def defer(self, entry: Entry) -> None:
        """Let an entry be worth as much as any until it is used again."""

    def leave(self, entry: Entry) -> None:
        """An entry is about to leave the queue or the table."""

    def evicted(self, entry: Entry) -> None:
        """An entry leaves because it is worth least: that is the floor from now on."""

    def worst(self) -> Entry | None:
        """The entry that is worth least; it stays."""


class ExpiryOrder(Protocol):
    """One policy queue by expiry; what never expires comes last, oldest first."""

    def __len__(self) -> int: ...

    @property
    def overhead_bytes(self) -> int:
        """As ``EntryOrder.overhead_bytes``."""

    @property
    def bytes_per_entry(self) -> int:
        """As ``EntryOrder.bytes_per_entry``."""

    @property
    def allocated_bytes(self) -> int:
        """As ``EntryOrder.allocated_bytes``."""

    def push(self, entry: Entry) -> None:
        """Assign the entry to this queue.

        Raises:
            ValueError: as ``Table.assign``.
        """

    def review(self, entry: Entry) -> None:
        """An entry of this queue may have another expiry; others are left alone."""

    def defer(self, entry: Entry) -> None:
        """Let an entry count as the latest that never expires, until its expiry changes."""

    def leave(self, entry: Entry) -> None:
        """An entry is about to leave the queue or the table."""

    def worst(self) -> Entry | None:
        """The entry that expires soonest; it stays."""


class Ghosts(Protocol):
    """A bounded memory of keys, oldest forgotten first."""

    @property
    def overhead_bytes(self) -> int:
        """Memory."""

    def add(self, key: bytes) -> None:
        """Remember a key; the oldest is forgotten when there is no room."""

    def take(self, key: bytes) -> bool:
        """Whether the key was remembered; it is forgotten."""


class KeyMemory(Protocol):
    """Keys with the size that each had, oldest first."""

    @property
    def total(self) -> int:
        """Sum of the sizes."""

    @property
    def overhead_bytes(self) -> int:
        """Memory."""

    def __len__(self) -> int: ...

    def __contains__(self, key: bytes) -> bool: ...

    def add(self, key: bytes, size: int, total_max: int, keys_max: int) -> None:
        """Remember a key as the newest; the oldest are forgotten until the sizes sum up to
        ``total_max`` and ``keys_max`` are left at most.
        """

    def discard(self, key: bytes) -> None:
        """Forget a key if it is remembered."""

    def shrink(self, total_max: int) -> None:
        """Forget the oldest until the sizes sum up to ``total_max`` at most."""


class FrequencySketch(Protocol):
    """How often keys were asked for lately, in a little memory: a count-min sketch with ageing.

    Four counters a key that stop at 15; once as many uses were counted as ten times the keys that it
    is made for, all are halved. Estimates are never too low between two halvings, and seldom too high.
    Cormode and Muthukrishnan, 2005; ageing as in Einziger, Friedman, Manes, "TinyLFU", 2017.
    """

    @property
    def overhead_bytes(self) -> int:
        """Memory: sixteen bytes a key, rounded up."""

    def add(self, key: bytes) -> None:
        """Count a use."""

    def estimate(self, key: bytes) -> int:
        """Uses, 0..15."""


class OrderMaker(Protocol):
    """A table, as far as it makes orders of its entries."""

    @property
    def notes_bytes(self) -> int:
        """Memory of what the table notes beside its entries while there is an order by touches or uses."""

    def entry_queue(self, queue: int) -> EntryQueue:
        """The entries of a policy queue, first in, first out."""

    def entry_ring(self, queue: int) -> EntryRing:
        """The entries of a policy queue under a hand."""

    def entry_order(self, queue: int, feeder: int = 0) -> EntryOrder:
        """The entries of a policy queue by their last touch; touched ones of the queue ``feeder`` join it."""

    def use_order(self, queue: int, halve_every: int) -> UseOrder:
        """The entries of a policy queue by their uses.

        Args:
            queue: its number.
            halve_every: uses per entry after which all counts are halved, once is the least; 0: never.
        """

    def worth_order(self, queue: int) -> WorthOrder:
        """The entries of a policy queue by their worth."""

    def expiry_order(self, queue: int) -> ExpiryOrder:
        """The entries of a policy queue by their expiry."""

    def ghosts(self, keys_max: Callable[[], int]) -> Ghosts:
        """A memory of keys in 8 bytes each.

        Args:
            keys_max: how many of the last keys count, asked now and then because it follows the number
                of resident entries.
        """

    def key_memory(self) -> KeyMemory:
        """A memory of keys and sizes."""

    def sketch(self, keys: int) -> FrequencySketch:
        """A sketch for so many keys that matter at a time."""
