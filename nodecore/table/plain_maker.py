"""Makes plain orders and memories for a table: its base where nothing is compiled."""

from __future__ import annotations

from collections.abc import Callable

from nodecore.table.balanced import BalancedTable
from nodecore.table.orders import SegmentedTable, TalliedTable
from nodecore.table.plain_balance import PlainBalance
from nodecore.table.plain_ghosts import PlainGhosts, PlainMemory, PlainSketch
from nodecore.table.plain_orders import PlainOrder, PlainQueue, PlainRing, PlainUses
from nodecore.table.plain_segments import PlainSegments
from nodecore.table.plain_worths import PlainExpiries, PlainWorths


class PlainOrders:
    """Makes the orders of a table that derives from it."""

    notes_bytes: int = 0

    def entry_queue(self: TalliedTable, queue: int) -> PlainQueue:
        """As ``Table.entry_queue``."""
        return PlainQueue(self, queue)

    def entry_ring(self: TalliedTable, queue: int) -> PlainRing:
        """As ``Table.entry_ring``."""
        return PlainRing(self, queue)

    def entry_order(self: TalliedTable, queue: int, feeder: int = 0) -> PlainOrder:
        """As ``Table.entry_order``."""
        return PlainOrder(self, queue, feeder)

    def use_order(self: TalliedTable, queue: int, halve_every: int) -> PlainUses:
        """As ``Table.use_order``."""
        return PlainUses(self, queue, halve_every)

    def worth_order(self: TalliedTable, queue: int) -> PlainWorths:
        """As ``Table.worth_order``."""
        return PlainWorths(self, queue)

    def expiry_order(self: TalliedTable, queue: int) -> PlainExpiries:
        """As ``Table.expiry_order``."""
        return PlainExpiries(self, queue)

    def segmented_order(
        self: SegmentedTable, queues: tuple[int, int, int], keys: int, in_objects: bool
    ) -> PlainSegments:
        """As ``Table.segmented_order``."""
        return PlainSegments(self, queues, keys, in_objects)

    def balanced_order(self: BalancedTable, queues: tuple[int, int], limit: int) -> PlainBalance:
        """As ``Table.balanced_order``."""
        return PlainBalance(self, queues, limit, (PlainMemory(), PlainMemory()), in_objects=False)

    def ghosts(self, keys_max: Callable[[], int]) -> PlainGhosts:
        """As ``Table.ghosts``."""
        return PlainGhosts(keys_max)

    def key_memory(self) -> PlainMemory:
        """As ``Table.key_memory``."""
        return PlainMemory()

    def sketch(self, keys: int) -> PlainSketch:
        """As ``Table.sketch``."""
        return PlainSketch(keys)
