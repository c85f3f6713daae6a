"""Read repair: owners that a read showed to lag behind get what the read found.

Asynchronous, in the original version, joined into one frame for each peer and wake-up, and bounded
for each tick: a read must stay cheap even when a whole node lags (refilling and hints are made for
that). An owner that evicted a slot's keys on its own is not refilled here, or the two would fight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from nodecore.ids import Epoch, NodeId, Now, Version
from nodecore.replication.calls import CallEnd, Calls
from nodecore.replication.read_answers import Found
from nodecore.replication.versions import HybridClock
from nodecore.storage.memory import Cause, Store
from transport.messages import PeerApply

REPAIRS_PER_TICK_MAX: Final = 1000
FRAME_BYTES_MAX: Final = 1024 * 1024


class Repairs:
    """Repairs that this node's reads have found necessary.

    Args:
        node: this node.
        store: for its own copies.
        clock: judges what peers hold before it becomes a copy here, as it judges what they send.
        calls: how to reach the others.
        holds: whether a copy of a key belongs here, now that a read has ended.
    """

    def __init__(
        self,
        node: NodeId,
        store: Store,
        clock: HybridClock,
        calls: Calls,
        holds: Callable[[bytes], bool],
    ) -> None:
        self._node = node
        self._holds = holds
        self._store = store
        self._clock = clock
        self._calls = calls
        self._outbox: dict[NodeId, list[tuple[object, int]]] = {}
        self._budget = REPAIRS_PER_TICK_MAX
        self.made = 0
        self.skipped = 0

    def add(self, key: bytes, best: Found, lagging: Sequence[NodeId], now: Now) -> None:
        """Bring ``lagging`` owners up to ``best``."""
        for node in lagging:
            if self._budget <= 0:
                self.skipped += 1
                continue
            self._budget -= 1
            if node != self._node:
                entry = [key, best.kind, best.value, best.hlc, best.node, best.expires_ms]
                size = len(key) + len(best.value)
                self._outbox.setdefault(node, []).append((entry, size))
                self.made += 1
            elif (
                self._holds(key)
                and self._store.table.slot_of(key) not in self._store.partial_slots
                and self._clock.believes(best.hlc, now)
            ):
                version = Version(best.hlc, best.node)
                self._store.apply(
                    key, best.kind, best.value, version, best.expires_ms, Cause.REPAIR, now
                )
                self.made += 1

    def tick(self) -> None:
        """A new tick, a new budget."""
        self._budget = REPAIRS_PER_TICK_MAX

    def flush(self, epoch: Epoch, now: Now) -> None:
        """Send what has collected."""
        outbox, self._outbox = self._outbox, {}
        for node, entries in outbox.items():
            frame: list[object] = []
            size = 0
            for entry, entry_bytes in entries:
                if frame and size + entry_bytes > FRAME_BYTES_MAX:
                    self._send(node, frame, epoch, now)
                    frame, size = [], 0
                frame.append(entry)
                size += entry_bytes
            self._send(node, frame, epoch, now)

    def _send(self, node: NodeId, frame: list[object], epoch: Epoch, now: Now) -> None:
        message = PeerApply(epoch=epoch, cause="repair", entries=frame)
        self._calls.request(node, message, _ignore, now)


def _ignore(_end: CallEnd, _now: Now) -> None:
    """A lost repair is made again by the next read that finds the lag."""
