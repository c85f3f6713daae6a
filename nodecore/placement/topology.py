"""The topology document: members, ring settings, keyspaces, and whether a change is under way.

Documents form a chain: the one with epoch e+1 is decided once by the voters of document e (see
``nodecore.consensus``) and never overwritten. A *joint* document names two sets of members: old
owners go on serving while new owners are filled; the *stable* document that follows ends the change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from nodecore.config import Addresses
from nodecore.errors import InvalidTopology
from nodecore.ids import Epoch, NodeId

NOBODY: Final = NodeId("")
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
    ring_name: str = ""
    """Name that its places on the ring are computed from; empty: its id. A node that replaced
    another stands where that one stood."""


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
    w_past: int = 0
    """Copies that writes under earlier policies are sure to have, when fewer than W; 0: W as well."""
    n_next: int = 0
    """In a joint document: N of strong keys once the change is finished, when it falls; 0: N as well."""
    strong_since: int = 0
    """Epoch in which these keys became strong; what is older belonged to a keyspace that was deleted."""


@dataclass(frozen=True, slots=True)
class ChangePolicy:
    """How changes of the owners are carried out, everywhere."""

    approval: str = "auto"
    """``auto``, or ``manual``: what is wanted waits as a proposal until a person approves it."""
    bytes_per_s: int = 0
    """What each node may stream for a change; 0: as its own configuration says."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A change of the owners that somebody asks for: enough to draft the joint document at any time.

    It waits in a stable document while changes need approval.
    """

    kind: str
    """As in :class:`Change`."""
    node_id: NodeId
    """Who comes (``join``, ``replace``) or goes; for ``rebalance`` who was asked."""
    newcomer: Member | None = None
    replaces: NodeId = NOBODY
    """``replace``: who goes."""
    ring_next: RingSettings | None = None
    weights: tuple[tuple[NodeId, float], ...] = ()
    zones: tuple[tuple[NodeId, str], ...] = ()
    asked_ms: int = 0
    """Wall clock of the node that took the wish."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A wish that a person has turned down: it is not taken again for a while."""

    kind: str
    node_id: NodeId
    at_ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """The change that a joint document carries out."""

    kind: str
    """``join``, ``leave``, ``remove``, ``replace``, ``rebalance``."""
    node_id: NodeId
    members_next: tuple[Member, ...]
    coordinator: NodeId
    """Who drives it; any member may take over when it fails."""
    assignment_next: bytes = b""
    """``even`` placement: the owners to be, see ``even.py``."""
    ring_next: RingSettings | None = None
    """Ring settings to be; None: unchanged."""
    replaces: NodeId = NOBODY
    """``replace``: the member that goes when ``node_id`` has come."""
    paused: bool = False
    """Nothing is copied for it, whoever coordinates, until a person resumes it."""

    @property
    def leaver(self) -> NodeId:
        """Who is no member any more when the change is finished; empty: nobody."""
        if self.kind == "replace":
            return self.replaces
        return self.node_id if self.kind in ("leave", "remove") else NOBODY

    @property
    def newcomer(self) -> NodeId:
        """Who is a member when the change is finished and was none; empty: nobody."""
        return self.node_id if self.kind in ("join", "replace") else NOBODY


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
    flushed_epoch: int = 0
    """Strong values that were written in an earlier epoch are gone: that of the last FLUSHALL."""
    assignment: bytes = b""
    """``even`` placement: the owners, see ``even.py``."""
    change: Change | None = None
    """None in a stable document."""
    reason: str = ""
    """Why this document was proposed, for people."""
    change_policy: ChangePolicy = field(default_factory=ChangePolicy)
    proposal: Wish | None = None
    """A change that waits for approval; only in a stable document."""
    rejections: tuple[Rejection, ...] = ()
    """Of late."""
    proposer: NodeId = NOBODY
    """Who had this document decided."""
    proposed_ms: int = 0
    """When, by its wall clock; 0: unknown."""
    owners_epoch: int = 0
    """Epoch of the document that last changed who owns what, be it this one; 0: unknown. Changes that
    were begun and taken back are none."""
    owners_past: int = 0
    """``owners_epoch`` before that one; 0: unknown."""

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

    def is_strong(self, key: bytes) -> bool:
        """Whether the keyspace of a key is strong."""
        fitting = [k for k in self.keyspaces if key.startswith(k.pattern.rstrip("*").encode())]
        return bool(fitting) and max(fitting, key=lambda k: len(k.pattern)).mode == "strong"

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
