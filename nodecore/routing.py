"""Where requests go at one epoch: routes by slot and policy, and which peers can be called now.

A :class:`Route` joins the owners of a slot (now and, in a joint epoch, to be) with the policy of a
keyspace, quorums capped by the number of owners. Routes are shared by all slots with the same
owners, so that a batch is grouped by comparing references. It decides neither what is sent nor
what an answer means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import cast, final

from nodecore.ids import SLOTS_COUNT, Epoch, NodeId
from nodecore.placement.alike import fill
from nodecore.placement.ring import Owners
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Keyspace, Topology
from nodecore.replication.quorum import quorum
from nodecore.requests import Level


@final
class Route:
    """Owners and quorums of a group of slots under one keyspace."""

    __slots__ = (
        "_fences",
        "_reads",
        "_writes",
        "absences",
        "keyspace",
        "local",
        "n",
        "owners",
        "owners_next",
        "ruled",
        "targets",
    )  # fmt: skip

    def __init__(
        self,
        node: NodeId,
        owners: tuple[NodeId, ...],
        owners_next: tuple[NodeId, ...] | None,
        keyspace: Keyspace,
    ) -> None:
        self.keyspace = keyspace
        self.owners = owners[: keyspace.n]
        """Owners that serve reads, first owner first."""
        copies_next = keyspace.n_next or keyspace.n
        following = None if owners_next is None else owners_next[:copies_next]
        same = following is None or sorted(following) == sorted(self.owners)
        self.owners_next = None if same else following
        """In a joint epoch the owners to be, when they differ."""
        self.ruled = keyspace.mode != "eventual" or keyspace.on_partition != "available"
        """The policy must be asked before this route is used."""
        self.n = len(self.owners)
        sure = keyspace.w_past or keyspace.w
        self.absences = _absences(sure, self.n)
        """Owners that must know nothing of a key before it is a miss."""
        extra = tuple(name for name in self.owners_next or () if name not in self.owners)
        self.targets = self.owners + extra
        """Everybody that a write is sent to."""
        self.local = node in self.owners
        self._reads = [_needed(level, keyspace.r, self.n) for level in Level]
        self._writes = [_needed(level, keyspace.w, self.n) for level in Level]
        self._fences: tuple[list[int], int] = [0] * len(Level), 0
        if self.owners_next is not None:
            count = len(self.owners_next)
            needed = [_needed(level, keyspace.r, count) for level in Level]
            # A single copy that is found is no promise in any epoch.
            hits = [reads if reads > 1 else 0 for reads in needed]
            self._fences = hits, _absences(sure, count)

    def writes_needed(self, level: Level, count: int) -> int:
        """Acknowledgements that a write needs from a set of ``count`` owners."""
        return self._writes[level] if count == self.n else _needed(level, self.keyspace.w, count)

    def reads_needed(self, level: Level) -> int:
        """Answers that a hit needs."""
        return self._reads[level]

    def fences_needed(self, level: Level, *, found: bool) -> int:
        """Owners to be that must have answered, whatever they know, before a read is over.

        One that has heard of the end of the change answers no more at this epoch; until so many have
        answered, no write can have been acknowledged by owners to be alone.
        """
        return self._fences[0][level] if found else self._fences[1]


def _absences(acknowledged: int, count: int) -> int:
    """Of ``count`` owners, those among which one must know of what so many have acknowledged."""
    return count - max(1, min(acknowledged, count)) + 1


def _needed(level: Level, default: int, count: int) -> int:
    match level:
        case Level.ONE:
            return 1
        case Level.QUORUM:
            return quorum(count)
        case Level.ALL:
            return count
        case _:
            return max(1, min(default, count))


class Routing:
    """All routes of one topology document, as one node sees them."""

    def __init__(self, node: NodeId, topology: Topology, slot_map: SlotMap) -> None:
        self.epoch: Epoch = topology.epoch
        self.topology = topology
        self.slot_map = slot_map
        self._node = node
        keyspaces = sorted(
            topology.keyspaces, key=lambda space: (-len(space.pattern), space.pattern)
        )
        self._special: list[tuple[bytes, list[Route]]] = []
        self.default: list[Route] = []
        """Route of each slot under the default keyspace."""
        self._prefixes: tuple[bytes, ...] = ()
        for keyspace in keyspaces:
            routes = self._compile(keyspace)
            prefix = keyspace.pattern.rstrip("*").encode()
            if prefix:
                self._special.append((prefix, routes))
            else:
                self.default = routes
        self._prefixes = tuple(prefix for prefix, _routes in self._special)
        self._flags: bytes | None = None

    def _compile(self, keyspace: Keyspace) -> list[Route]:
        owners, following = self.slot_map.owners, self.slot_map.owners_next
        made: dict[tuple[Owners, Owners | None], Route] = {}
        routes: list[Route | None] = [None] * SLOTS_COUNT
        for slots in self.slot_map.groups:
            pair = owners[slots[0]], None if following is None else following[slots[0]]
            route = made.get(pair)
            if route is None:
                route = made[pair] = Route(self._node, *pair, keyspace)
            fill(routes, slots, route)
        return cast("list[Route]", routes)

    def route(self, key: bytes, slot: int) -> Route:
        """Route of one key."""
        if key.startswith(self._prefixes):
            for prefix, routes in self._special:
                if key.startswith(prefix):
                    return routes[slot]
        return self.default[slot]

    @property
    def strong_prefixes(self) -> tuple[bytes, ...]:
        """What keys of strong keyspaces begin with; not every key that does is one, see ``is_strong``."""
        if self.default[0].keyspace.mode == "strong":
            return (b"",)
        return tuple(
            prefix for prefix, routes in self._special if routes[0].keyspace.mode == "strong"
        )

    def is_strong(self, key: bytes) -> bool:
        """Whether the key belongs to a strong keyspace."""
        return self.route(key, 0).keyspace.mode == "strong"

    def group(self, keys: Sequence[bytes], slots: Sequence[int]) -> dict[Route, list[int]]:
        """Positions of the keys by route, in order of first appearance."""
        routes: Sequence[Route] = list(map(self.default.__getitem__, slots))
        if any(map(bytes.startswith, keys, repeat(self._prefixes))):
            routes = [self.route(key, slot) for key, slot in zip(keys, slots, strict=True)]
        groups: dict[Route, list[int]] = {}
        for index, route in enumerate(routes):
            found = groups.get(route)
            if found is None:
                groups[route] = [index]
            else:
                found.append(index)
        return groups

    @property
    def guarded_prefixes(self) -> list[bytes]:
        """Prefixes of keyspaces that the gate must not serve."""
        return [prefix for prefix, routes in self._special if not _plain(routes[0].keyspace)]

    @property
    def default_plain(self) -> bool:
        """Whether the gate may serve the default keyspace."""
        return _plain(self.default[0].keyspace)

    def gate_flags(self, unfilled: bytes | None) -> bytes:
        """Bits for ``Table.set_slots``; a slot that is still being refilled answers nothing inline.

        ``unfilled``: 16384 bytes, 255 where the slot must stay closed, else 0; None: no slot.
        """
        if self._flags is None:
            copies = min(routes[0].keyspace.n for routes in self._all_routes)
            self._flags = self.slot_map.flags(self._node, copies)
        if unfilled is None:
            return self._flags
        flags = int.from_bytes(self._flags, "big")
        closed = int.from_bytes(unfilled, "big")
        return (flags & ~closed).to_bytes(len(unfilled), "big")

    @property
    def _all_routes(self) -> list[list[Route]]:
        return [self.default, *(routes for _prefix, routes in self._special)]


def _plain(keyspace: Keyspace) -> bool:
    """Whether a hit at one owner is an answer and nothing else watches the keyspace."""
    return (
        keyspace.mode == "eventual"
        and keyspace.r == 1
        and not keyspace.write_through
        and keyspace.ttl_ms == 0
        and keyspace.on_partition == "available"
    )


class Peers:
    """Which peers can be called now: alive by membership, linked, and let through by their breaker.

    Args:
        node: this node.
        alive: membership's word.
        allows: the breaker's word.
    """

    def __init__(
        self, node: NodeId, alive: Callable[[NodeId], bool], allows: Callable[[NodeId], bool]
    ) -> None:
        self.node = node
        self._alive = alive
        self._allows = allows
        self._linked: dict[NodeId, bool] = {}
        self._callable: dict[NodeId, bool] = {}

    def on_link(self, peer: NodeId, up: bool) -> None:
        """The data link has come or gone."""
        self._linked[peer] = up
        self._callable.clear()

    def changed(self) -> None:
        """Membership or a breaker has changed: ask again."""
        self._callable.clear()

    def linked(self, peer: NodeId) -> bool:
        """Whether the data link is up."""
        return self._linked.get(peer, False)

    def live(self, peer: NodeId) -> bool:
        """Alive and linked, whatever the breaker says; always true of this node."""
        return peer == self.node or (self._linked.get(peer, False) and self._alive(peer))

    def can_call(self, peer: NodeId) -> bool:
        """Whether client work may be sent to ``peer`` now."""
        known = self._callable.get(peer)
        if known is None:
            known = self._callable[peer] = self.live(peer) and self._allows(peer)
        return known

    def reachable(self, peer: NodeId) -> bool:
        """``can_call``, or this node itself."""
        return peer == self.node or self.can_call(peer)
