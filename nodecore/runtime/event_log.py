"""Events of this process: numbered, logged, kept for subscribers that come later."""

from __future__ import annotations

import logging
from collections import deque
from typing import Final, final

from nodecore.effects import Emit, Severity
from nodecore.ids import NodeId, Now
from nodecore.limits import EVENTS_KEPT
from nodecore.statistics import EventRecord

_LEVELS: Final = {
    Severity.INFO: logging.INFO,
    Severity.NOTICE: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.ERROR: logging.ERROR,
}


@final
class EventLog:
    """The last EVENTS_KEPT events."""

    def __init__(self, node_id: NodeId, log: logging.Logger) -> None:
        self._node_id = node_id
        self._log = log
        self._records: deque[EventRecord] = deque(maxlen=EVENTS_KEPT)
        self.sequence = 0
        """Number of the last event; 0 before the first."""

    def add(self, event: Emit, now: Now) -> EventRecord:
        """Number and log an event."""
        self.sequence += 1
        record = EventRecord(
            self.sequence,
            now.wall_ms,
            self._node_id,
            event.kind,
            event.text,
            event.severity.value,
            dict(event.fields),
        )
        self._records.append(record)
        self._log.log(_LEVELS[event.severity], "%s: %s", event.kind, event.text)
        return record

    def after(self, sequence: int) -> list[EventRecord]:
        """Events numbered above ``sequence`` that are still kept, oldest first."""
        if sequence >= self.sequence:
            return []
        return [record for record in self._records if record.sequence > sequence]
