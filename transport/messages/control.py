"""Messages of the control lane: SWIM, topology, consensus, admin (20..49)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from transport.messages.base import Message


@dataclass(frozen=True, slots=True)
class Probe(Message):
    """SWIM ping. ``updates`` are piggy-backed member claims."""

    TYPE: ClassVar[int] = 20
    sequence: int
    epoch: int
    updates: object
    """List of [node_id, status, incarnation, claimed_by]."""


@dataclass(frozen=True, slots=True)
class Ack(Message):
    """SWIM ack; also relayed for an indirect probe."""

    TYPE: ClassVar[int] = 21
    sequence: int
    epoch: int
    updates: object
    wall_ms: int = 0
    """The sender's wall clock, for the offset estimate."""


@dataclass(frozen=True, slots=True)
class ProbeRequest(Message):
    """SWIM ping-req: probe ``target`` for me."""

    TYPE: ClassVar[int] = 22
    sequence: int
    target: str
    updates: object


@dataclass(frozen=True, slots=True)
class Nack(Message):
    """I asked the target of your ProbeRequest and it did not answer in time."""

    TYPE: ClassVar[int] = 23
    sequence: int


@dataclass(frozen=True, slots=True)
class Gossip(Message):
    """Member claims without a probe, and the sender's epoch."""

    TYPE: ClassVar[int] = 24
    epoch: int
    updates: object


@dataclass(frozen=True, slots=True)
class TopologyFetch(Message):
    """Send me every chosen document above ``epoch`` (bounded; the newest suffices)."""

    TYPE: ClassVar[int] = 25
    epoch: int


@dataclass(frozen=True, slots=True)
class TopologyDocument(Message):
    """A chosen document of the chain."""

    TYPE: ClassVar[int] = 26
    epoch: int
    document: object
    """``Topology.to_plain()``."""


@dataclass(frozen=True, slots=True)
class Prepare(Message):
    """Phase 1 of the instance that decides ``epoch``."""

    TYPE: ClassVar[int] = 27
    epoch: int
    counter: int
    proposer: str


@dataclass(frozen=True, slots=True)
class Promise(Message):
    """Answer to Prepare: granted, or not with the higher promise; the accepted pair if any."""

    TYPE: ClassVar[int] = 28
    epoch: int
    granted: bool
    promised_counter: int
    promised_proposer: str
    accepted_counter: int
    accepted_proposer: str
    accepted: object
    """Plain document or None."""


@dataclass(frozen=True, slots=True)
class Accept(Message):
    """Phase 2: accept this document for ``epoch``."""

    TYPE: ClassVar[int] = 29
    epoch: int
    counter: int
    proposer: str
    document: object


@dataclass(frozen=True, slots=True)
class Accepted(Message):
    """Answer to Accept."""

    TYPE: ClassVar[int] = 30
    epoch: int
    granted: bool
    promised_counter: int
    promised_proposer: str


@dataclass(frozen=True, slots=True)
class Join(Message):
    """A new node asks to be made a member. ``member`` is ``Member.to_plain()``."""

    TYPE: ClassVar[int] = 31
    member: object
    replaces: str = ""
    """The member that is to go at the same time; empty: nobody."""


@dataclass(frozen=True, slots=True)
class JoinReply(Message):
    """The change that makes it a member has begun (or why not: ErrorReply); the current document."""

    TYPE: ClassVar[int] = 32
    document: object


@dataclass(frozen=True, slots=True)
class Admin(Message):
    """An operator's verb, see ``nodecore.admin``; answered by AdminReply or ErrorReply."""

    TYPE: ClassVar[int] = 33
    verb: str
    arguments: object
    """Dict with str keys."""


@dataclass(frozen=True, slots=True)
class AdminReply(Message):
    """Result of an Admin verb."""

    TYPE: ClassVar[int] = 34
    result: object


@dataclass(frozen=True, slots=True)
class Subscribe(Message):
    """Stream me statistics each ``interval_ms`` and events as they happen, on this stream."""

    TYPE: ClassVar[int] = 35
    interval_ms: int
    events_after: int
    """Sequence number of the last event that the subscriber has; -1 = only new ones."""


@dataclass(frozen=True, slots=True)
class StatisticsReport(Message):
    """One snapshot: ``NodeStatistics.to_plain()``."""

    TYPE: ClassVar[int] = 36
    statistics: object


@dataclass(frozen=True, slots=True)
class EventReport(Message):
    """Events since the last report: list of ``EventRecord.to_plain()``."""

    TYPE: ClassVar[int] = 37
    events: object


@dataclass(frozen=True, slots=True)
class ChangeStep(Message):
    """A step of a topology change between members, see ``nodecore.replication.migration``."""

    TYPE: ClassVar[int] = 38
    epoch: int
    step: str
    """``fetch`` (stream me these slots), ``streamed`` (you have them), ``filled`` (how far I am),
    ``adopted`` (this epoch is in force here), ``digests``, ``narrow`` and ``differ``
    (anti-entropy), ``history`` and ``past`` (documents that the asking node has not seen),
    ``recall`` and ``recalled`` (what a voter without memory may have promised)."""
    fields: object
