"""What the pure core asks of the world.

``Node`` collects effects while it handles a wake-up; whoever drives it (the process, or the
simulated cluster) takes them with ``take_effects()`` and executes them in order. There is no third
way to reach the world. Answers to local doors are not effects: they are handed to the callback
that came with the request.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from nodecore.ids import NodeId
from transport.messages import Lane, Message


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to a peer. Dropped (and reported by ``Node.on_undelivered``) without a link."""

    peer: NodeId
    lane: Lane
    stream: int
    """Correlates request and reply on one link; 0 = one-way."""
    message: Message


@dataclass(frozen=True, slots=True)
class Persist:
    """Write a small record durably *before* any later effect of the same batch is executed."""

    name: str
    payload: bytes


DiskRecords: TypeAlias = tuple[tuple[int, bytes, bytes | None], ...]
"""(area, key, record; None removes it), see ``nodecore.storage.disk``."""


@dataclass(frozen=True, slots=True)
class DiskWrite:
    """Write records *before* any later effect of the same batch is executed.

    ``records`` are handed to the operating system as one transaction. ``synced`` are flushed to the
    medium off the loop, together with those of other batches; ``Node.on_disk_done`` is called with the
    ticket when they are there (at once when there are none). A failure of either stops the node.
    Nothing rests on ``spare``: when they can't be written, ``Node.on_disk_refused`` is told.
    """

    ticket: int
    records: DiskRecords
    synced: DiskRecords = ()
    spare: DiskRecords = ()


@dataclass(frozen=True, slots=True)
class SetPeers:
    """The peers that links must exist to, replacing the earlier set: id -> "host:port" (native door)."""

    addresses: tuple[tuple[NodeId, str], ...]


class Severity(StrEnum):
    """How loud an event is."""

    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Emit:
    """An event for the log, the subscribers and the console."""

    kind: str
    """Dotted name: ``member.suspect``, ``breaker.open``, ``topology.epoch``, ``fault.added``..."""
    text: str
    """One line for a person."""
    severity: Severity = Severity.INFO
    fields: tuple[tuple[str, str | int | float], ...] = ()


@dataclass(frozen=True, slots=True)
class Stop:
    """End this process: it has left the cluster, was refused, or must not go on."""

    reason: str
    exit_code: int = 0


Effect: TypeAlias = Send | Persist | DiskWrite | SetPeers | Emit | Stop
