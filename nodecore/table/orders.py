"""Orders of entries that a table offers to eviction policies, with the memories of ``memories``.

The ``plain_`` modules (plain Python, the specification, over any table) and the compiled table's own
implement exactly this; a property test holds them equal. None of them removes an entry or decides
which one goes: policies do.

Entries may leave a queue or the table behind an order's back: what is not in the order's queue any
more is skipped when its turn comes. Orders that have a ``leave`` must be told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, Self

from nodecore.table.memories import FrequencySketch, Ghosts, KeyMemory

if TYPE_CHECKING:
    from nodecore.table.balanced import BalancedOrder
    from nodecore.table.interface import Entry

USES_MAX: Final = 65_535
"""Where uses stop being counted."""
USES_WAITING_MAX: Final = 12
"""Uses that an order by worth, a segmented or a balanced one counts together, or before it is asked or told
anything else."""


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


class MeasuredOrder(Protocol):
    """What all orders tell of themselves."""

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


class EntryOrder(MeasuredOrder, Protocol):
    """One policy queue in the order of the last touches."""

    def push(self, entry: Entry) -> None:
        """Assign the entry to this queue, from whichever it was in, as the newest.

        Raises:
            ValueError: as ``Table.assign``.
        """

    def touch(self, entry: Entry) -> None:
        """``push`` an entry of this queue, or of the one that feeds it; others are left alone."""

    def oldest(self) -> Entry | None:
        """The entry that was touched longest ago; it stays."""


class UseOrder(MeasuredOrder, Protocol):
    """One policy queue by the number of uses; among equals, who has had so many for longest is first."""

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


class WorthOrder(MeasuredOrder, Protocol):
    """One policy queue by worth: a floor, that of the last evicted one, and uses by size.

    What is worth least is found to within an eighth of its uses by size. The size that counts is the
    one when a use is counted (see ``USES_WAITING_MAX``).
    """

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


class ExpiryOrder(MeasuredOrder, Protocol):
    """One policy queue by expiry; what never expires comes last, oldest first."""

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


class SegmentedOrder(Protocol):
    """Three policy queues by their last touches: a window for newcomers; probation, for what leaves the
    window and the protected segment; and the protected segment, for what was touched on probation.
    """

    window_max: int
    """What the window may hold, in entries or accounting bytes."""
    protected_max: int
    """The same of the protected segment."""

    @property
    def sketch(self) -> FrequencySketch:
        """Counts every key that is pushed or touched (see ``touch``)."""

    @property
    def overhead_bytes(self) -> int:
        """As ``MeasuredOrder.overhead_bytes``, with the sketch."""

    @property
    def bytes_per_entry(self) -> int:
        """As ``MeasuredOrder.bytes_per_entry``."""

    def push(self, entry: Entry) -> None:
        """A newcomer enters the window, whose oldest go on probation.

        Raises:
            ValueError: as ``Table.assign``.
        """

    def touch(self, entry: Entry) -> None:
        """A use: the entry becomes the newest of its segment, or of the protected one, whose oldest
        go on probation; or soon (``USES_WAITING_MAX``). Keys of other queues are counted all the same.
        """

    def victim(self, often: int, lets_in: Callable[[], bool]) -> Entry | None:
        """Who has to go; to be removed, or answered by ``spared``, at once.

        The oldest of a full window goes on probation if its key was asked for more often than that
        of the oldest there, the request that brought it not counted; otherwise it has to go itself.

        Args:
            often: uses from which on ``lets_in`` is asked about a loser.
            lets_in: whether the loser wins all the same.
        """

    def spared(self, entry: Entry) -> None:
        """The victim stays, as the newest of its segment."""

    def take_uses(self) -> int:
        """Touches since the last call."""


class SegmentedTable(TalliedTable, Protocol):
    """What segments need of their table."""

    def queue_bytes(self, queue: int) -> int:
        """As ``Table.queue_bytes``."""


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

    def segmented_order(
        self, queues: tuple[int, int, int], keys: int, in_objects: bool
    ) -> SegmentedOrder:
        """The entries of three policy queues.

        Args:
            queues: numbers of window, probation and protected segment.
            keys: for the sketch: how many matter at a time.
            in_objects: whether the limits count entries; otherwise accounting bytes.
        """

    def balanced_order(self, queues: tuple[int, int], limit: int) -> BalancedOrder:
        """The entries of two policy queues.

        Args:
            queues: numbers of the queue of what was used once, and of what was used again.
            limit: what all entries may take, in accounting bytes.
        """

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
