"""Tallies of acknowledgements: pure counting of distinct processes.

A tally belongs to one epoch. It counts a node once, whatever it sends, and only in one incarnation:
an acknowledgement from a newer life of a node replaces the older one, because what the older life
held is gone. Failed members stay in the denominator.

Besides the number, a tally wants the acknowledgement of the first member (in order of preference)
that has not failed: that is where the next reader looks first.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from nodecore.ids import Epoch, Incarnation, NodeId


class Verdict(Enum):
    """What a tally knows so far."""

    PENDING = "pending"
    REACHED = "reached"
    IMPOSSIBLE = "impossible"
    """Too many members have failed: the number can't be reached any more."""


class Tally:
    """Acknowledgements of one write (or answers of one read) by one set of owners.

    Args:
        members: the owners in order of preference, dead or alive, each once.
        needed: acknowledgements that count as success, 1..len(members).
        epoch: the only epoch whose replies count.
    """

    __slots__ = ("_acked", "_failed", "epoch", "members", "needed")

    def __init__(self, members: Sequence[NodeId], needed: int, epoch: Epoch) -> None:
        assert 0 < needed <= len(members), (needed, members)
        self.members = members
        self.needed = needed
        self.epoch = epoch
        self._acked: dict[NodeId, Incarnation] = {}
        self._failed: dict[NodeId, bool] = {}

    def ack(self, node: NodeId, epoch: Epoch, incarnation: Incarnation) -> bool:
        """Count an acknowledgement; False when it may not count (stranger, other epoch, older life)."""
        if epoch != self.epoch or node not in self.members:
            return False
        if incarnation < self._acked.get(node, incarnation):
            return False
        self._acked[node] = incarnation
        self._failed.pop(node, None)
        return True

    def fail(self, node: NodeId) -> None:
        """The node will not acknowledge (as far as we can tell)."""
        if node in self.members and node not in self._acked:
            self._failed[node] = True

    @property
    def copies(self) -> int:
        """Distinct processes that acknowledged."""
        return len(self._acked)

    @property
    def settled(self) -> bool:
        """Whether every member has acknowledged or failed."""
        return len(self._acked) + len(self._failed) >= len(self.members)

    def has(self, node: NodeId) -> bool:
        """Whether this node's acknowledgement counted."""
        return node in self._acked

    @property
    def first_live(self) -> NodeId | None:
        """The first member that has not failed; None when all have."""
        return next((node for node in self.members if node not in self._failed), None)

    @property
    def verdict(self) -> Verdict:
        """See :class:`Verdict`."""
        if len(self._acked) >= self.needed:
            for node in self.members:
                if node in self._acked:
                    return Verdict.REACHED
                if node not in self._failed:
                    return Verdict.PENDING
        if len(self.members) - len(self._failed) < self.needed:
            return Verdict.IMPOSSIBLE
        return Verdict.PENDING


def quorum(count: int) -> int:
    """The smallest majority of ``count``."""
    return count // 2 + 1
