"""How this node stood towards each slot in the last document that it knew, and how it stands now.

Tells whether a complete copy is still complete. To stop being an owner and become one again takes
at least three epochs, two of them beyond a joint one; so an owner that skipped at most
``GAP_MAX - 1`` documents has been sent every write in between. A copy that is still staged (nobody
reads it) survives only within one change.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from nodecore.ids import SLOTS_COUNT, NodeId
from nodecore.placement.alike import Slots
from nodecore.placement.ring import Owners, OwnerTable
from nodecore.placement.slot_map import SlotMap, alike

GAP_MAX: Final = 2


class Standing(NamedTuple):
    """One node and one slot, before and now."""

    was_owner: bool
    was_staged: bool
    """Was to become an owner."""
    is_owner: bool
    is_staged: bool

    @property
    def is_stranger(self) -> bool:
        """Nothing of this slot belongs here."""
        return not self.is_owner and not self.is_staged

    @property
    def is_new(self) -> bool:
        """Nothing of this slot belonged here before."""
        return not self.was_owner and not self.was_staged

    def survives(self, gap: int, same_change: bool) -> bool:
        """Whether a complete copy still is, ``gap`` documents later."""
        if self.is_owner:
            return gap <= GAP_MAX and not self.is_new
        return self.is_staged and self.was_staged and same_change


def standings(
    node: NodeId, before: SlotMap | None, now: SlotMap
) -> Iterator[tuple[Slots, Standing]]:
    """The standing towards every slot, group by group."""
    cache: dict[tuple[Owners, Owners, Owners, Owners], Standing] = {}
    nobody: OwnerTable = ((),) * SLOTS_COUNT
    tables = (
        nobody if before is None else before.owners,
        nobody if before is None else before.owners_next or nobody,
        now.owners,
        now.owners_next or nobody,
    )
    for slots in alike(before, now):
        was, was_next, owners, following = (table[slots[0]] for table in tables)
        key = was, was_next, owners, following
        found = cache.get(key)
        if found is None:
            was_owner, is_owner = node in was, node in owners
            found = cache[key] = Standing(
                was_owner,
                not was_owner and node in was_next,
                is_owner,
                not is_owner and node in following,
            )
        yield slots, found
