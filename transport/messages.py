"""Every message that travels between processes, one frozen dataclass each.

A message is ``[type, *fields]`` in msgpack. Fields of type ``object`` are plain data (None, bool,
int, float, str, bytes, lists, dicts with str keys) whose shape the receiving room checks; all other
field types are checked by the codec. Requests and replies of one exchange share the stream number
of the frame header.

WARNING: numeric values are part of the protocol. Only append; never reuse a number; a field may
only be added at the end with a default.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Lane(StrEnum):
    """Which of the two links of a pair of nodes."""

    CONTROL = "control"
    """SWIM, topology, consensus, admin: small frames, never behind a large value."""
    DATA = "data"


class Role(StrEnum):
    """Who is at the other end of a link, as it says in its hello."""

    PEER_CONTROL = "peer-control"
    PEER_DATA = "peer-data"
    CLIENT = "client"
    CONSOLE = "console"
    """An operator's tool: admin verbs, subscriptions, faults."""


class Message:
    """Base of all messages; ``TYPE`` is the number on the wire."""

    TYPE: ClassVar[int]
    __slots__ = ()


# --- link: 1..19 ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """First frame of the side that dialled."""

    TYPE: ClassVar[int] = 1
    version_min: int
    version_max: int
    feature_level: int
    role: str
    cluster_id: str
    """Empty: any cluster (clients and consoles may not know)."""
    node_id: str
    """Empty for clients."""
    incarnation: int
    nonce: bytes
    """32 random bytes."""


@dataclass(frozen=True, slots=True)
class Challenge(Message):
    """Answer to Hello: who answers, its proof over both nonces when a secret is set, and its nonce."""

    TYPE: ClassVar[int] = 2
    version: int
    feature_level: int
    cluster_id: str
    node_id: str
    incarnation: int
    nonce: bytes
    proof: bytes
    """Keyed blake3 over the transcript; empty without a secret."""


@dataclass(frozen=True, slots=True)
class Proof(Message):
    """The dialling side's proof; ends the handshake when a secret is set."""

    TYPE: ClassVar[int] = 3
    proof: bytes


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """The link is established."""

    TYPE: ClassVar[int] = 4


@dataclass(frozen=True, slots=True)
class Refuse(Message):
    """The link is refused and closes; ``code`` is a transport ErrorCode."""

    TYPE: ClassVar[int] = 5
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Goodbye(Message):
    """The sender closes after what it has sent: not a failure."""

    TYPE: ClassVar[int] = 6
    reason: str


@dataclass(frozen=True, slots=True)
class Ping(Message):
    """Keeps an idle link alive; answered by Pong on the same stream."""

    TYPE: ClassVar[int] = 7


@dataclass(frozen=True, slots=True)
class Pong(Message):
    """Answer to Ping."""

    TYPE: ClassVar[int] = 8


@dataclass(frozen=True, slots=True)
class ErrorReply(Message):
    """Any request can be answered by this. ``unknown``: it may have happened."""

    TYPE: ClassVar[int] = 9
    code: int
    """``nodecore.errors.Code``."""
    text: str
    unknown: bool = False
    retry_after_ms: int = 0


# --- control lane: 20..49 -------------------------------------------------------------------------


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
    """Progress of a topology change between its coordinator and the members, see placement.change."""

    TYPE: ClassVar[int] = 38
    epoch: int
    step: str
    """``adopted``, ``streamed``, ``dropped``, ``failed``."""
    fields: object


# --- data lane: 50..79 ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PeerRead(Message):
    """Read keys from this owner's own store, no forwarding."""

    TYPE: ClassVar[int] = 50
    epoch: int
    keys: object
    """List of bytes."""


@dataclass(frozen=True, slots=True)
class PeerValues(Message):
    """Answer to PeerRead. Per key None (nothing known) or [kind, value, hlc, node, expires_ms]."""

    TYPE: ClassVar[int] = 51
    epoch: int
    incarnation: int
    entries: object
    load: int = 0
    """Load hint 0..255 of the answering node."""


