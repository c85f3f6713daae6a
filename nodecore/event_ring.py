"""The last events of a node, numbered: what ``events`` and subscribers that come late read.

Bounded by ``EVENTS_KEPT``; older ones are gone from memory (the log has them).
"""

from __future__ import annotations

from collections import deque

from nodecore.effects import Emit
from nodecore.ids import NodeId, Now
from nodecore.limits import EVENTS_KEPT
from nodecore.statistics import EventRecord


class EventRing:
    """Events of one node in order."""

    def __init__(self, node_id: NodeId) -> None:
        self._node_id = node_id
        self._records: deque[EventRecord] = deque(maxlen=EVENTS_KEPT)
        self.sequence = 0
        """Number of the last event; 0 before the first."""

    def add(self, event: Emit, now: Now) -> EventRecord:
        """Number and keep an event."""
        self.sequence += 1
        record = EventRecord(
            self.sequence,
            now.wall_ms,
            self._node_id,
            event.kind,
            event.text,
            str(event.severity),
            dict(event.fields),
        )
        self._records.append(record)
        return record

    def after(self, sequence: int, count: int = EVENTS_KEPT) -> list[EventRecord]:
        """Up to ``count`` events numbered above ``sequence``, oldest first."""
        return [record for record in self._records if record.sequence > sequence][:count]
