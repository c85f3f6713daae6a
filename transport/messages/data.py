"""Messages of the data lane: reads, writes and streams between nodes (50..79)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from transport.messages.base import Message


@dataclass(frozen=True, slots=True)
class PeerRead(Message):
    """Read keys from this owner's own store, no forwarding."""

    TYPE: ClassVar[int] = 50
    epoch: int
    keys: object
    """List of bytes."""
    counted: bool = True
    """Whether each look is a client's use of the key, for heat and eviction; False: another owner
    counts it, or nobody."""


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
    seen: int = 0
    """Highest clock value that the asker has shown to clients: what is written now comes after."""


@dataclass(frozen=True, slots=True)
class Forwarded(Message):
    """Answer to Forward: ``outcome_to_plain``."""

    TYPE: ClassVar[int] = 56
    epoch: int
    outcome: object
    entry: object = None
    """What an update left behind, [key, kind, value, hlc, node, expires_ms], so that an asker that
    owns the key holds it before it answers; None: nothing to hold."""


@dataclass(frozen=True, slots=True)
class Drop(Message):
    """Evict these if not newer: no tombstone, no reply. List of [key, hlc, node]."""

    TYPE: ClassVar[int] = 57
    epoch: int
    entries: object


@dataclass(frozen=True, slots=True)
class StrongAsk(Message):
    """Questions to the acceptors of strong keys, one row for each; the sender is the proposer."""

    TYPE: ClassVar[int] = 58
    epoch: int
    kinds: bytes
    """One byte for each row: 0 look, 1 prepare, 2 accept, 3 collect."""
    keys: object
    """List of bytes."""
    counters: object
    """List of ballot counters; 0 for a look."""
    records: object
    """Prepare: [counter, proposer] of the value that the proposer has already; accept: the record
    ``nodecore.strong.record``; else None."""


@dataclass(frozen=True, slots=True)
class StrongTold(Message):
    """Answer to StrongAsk, row by row."""

    TYPE: ClassVar[int] = 59
    epoch: int
    incarnation: int
    codes: object
    """0 granted, -1 a higher promise stands in the way, else the Code of a refusal."""
    promised: object
    """List of [counter, proposer]."""
    accepted: object
    """List of [counter, proposer] of the accepted values."""
    records: object
    """Accepted values of granted prepares, None where the proposer has it already."""