@dataclass(frozen=True, slots=True)
class PeerWrite(Message):
    """Apply a batch that shares one version and expiry, if newer. Columnar: bulk apply is compiled."""

    TYPE: ClassVar[int] = 52
    epoch: int
    keys: object
    values: object
    hlc: int
    node: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class PeerApply(Message):
    """Apply entries with their own versions, if newer: updates, deletes, hints, repairs, streams."""

    TYPE: ClassVar[int] = 53
    epoch: int
    cause: str
    """``update``, ``hint``, ``repair``, ``stream`` (staged in a joint epoch), ``handover``."""
    entries: object
    """List of [key, kind, value, hlc, node, expires_ms]; kind 255 is a tombstone."""


@dataclass(frozen=True, slots=True)
class PeerWritten(Message):
    """Answer to PeerWrite and PeerApply: all were applied or were older than what is there."""

    TYPE: ClassVar[int] = 54
    epoch: int
    incarnation: int
    refused: object
    """Indexes of entries refused (memory, clock, floor) with their Code: list of [index, code]."""
    load: int = 0


@dataclass(frozen=True, slots=True)
class Forward(Message):
    """Run a request here on behalf of another node; forwarded at most once."""

    TYPE: ClassVar[int] = 55
    epoch: int
    request: object
    """``nodecore.replication.wire.request_to_plain``."""
    deadline_ms: int
    """How long the asker waits."""


@dataclass(frozen=True, slots=True)
class Forwarded(Message):
    """Answer to Forward: ``outcome_to_plain``."""

    TYPE: ClassVar[int] = 56
    epoch: int
    outcome: object


@dataclass(frozen=True, slots=True)
class Drop(Message):
    """Evict these if not newer: no tombstone, no reply. List of [key, hlc, node]."""

    TYPE: ClassVar[int] = 57
    epoch: int
    entries: object


# --- native clients: 80..99 -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClientGet(Message):
    """Read keys; answered by ClientValues."""

    TYPE: ClassVar[int] = 80
    keys: object
    level: int = 0


@dataclass(frozen=True, slots=True)
class ClientValues(Message):
    """Per key None, bytes, or [code, text] for a failure; ``epoch`` so that a client refreshes routes."""

    TYPE: ClassVar[int] = 81
    epoch: int
    flags: int
    values: object


@dataclass(frozen=True, slots=True)
class ClientSet(Message):
    """Write keys, one expiry for all; answered by ClientWritten."""

    TYPE: ClassVar[int] = 82
    keys: object
    values: object
    expires_ms: int = 0
    level: int = 0


@dataclass(frozen=True, slots=True)
class ClientWritten(Message):
    """Answer to ClientSet. ``failures``: list of [index, code, text, unknown]."""

    TYPE: ClassVar[int] = 83
    epoch: int
    flags: int
    copies: int
    failures: object


@dataclass(frozen=True, slots=True)
class ClientExecute(Message):
    """Any request, ``request_to_plain``; answered by ClientOutcome."""

    TYPE: ClassVar[int] = 84
    request: object


@dataclass(frozen=True, slots=True)
class ClientOutcome(Message):
    """``outcome_to_plain``."""

    TYPE: ClassVar[int] = 85
    epoch: int
    outcome: object


@dataclass(frozen=True, slots=True)
class ClientRoutes(Message):
    """Ask for the slot map; answered by ClientRouteTable."""

    TYPE: ClassVar[int] = 86
    epoch: int
    """What the client has; 0 none."""


@dataclass(frozen=True, slots=True)
class ClientRouteTable(Message):
    """Slot owners as ranges: list of [first, last, [node index...]] and members [[id, native address, up]]."""

    TYPE: ClassVar[int] = 87
    epoch: int
    members: object
    ranges: object
