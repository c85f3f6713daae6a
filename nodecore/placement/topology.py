"""The topology document: members, ring settings, keyspaces, and whether a change is under way.

Documents form a chain: the one with epoch e+1 is decided once by the voters of document e (see
``nodecore.consensus``) and never overwritten. A *joint* document names two sets of members: old
owners go on serving while new owners are filled; the *stable* document that follows ends the change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from nodecore.config import Addresses
from nodecore.errors import InvalidTopology
from nodecore.ids import Epoch, NodeId

FEATURE_LEVEL = 1
"""Raised with every change that older nodes could not follow."""


@dataclass(frozen=True, slots=True)
class Member:
    """One node of the cluster."""

    node_id: NodeId
    addresses: Addresses
    """Advertised ones."""
    zone: str = ""
    weight: float = 1.0
    voter: bool = False
    learner: bool = False
    """Holds copies but lost state: counts in denominators, never as an acknowledgement of strong keys."""
    born: int = 0
    """Epoch that made it a member: tells a returning node from a new one."""


@dataclass(frozen=True, slots=True)
class RingSettings:
    """How slots are assigned."""

    vnodes: int = 160
    hash: str = "blake3"
    placement: str = "ring"
    """``ring`` or ``even``."""


@dataclass(frozen=True, slots=True)
class Keyspace:
    """Policy of the keys that match a pattern; the longest literal prefix wins, ``*`` is the default."""

    pattern: str = "*"
    mode: str = "eventual"
    """``eventual`` or ``strong``."""
    n: int = 3
    w: int = 2
    r: int = 1
    ttl_ms: int = 0
    durability: str = "memory"
    on_partition: str = "available"
    """``available``, ``read-only`` or ``refuse``."""
    write_through: bool = False
    eviction: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """The change that a joint document carries out."""

    kind: str
    """``join``, ``leave``, ``remove``, ``rebalance``."""
    node_id: NodeId
    members_next: tuple[Member, ...]
    coordinator: NodeId
    """Who drives it; any member may take over when it fails."""
    assignment_next: bytes = b""
    """``even`` placement: the owners to be, see ``even.py``."""
    ring_next: RingSettings | None = None
    """Ring settings to be; None: unchanged."""


@dataclass(frozen=True, slots=True)
class Topology:
    """One document of the chain."""

    cluster_id: str
    epoch: Epoch
    members: tuple[Member, ...]
    """Ordered by node id. In a joint document: the old members."""
    ring: RingSettings = field(default_factory=RingSettings)
    keyspaces: tuple[Keyspace, ...] = (Keyspace(),)
    feature_level: int = FEATURE_LEVEL
    generation: int = 0
    """Raised by ``cluster recover``: a new life of the cluster after permanent loss of the majority."""
    flushes: int = 0
    """Generation of FLUSHALL."""
    flushed_hlc: int = 0
    """Versions at or below this clock value belong to an earlier flush generation."""
    assignment: bytes = b""
    """``even`` placement: the owners, see ``even.py``."""
    change: Change | None = None
    """None in a stable document."""
    reason: str = ""
    """Why this document was proposed, for people."""

    @property
    def joint(self) -> bool:
        """Whether a change is under way."""
        return self.change is not None

    @property
    def age(self) -> tuple[int, int]:
        """Order of documents of one cluster: a recovered one outranks its former life."""
        return (self.generation, self.epoch)

    def member(self, node_id: NodeId) -> Member | None:
        """The member of that id, old or new."""
        for member in self.all_members:
            if member.node_id == node_id:
                return member
        return None

    @property
    def all_members(self) -> tuple[Member, ...]:
        """Old and new members, each once, ordered by id."""
        if self.change is None:
            return self.members
        merged = {member.node_id: member for member in self.members}
        for member in self.change.members_next:
            merged.setdefault(member.node_id, member)
        return tuple(merged[node_id] for node_id in sorted(merged))

    def to_plain(self) -> dict[str, Any]:
        """As plain data for the wire and for the disk."""
        plain = msgspec.to_builtins(self, builtin_types=(bytes,))
        assert isinstance(plain, dict)
        return plain

    @classmethod
    def from_plain(cls, plain: object) -> Topology:
        """Parse what ``to_plain`` gave.

        Raises:
            InvalidTopology: the shape is wrong.
        """
        try:
            return msgspec.convert(plain, cls)
        except msgspec.ValidationError as error:
            raise InvalidTopology(str(error)) from None
