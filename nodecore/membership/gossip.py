"""Claims on their way to everybody: a queue whose entries ride on other messages a few times each.

A claim replaces those about the same member that it makes obsolete. The least told go first, the
newest of them before the others; a claim that was sent often enough to reach everybody (with high
probability) is dropped. Bounded: the most often told give way.

Source: Das, Gupta and Motivala, "SWIM" (2002), 4.1 and 5.
"""

from __future__ import annotations

from typing import Final, NamedTuple, final

from nodecore.ids import NodeId
from nodecore.membership.members import Claim, Status

CLAIMS_QUEUED_MAX: Final = 1024
CLAIMS_PER_MESSAGE: Final = 16
"""About 64 bytes each: a probe stays within one packet."""
CLAIMS_RECEIVED_MAX: Final = 256
"""A message with more is refused."""


class _Entry(NamedTuple):
    claim: Claim
    sent: int
    order: int


@final
class GossipQueue:
    """See the module."""

    def __init__(self) -> None:
        self._entries: dict[tuple[NodeId, NodeId], _Entry] = {}
        self._order = 0
        self.dropped = 0
        """Claims that gave way before they were told often enough."""

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, claim: Claim) -> None:
        """Queue a claim, dropping what it makes obsolete."""
        for key, entry in list(self._entries.items()):
            if key[0] == claim.node_id and _obsolete(entry.claim, claim):
                del self._entries[key]
        if len(self._entries) >= CLAIMS_QUEUED_MAX:
            worst = max(self._entries, key=lambda key: (self._entries[key].sent, key))
            del self._entries[worst]
            self.dropped += 1
        self._order += 1
        self._entries[claim.node_id, claim.claimed_by] = _Entry(claim, 0, self._order)

    def take(self, count: int, transmissions: int) -> list[Claim]:
        """Up to ``count`` claims for one message; each is counted as sent once more."""
        chosen = sorted(self._entries.items(), key=lambda item: (item[1].sent, -item[1].order))[
            :count
        ]
        for key, entry in chosen:
            if entry.sent + 1 >= transmissions:
                del self._entries[key]
            else:
                self._entries[key] = entry._replace(sent=entry.sent + 1)
        return [entry.claim for _, entry in chosen]

    def forget(self, node_id: NodeId) -> None:
        """Drop every claim about a node that is no member any more."""
        for key in [key for key in self._entries if key[0] == node_id]:
            del self._entries[key]


def _obsolete(old: Claim, new: Claim) -> bool:
    """Whether ``new`` leaves nothing to tell of ``old``, both about one member."""
    if old.incarnation != new.incarnation:
        return old.incarnation < new.incarnation
    if new.status is Status.LEFT or old.status is Status.ALIVE:
        return True
    return old.claimed_by == new.claimed_by
