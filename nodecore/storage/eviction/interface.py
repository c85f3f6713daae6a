"""What an eviction policy is: it orders live entries and proposes victims; the store removes them.

A policy never removes anything and never looks at versions, owners or clocks. The store binds it to
a table, tells it of insertions, of removals that it did not propose, and (``wants_hits``) of hits in
the order in which they happened, which may be a tick late. The two low bits that the gate counts in
every entry (``Entry.counter``) need no telling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from nodecore.table.interface import Entry
from nodecore.table.orders import OrderMaker

QUEUE_SMALL: Final = 1
QUEUE_MAIN: Final = 2
"""Numbers of policy queues in the table's tallies (see ``Table.assign``), from a policy's base on."""
QUEUES_PER_POLICY: Final = 8
"""Numbers above its base that a policy may use (see ``use_queues``)."""


class PolicyTable(OrderMaker, Protocol):
    """What a policy needs of the table; trials run over one that holds keys alone."""

    @property
    def bytes_used(self) -> int:
        """As ``Table.bytes_used``."""

    def __len__(self) -> int: ...

    def assign(self, entry: Entry, queue: int) -> None:
        """As ``Table.assign``."""

    def queue_bytes(self, queue: int) -> int:
        """As ``Table.queue_bytes``."""

    def queue_count(self, queue: int) -> int:
        """As ``Table.queue_count``."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much a policy may assume to hold."""

    limit: int
    in_objects: bool = False
    """Whether ``limit`` counts entries; otherwise it counts accounting bytes."""

    def used(self, table: PolicyTable, queue: int) -> int:
        """Size of a queue in the unit of this capacity."""
        return table.queue_count(queue) if self.in_objects else table.queue_bytes(queue)


class EvictionPolicy(Protocol):
    """Order among live entries."""

    @property
    def name(self) -> str:
        """As in configuration."""

    @property
    def wants_hits(self) -> bool:
        """Whether ``on_hit`` does anything."""

    @property
    def overhead_bytes(self) -> int:
        """Memory beyond the 9 bytes an entry that the table's own figure includes."""

    @property
    def bytes_per_entry(self) -> int:
        """What one more entry adds to ``overhead_bytes``."""

    def use_queues(self, base: int) -> None:
        """Number the queues from ``base`` on; before ``bind``. Two policies that share a table
        while one hands over to the other must not share queues.
        """

    def bind(self, table: PolicyTable, rng: Random) -> None:
        """Serve this table from now on; the entries that it holds are told by ``on_insert``."""

    def before_insert(self, key: bytes) -> None:
        """A key that is not live is about to be stored, and room to be made for it."""

    def on_insert(self, entry: Entry) -> None:
        """An entry has become live; it is in queue 0."""

    @property
    def on_hit(self) -> Callable[[Entry], None]:
        """To be called with a live entry that was read or overwritten; good until the next other call."""

    def on_remove(self, entry: Entry) -> None:
        """A live entry is about to go for other reasons than eviction; it is still in its queue."""

    def victim(self) -> Entry | None:
        """Propose the entry to evict next; None when there is none.

        The caller answers every proposal by ``on_evicted`` or ``on_spared`` at once.
        """

    def on_evicted(self, entry: Entry) -> None:
        """The proposed entry is about to be removed."""

    def on_spared(self, entry: Entry) -> None:
        """The proposed entry stays (another node decides about it): propose others first."""
