"""What this node has to do with each slot's strong keys at one document, compared with the last one.

Pure set arithmetic. A value that was chosen is held by a majority of the N owners of its slot,
whichever they are; so the copies of N - majority + 1 owners together hold every chosen value. That many
must have streamed a slot before a learner is complete. Besides learners and owners to be, owners that
stay must copy when a change makes them fewer: what was a minority may then be all there is.

Keyspaces with different N have different owners in one slot; a node's duty is that of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from nodecore.ids import SLOTS_COUNT, NodeId
from nodecore.placement.alike import Slots
from nodecore.placement.ring import Owners, OwnerTable
from nodecore.placement.slot_map import SlotMap, alike
from nodecore.placement.topology import Keyspace, Topology

Needs = tuple[tuple[Owners, int], ...]
"""Sources, and how many of them must have streamed; all of these."""


class Copies(NamedTuple):
    """Copies of the keys of one strong keyspace."""

    before: int | None
    """At the document before; 0: not known, None: the keyspace is new."""
    now: int
    then: int
    """When the change under way is finished."""


class Duty(NamedTuple):
    """One node and the strong keys of one slot."""

    owns: bool
    joins: bool
    """It is to be an owner, and is none yet."""
    kept: bool
    """It owned before, or was to own, whatever it owns now."""
    owned: bool
    """It owned before, whatever was to be: one change of owners cannot have taken that and given it back."""
    staged: bool
    """It was to own, or owned, whatever it is to own now."""
    is_first: bool
    """There were no strong keys in this slot before."""
    was_stranger: bool
    shrinks: bool
    """It stays while the owners become fewer."""
    needs: Needs

    @property
    def is_stranger(self) -> bool:
        """Nothing of this slot belongs here."""
        return not self.owns and not self.joins

    @property
    def moves(self) -> bool:
        """What it copies is wanted before the change under way may end."""
        return self.joins or self.shrinks

    def survives(self, same_change: bool) -> bool:
        """Whether what was complete still is."""
        return self.kept and (not self.joins or (self.staged and same_change))


def copies_of(before: Topology | None, now: Topology) -> tuple[Copies, ...]:
    """The numbers of copies of strong keyspaces, before and now, each pair once."""
    found: dict[Copies, None] = {}
    for keyspace in now.keyspaces:
        if keyspace.mode == "strong":
            was = 0 if before is None else _copies_before(before, keyspace.pattern)
            found[Copies(was, keyspace.n, keyspace.n_next or keyspace.n)] = None
    return tuple(found)


def _copies_before(before: Topology, pattern: str) -> int | None:
    """Copies that keys of this pattern had; None: they were not strong."""
    prefix = pattern.rstrip("*")
    covering = [k for k in before.keyspaces if prefix.startswith(k.pattern.rstrip("*"))]
    longest: Keyspace | None = max(covering, key=lambda k: len(k.pattern), default=None)
    return None if longest is None or longest.mode != "strong" else longest.n


def duties(
    node: NodeId, copies: tuple[Copies, ...], before: SlotMap | None, now: SlotMap
) -> Iterator[tuple[Slots, Duty]]:
    """The duty towards every slot, group by group."""
    cache: dict[tuple[Owners, Owners, Owners, Owners], Duty] = {}
    nobody: OwnerTable = ((),) * SLOTS_COUNT
    tables = (
        nobody if before is None else before.owners,
        nobody if before is None else before.owners_next or nobody,
        now.owners,
        now.owners_next or nobody,
    )
    joint = now.owners_next is not None
    for slots in alike(before, now):
        was, was_next, owners, following = (table[slots[0]] for table in tables)
        key = was, was_next, owners, following
        found = cache.get(key)
        if found is None:
            found = cache[key] = _judge(node, copies, joint, *key)
        yield slots, found


def _judge(
    node: NodeId,
    copies: tuple[Copies, ...],
    joint: bool,
    owners_before: Owners,
    next_before: Owners,
    owners_now: Owners,
    next_now: Owners,
) -> Duty:
    owns = joins = shrinks = False
    kept = owned = staged = True
    needs: dict[tuple[Owners, int], None] = {}
    for pair in copies:
        owners, following = owners_now[: pair.now], next_now[: pair.then]
        was = pair.before is None or node in owners_before[: pair.before]
        was_to_be = pair.before is not None and node in next_before[: pair.before]
        mine, to_be_mine = node in owners, node in following
        if not mine and not to_be_mine:
            continue
        if mine:
            owns = True
            kept = kept and (was or was_to_be)
            owned = owned and was
            shrinks = shrinks or (joint and to_be_mine and len(following) < len(owners))
        else:
            joins = True
            staged = staged and (was or was_to_be)
        held = owners if not pair.before else owners[: pair.before]
        others = tuple(name for name in held if name != node)
        needs[others, (len(held) + 1) // 2] = None
    return Duty(
        owns,
        joins and not owns,
        kept,
        owned,
        staged,
        is_first=all(pair.before is None for pair in copies),
        was_stranger=node not in owners_before and node not in next_before,
        shrinks=shrinks,
        needs=tuple(needs),
    )
