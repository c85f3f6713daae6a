"""Direct assignment of slots: as even as whole slots allow, moving as few copies as possible.

A function of (previous owners, members): every member holds its quota of copies and is first owner
of its quota of slots, both exact to one slot. Copies move only from nodes above their quota (or
gone) to nodes below it, so a join moves nothing between old nodes. Slots keep to as many zones as
they can; where that forbids a perfect balance, the zones win. Choosing another first owner among
the owners moves no data and is done last.

Where a direct move is not possible, units are shifted along a shortest path from a node with too
much to one with too little (augmenting paths of a bipartite flow).

It needs the previous owners, so the result travels in the topology document (``assignment``);
the ring needs nothing but the members, and is the default.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from random import Random
from typing import Final, TypeAlias, final

from nodecore.ids import SLOTS_COUNT
from nodecore.placement.quotas import apportion, copies_quotas
from nodecore.placement.ring import OwnerTable
from nodecore.placement.topology import Member

_BLOCK_SLOTS: Final = 256
"""Nodes take turns in another order in each block: enough orders that the replicas of one node
spread over all others, few enough that the assignment compresses well."""

_SHIFTS_MIN: Final = 256
"""One shift moves many units; what is left after so many is a matter of single slots."""

_Edges: TypeAlias = Callable[[int], dict[int, list[int]]]
"""Node -> {other node: slots of which one unit may go from the one to the other}."""


def assign(previous: OwnerTable | None, members: Sequence[Member], copies: int) -> OwnerTable:
    """Owners of every slot, ``copies`` of them or as many as there are members.

    Args:
        previous: the owners of now, members or not; None in a new cluster.
        members: those to own slots, with weights and zones.
        copies: at least 1.
    """
    ordered = tuple(sorted(members, key=lambda member: member.node_id))
    if not ordered:
        return ((),) * SLOTS_COUNT
    return _assign(previous, ordered, copies)


@lru_cache(maxsize=2)
def _assign(previous: OwnerTable | None, ordered: tuple[Member, ...], copies: int) -> OwnerTable:
    """Remembered, because a document is drafted again when it could not be decided."""
    board = _Board(ordered, min(copies, len(ordered)), previous or ((),) * SLOTS_COUNT)
    board.fill()
    board.move_directly()
    _shift(board.copies_excess, board.copies_edges, board.move)
    board.choose_first_owners()
    names = [member.node_id for member in ordered]
    rows = list(map(tuple, board.slots))
    known = {row: tuple(names[index] for index in row) for row in dict.fromkeys(rows)}
    return tuple(map(known.__getitem__, rows))


@final
class _Board:
    """The slots under work; nodes are indexes into the ordered members."""

    def __init__(self, members: Sequence[Member], copies: int, previous: OwnerTable) -> None:
        index_of = {member.node_id: index for index, member in enumerate(members)}
        self._members = members
        self._copies = copies
        zones = sorted({member.zone for member in members})
        self._zone = [zones.index(member.zone) for member in members]
        self._zoned = len(zones) > 1
        kept = {
            owners: [index_of[node] for node in owners if node in index_of][:copies]
            for owners in dict.fromkeys(previous)
        }
        self.slots = [kept[owners].copy() for owners in previous]
        counts = [0] * len(members)
        for owners in self.slots:
            for node in owners:
                counts[node] += 1
        quotas = copies_quotas(members, copies, counts)
        self.copies_excess = [count - quota for count, quota in zip(counts, quotas, strict=True)]

        self._fresh: list[dict[int, None]] = [{} for _ in members]
        """Per node the slots that it did not hold before."""

    def fill(self) -> None:
        """Give every slot its number of owners, neediest nodes first, new zones before all."""
        excess, zone, members = self.copies_excess, self._zone, self._members
        needs = [(count >= 0, count / members[node].weight) for node, count in enumerate(excess)]
        turns = list(range(len(members)))
        for slot, owners in enumerate(self.slots):
            if slot % _BLOCK_SLOTS == 0:
                Random(slot).shuffle(turns)
            while len(owners) < self._copies:
                free = [node for node in turns if node not in owners]
                if self._zoned:
                    taken = [zone[node] for node in owners]
                    free = [node for node in free if zone[node] not in taken] or free
                chosen = min(free, key=needs.__getitem__)
                owners.append(chosen)
                excess[chosen] += 1
                needs[chosen] = excess[chosen] >= 0, excess[chosen] / members[chosen].weight
                self._fresh[chosen][slot] = None

    def move_directly(self) -> None:
        """Move copies from nodes above their quota straight to nodes below it."""
        excess = self.copies_excess
        for node in range(len(excess)):
            if excess[node] <= 0:
                continue
            for slot in self._offers(node):
                if excess[node] <= 0:
                    break
                target = self._neediest(slot, node)
                if target is not None:
                    self.move(slot, node, target)
                    excess[node] -= 1
                    excess[target] += 1

    def _offers(self, node: int) -> Iterator[int]:
        """Slots of a node in the order in which to take them away: copies that ``fill`` has just
        given cost nothing; of the others evenly spaced ones first, so that all nodes give from the
        whole circle and not from its start.
        """
        fresh = self._fresh[node]
        yield from fresh
        held = [
            slot for slot, owners in enumerate(self.slots) if node in owners and slot not in fresh
        ]
        stride = max(1, len(held) // max(1, self.copies_excess[node]))
        for offset in range(stride):
            yield from held[(node + offset) % stride :: stride]

    def _neediest(self, slot: int, source: int) -> int | None:
        best, worst = None, 0
        owners = self.slots[slot]
        for node, excess in enumerate(self.copies_excess):
            if excess < worst and node not in owners and self._keeps_zones(slot, source, node):
                best, worst = node, excess
        return best

    def _keeps_zones(self, slot: int, source: int, target: int) -> bool:
        """Whether the slot lies in no fewer zones when ``target`` takes the copy of ``source``."""
        if not self._zoned or self._zone[source] == self._zone[target]:
            return True
        others = [self._zone[node] for node in self.slots[slot] if node != source]
        return self._zone[target] not in others or self._zone[source] in others

    def copies_edges(self, node: int) -> dict[int, list[int]]:
        """Copies that ``node`` may hand to each other node."""
        edges: dict[int, list[int]] = {}
        for slot, owners in enumerate(self.slots):
            if node in owners:
                for other in range(len(self._members)):
                    if other not in owners and self._keeps_zones(slot, node, other):
                        edges.setdefault(other, []).append(slot)
        return edges

    def move(self, slot: int, source: int, target: int) -> None:
        """Hand one copy over; the place in the order of owners stays."""
        owners = self.slots[slot]
        owners[owners.index(source)] = target

    def choose_first_owners(self) -> None:
        """Reorder owners so that each node is first for its quota of slots."""
        counts = [0] * len(self._members)
        for owners in self.slots:
            counts[owners[0]] += 1
        quotas = apportion(
            SLOTS_COUNT,
            [member.weight for member in self._members],
            [(0, SLOTS_COUNT)] * len(counts),
            counts,
        )
        excess = [count - quota for count, quota in zip(counts, quotas, strict=True)]
        _shift(excess, self._first_edges, self._put_first)

    def _first_edges(self, node: int) -> dict[int, list[int]]:
        edges: dict[int, list[int]] = {}
        for slot, owners in enumerate(self.slots):
            if owners[0] == node:
                for other in owners[1:]:
                    edges.setdefault(other, []).append(slot)
        return edges

    def _put_first(self, slot: int, source: int, target: int) -> None:
        owners = self.slots[slot]
        position = owners.index(target)
        owners[0], owners[position] = target, source


def _shift(excess: list[int], edges: _Edges, move: Callable[[int, int, int], None]) -> None:
    """Shift units until no node with too much reaches one with too little (bounded)."""
    for _ in range(_SHIFTS_MIN + 4 * len(excess)):
        known = cache(edges)
        path = _shortest_path(excess, known)
        if path is None:
            return
        steps = list(pairwise(path))
        slots_of = [known(source)[target] for source, target in steps]
        units = min(excess[path[0]], -excess[path[-1]], *(len(slots) for slots in slots_of))
        moved: dict[int, None] = {}
        for (source, target), slots in zip(steps, slots_of, strict=True):
            # A slot takes part in one step of a path only: an earlier step changed its owners.
            free = [slot for slot in slots if slot not in moved]
            stride = max(1, len(free) // units)
            for slot in free[::stride][:units]:
                move(slot, source, target)
                moved[slot] = None
                excess[source] -= 1
                excess[target] += 1


def _shortest_path(excess: Sequence[int], edges: _Edges) -> list[int] | None:
    sources = [node for node, value in enumerate(excess) if value > 0]
    came_from: dict[int, int | None] = dict.fromkeys(sources)
    queue = deque(sources)
    while queue:
        node = queue.popleft()
        for other in sorted(edges(node)):
            if other in came_from:
                continue
            came_from[other] = node
            if excess[other] < 0:
                path = [other]
                step: int | None = node
                while step is not None:
                    path.append(step)
                    step = came_from[step]
                return path[::-1]
            queue.append(other)
    return None
