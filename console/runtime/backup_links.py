"""What backup and restore know of a cluster: its newest topology, and links to its nodes.

Links are opened by the task that uses them and kept until one fails. A node that failed is left
alone for a while, unless it can't be done without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, final

import trio

from console.errors import ClusterUnreachable, ConsoleError, NodeRefused
from console.runtime.admin_client import AdminLink, call_first, open_admin
from console.runtime.cluster_commands import reachable, running_cluster
from nodecore.errors import Code, InvalidTopology
from nodecore.ids import NodeId
from nodecore.placement.topology import Topology

CALL_TIMEOUT_S: Final = 8.0
"""A node answers within its operation timeout, or is not there."""
AVOIDED_S: Final = 10.0
RETRYABLE: Final = frozenset(
    {Code.STALE_EPOCH, Code.NOT_READY, Code.OVERLOADED, Code.NOT_OWNER, Code.UNREACHABLE,
     Code.NOT_ENOUGH_COPIES, Code.TIMED_OUT}
)  # fmt: skip
"""What may pass by itself."""


@final
class ClusterView:
    """The newest topology of one cluster."""

    def __init__(self, seeds: Sequence[str], topology: Topology) -> None:
        self._seeds = list(seeds)
        self.topology = topology
        self._avoided: dict[NodeId, float] = {}

    @classmethod
    async def open(cls, name: str, address: str) -> ClusterView:
        """Of a cluster by local name, or by any member's native address.

        Raises:
            ClusterUnreachable: no node answers.
        """
        seeds = [address] if address else list(reachable(running_cluster(name).record).values())
        if not seeds:
            raise ClusterUnreachable(f"no node of cluster {name!r} can answer")
        return cls(seeds, await _topology(seeds))

    @property
    def addresses(self) -> dict[NodeId, str]:
        """Native addresses of the members."""
        return {m.node_id: m.addresses.native for m in self.topology.all_members}

    async def refresh(self) -> None:
        """Take a newer topology, if anybody has one; an unreachable cluster changes nothing."""
        asked = list(dict.fromkeys([*self.addresses.values(), *self._seeds]))
        for address in asked:
            try:
                found = await _topology([address])
            except ConsoleError:
                continue
            if found.epoch > self.topology.epoch:
                self.topology = found

    def avoid(self, node: NodeId) -> None:
        """A node failed just now."""
        self._avoided[node] = trio.current_time() + AVOIDED_S

    def is_avoided(self, node: NodeId) -> bool:
        """Whether it failed not long ago."""
        return self._avoided.get(node, 0.0) > trio.current_time()


async def _topology(addresses: Sequence[str]) -> Topology:
    plain = await call_first(addresses, "topology")
    try:
        return Topology.from_plain(plain)
    except InvalidTopology as error:
        raise ConsoleError(f"a node tells a topology that makes no sense: {error}") from None


@final
class NodeLinks:
    """Links of one task; they end with ``stack``."""

    def __init__(self, stack: AsyncExitStack, view: ClusterView) -> None:
        self._stack = stack
        self._view = view
        self._links: dict[str, AdminLink] = {}

    async def open(self, node: NodeId) -> AdminLink | None:
        """The link to a member; None: there is none to be had."""
        address = self._view.addresses.get(node)
        if address is None:
            return None
        link = self._links.get(address)
        if link is None:
            try:
                link = await self._stack.enter_async_context(open_admin(address))
            except ClusterUnreachable:
                self._view.avoid(node)
                return None
            self._links[address] = link
        return link

    def failed(self, node: NodeId) -> None:
        """Something was wrong with it: the next use opens another."""
        self._view.avoid(node)
        self._links.pop(self._view.addresses.get(node, ""), None)


def may_pass(error: ConsoleError) -> bool:
    """Whether what went wrong may be right at the next try."""
    return not isinstance(error, NodeRefused) or error.code in RETRYABLE


def plain_counts(plain: object, names: Sequence[str]) -> dict[str, int]:
    """Numbers by name out of a node's result.

    Raises:
        ConsoleError: one is missing.
    """
    if isinstance(plain, Mapping):
        found = {name: plain.get(name) for name in names}
        if all(isinstance(value, int) for value in found.values()):
            return {name: int(value) for name, value in found.items() if isinstance(value, int)}
    raise ConsoleError("a node's answer makes no sense")
