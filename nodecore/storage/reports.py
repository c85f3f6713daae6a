"""What the store tells: once per tick to the node, and on request to statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from nodecore.ids import Version
from nodecore.storage.eviction.shadows import Estimate


class Touches(NamedTuple):
    """Uses of entries, in order."""

    touched: list[bytes]
    """Keys, repeated."""
    touches_lost: int
    """How many more there were beyond the cap."""
    written: list[bytes]
    """Those of ``touched`` that were writes which the gate served."""
    writes_lost: int
    """Those of ``touches_lost`` that were such writes."""


@dataclass(frozen=True, slots=True)
class StoreTick:
    """Result of one tick."""

    touches: Touches
    """Since they were last taken."""
    evicted: list[tuple[bytes, Version]]
    """Evicted since the last tick where this node decides: other owners drop up to that version."""
    expired: int
    """Entries that turned into tombstones for their age since the last tick."""


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """Gauges and totals of one store."""

    keys: int
    """Live entries, expired ones included until they are swept."""
    tombstones: int
    memory_bytes: int
    """Entries and all bookkeeping."""
    memory_bytes_max: int
    expiring_keys: int
    ttl_counts: tuple[int, ...]
    """See ``NodeStatistics.ttl_counts``."""
    partial_slots: int
    policy: str
    ruling_policy: str
    """The same, or what ``adaptive`` has chosen."""
    is_changing_policy: bool
    shadows: tuple[Estimate, ...]
    """What every policy would have done here, best first; empty at first."""
    shadow_samples_skipped: int
    evictions: dict[str, int]
    """By cause: ``size``, ``ordered``, ``expired``, ``forced``, ``moved``."""
    counters: dict[str, int]
    """Refusals and collected tombstones by name."""
