"""Why an entry changed, and what became of a change."""

from __future__ import annotations

from enum import Enum, StrEnum, auto
from typing import Final


class Cause(StrEnum):
    """Who asked for a change of the table; counted, and told to every change hook."""

    CLIENT = "client"
    REPLICA = "replica"
    UPDATE = "update"
    HINT = "hint"
    REPAIR = "repair"
    STREAM = "stream"
    HANDOVER = "handover"
    PROMOTED = "promoted"
    """Comes up from this node's own disk, unchanged."""
    EXPIRED = "expired"
    EVICTED = "evicted"
    """Removed for memory by this node's decision, or by order of the deciding owner."""
    FORCED = "forced"
    """Removed for memory although another owner decides for the slot: the slot is partial now."""
    MOVED = "moved"
    """Another node owns the slot now."""
    FLUSH = "flush"
    COLLECTED = "collected"
    """A tombstone past its time, or dropped for memory."""


OLD_NEWS: Final = frozenset({Cause.HINT, Cause.REPAIR, Cause.STREAM, Cause.HANDOVER})
"""Changes that may tell of a past that a collected tombstone has overruled."""


class ApplyResult(Enum):
    """Outcome of one change."""

    APPLIED = auto()
    OLDER = auto()
    """What is there is newer or equal."""
    REFUSED_MEMORY = auto()
    """It can't fit."""
    REFUSED_FLOOR = auto()
    """At or below the version up to which this slot's tombstones were collected."""
    REFUSED_FLUSHED = auto()
    """At or below the flush generation."""
