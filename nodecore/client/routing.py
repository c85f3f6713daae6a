"""Where the client sends a key: the slot map, which nodes answer, and groups of keys by node.

A key goes to the first owner of its slot that is not known to be down; that owner coordinates the
request, so that a client reads its own writes. A node that failed is avoided for a while and then
tried again. It decides nothing about retries or time-outs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from nodecore.ids import SLOTS_COUNT
from nodecore.limits import MEMBERS_MAX
from nodecore.placement.hashing import slot_of
from nodecore.table import make_table
from transport.messages import ClientRouteTable

DOWN_S: Final = 1.0
"""How long a node that failed is avoided: about the time that a cluster takes to notice."""


class MalformedRoutes(ValueError):  # noqa: N818 - the name says what it is
    """A route table that breaks its own rules."""


@final
@dataclass(frozen=True, slots=True)
class Routes:
    """One route table."""

    epoch: int
    nodes: tuple[str, ...]
    addresses: tuple[str, ...]
    """Native ``host:port``, in order of ``nodes``."""
    up: tuple[bool, ...]
    """Whether the node that answered routes requests to it."""
    owners: tuple[tuple[int, ...], ...]
    """Per slot indexes into ``nodes``, first owner first."""

    @classmethod
    def parse(cls, table: ClientRouteTable) -> Routes:
        """Check and take a route table.

        Raises:
            MalformedRoutes: wrong shape, an unknown index, a slot that nobody or two ranges name.
        """
        members, ranges = table.members, table.ranges
        if not isinstance(members, list) or not isinstance(ranges, list):
            raise MalformedRoutes("members and ranges must be lists")
        if len(members) > MEMBERS_MAX:
            raise MalformedRoutes(f"more than {MEMBERS_MAX} members")
        nodes, addresses, up = [], [], []
        for member in members:
            match member:
                case [str(node), str(address), bool(live)]:
                    nodes.append(node)
                    addresses.append(address)
                    up.append(live)
                case _:
                    raise MalformedRoutes("a member is not [id, address, up]")
        owners: list[tuple[int, ...]] = []
        for entry in ranges:
            match entry:
                case [int(first), int(last), list(indexes)]:
                    valid = [type(i) is int and 0 <= i < len(nodes) for i in indexes]
                    if first != len(owners) or not first <= last < SLOTS_COUNT or not all(valid):
                        raise MalformedRoutes(f"a range that does not fit: {first}-{last}")
                    owners += [tuple(indexes)] * (last - first + 1)
                case _:
                    raise MalformedRoutes("a range is not [first, last, owners]")
        if len(owners) != SLOTS_COUNT:
            raise MalformedRoutes(f"{len(owners)} slots instead of {SLOTS_COUNT}")
        return cls(table.epoch, tuple(nodes), tuple(addresses), tuple(up), tuple(owners))


@final
class Router:
    """The routes in force and what the client has seen of the nodes."""

    def __init__(self) -> None:
        self.routes: Routes | None = None
        self._down_until_s: dict[str, float] = {}
        self._table = make_table()
        self._groups = b""
        self._targets: tuple[int, ...] = ()
        self._fresh_until_s = 0.0

    def adopt(self, routes: Routes) -> bool:
        """Take newer routes; older ones are ignored. Returns whether they were taken."""
        if self.routes is not None and routes.epoch < self.routes.epoch:
            return False
        self.routes = routes
        self._groups = b""
        return True

    def mark_down(self, node: str, now_s: float) -> None:
        """The node did not answer."""
        self._down_until_s[node] = now_s + DOWN_S
        self._groups = b""

    def mark_up(self, node: str) -> None:
        """The node answered."""
        if self._down_until_s.pop(node, None) is not None:
            self._groups = b""

    def is_down(self, node: str, now_s: float) -> bool:
        """Whether the node failed a moment ago."""
        return self._down_until_s.get(node, 0.0) > now_s

    def address(self, node: str) -> str:
        """The node's native address."""
        assert self.routes is not None
        return self.routes.addresses[self.routes.nodes.index(node)]

    def candidates(self, key: bytes, now_s: float) -> list[str]:
        """Nodes to try for a key, best first: live owners, other live nodes, then the rest."""
        routes = self.routes
        assert routes is not None
        owners = routes.owners[slot_of(key)]
        order = [*owners, *[i for i in range(len(routes.nodes)) if i not in owners]]
        return [routes.nodes[index] for index in sorted(order, key=lambda i: self._rank(i, now_s))]

    def _rank(self, index: int, now_s: float) -> int:
        assert self.routes is not None
        if self.is_down(self.routes.nodes[index], now_s):
            return 2
        return 0 if self.routes.up[index] else 1

    def group(self, keys: Sequence[bytes], now_s: float) -> list[tuple[str, list[int]]]:
        """Indexes of the keys by the node that should coordinate them."""
        routes = self.routes
        assert routes is not None
        if not routes.nodes:
            return []
        if not self._groups or now_s >= self._fresh_until_s:
            self._compile(routes, now_s)
        if len(self._targets) == 1:
            return [(routes.nodes[self._targets[0]], list(range(len(keys))))]
        split = self._table.split(keys, self._groups)
        return [(routes.nodes[index], split[index]) for index in self._targets if split[index]]

    def _compile(self, routes: Routes, now_s: float) -> None:
        """The coordinating node of each slot; equal owners are decided once."""
        ranks = [self._rank(index, now_s) for index in range(len(routes.nodes))]
        spare = min(range(len(routes.nodes)), key=lambda index: ranks[index])
        best: dict[tuple[int, ...], int] = {}
        groups = bytearray(SLOTS_COUNT)
        for slot, owners in enumerate(routes.owners):
            target = best.get(owners)
            if target is None:
                target = min(owners, key=lambda index: ranks[index], default=spare)
                if ranks[target] == 2 and ranks[spare] < 2:
                    # Every owner failed here: another node may still reach one.
                    target = spare
                best[owners] = target
            groups[slot] = target
        self._groups = bytes(groups)
        self._targets = tuple(sorted(set(best.values())))
        self._fresh_until_s = min(
            (until for until in self._down_until_s.values() if until > now_s), default=float("inf")
        )
