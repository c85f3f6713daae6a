"""Hints: writes kept for owners that could not be reached, until they can.

A hint carries the original version and expiry, so that replaying it is idempotent and never beats a
newer write. Per owner and key only the newest is kept. Bounded in bytes over all owners (the oldest
of the fullest owner goes first, counted) and in time: a hint older than ``HINT_WINDOW_S`` is
dropped, because the tombstone that might contradict it may be gone. A hint never counts as a copy.

This module keeps and hands out; when and how fast to replay is :mod:`nodecore.replication.handoff`'s.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from nodecore.ids import NodeId, Now, Version
from nodecore.limits import HINT_WINDOW_S, HINTS_BYTES_MAX

_OVERHEAD_BYTES: Final = 160
"""Dictionary slot, tuple and numbers of one hint."""


class Hint(NamedTuple):
    """One write that an owner has missed."""

    key: bytes
    kind: int
    value: bytes
    version: Version
    expires_ms: int
    since_s: float


def _size(hint: Hint) -> int:
    return len(hint.key) + len(hint.value) + _OVERHEAD_BYTES


class Hints:
    """All hints of one node."""

    def __init__(self, bytes_max: int = HINTS_BYTES_MAX, window_s: float = HINT_WINDOW_S) -> None:
        self._bytes_max = bytes_max
        self._window_s = window_s
        self._queues: dict[NodeId, dict[bytes, Hint]] = {}
        self._bytes: dict[NodeId, int] = {}
        self.bytes_used = 0
        self.dropped = 0
        """Given up for room, age or because the owner left."""
        self.sent = 0
        """Acknowledged by their owner."""

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def count(self, node: NodeId) -> int:
        """Hints for one owner."""
        return len(self._queues.get(node, ()))

    @property
    def targets(self) -> list[NodeId]:
        """Owners that have hints waiting, in order of their first hint."""
        return [node for node, queue in self._queues.items() if queue]

    def oldest_age_s(self, now: Now) -> float:
        """How long the oldest hint has waited; 0 without any."""
        firsts = (next(iter(queue.values())) for queue in self._queues.values() if queue)
        return max((now.mono_s - hint.since_s for hint in firsts), default=0.0)

    def add(self, node: NodeId, hint: Hint) -> None:
        """Keep a write for ``node``, unless a newer one of that key is kept already."""
        queue = self._queues.setdefault(node, {})
        older = queue.get(hint.key)
        if older is not None:
            if older.version >= hint.version:
                return
            del queue[hint.key]
            self._account(node, -_size(older))
        queue[hint.key] = hint
        self._account(node, _size(hint))
        while self.bytes_used > self._bytes_max:
            self._drop_oldest(max(self._bytes, key=lambda name: (self._bytes[name], name)))

    def of(self, node: NodeId, key: bytes) -> Hint | None:
        """The hint for one key of an owner."""
        queue = self._queues.get(node)
        return None if queue is None else queue.get(key)

    def peek(self, node: NodeId, count: int, bytes_max: int) -> list[Hint]:
        """The oldest hints of ``node``, at least one if there is any, at most ``count``."""
        found: list[Hint] = []
        size = 0
        for hint in self._queues.get(node, {}).values():
            size += _size(hint)
            if found and (len(found) >= count or size > bytes_max):
                break
            found.append(hint)
        return found

    def delivered(self, node: NodeId, hints: list[Hint]) -> None:
        """Forget what the owner has acknowledged; what was replaced meanwhile stays."""
        for hint in hints:
            if self._forget(node, hint):
                self.sent += 1

    def refused(self, node: NodeId, hint: Hint) -> None:
        """The owner will never take this one."""
        if self._forget(node, hint):
            self.dropped += 1

    def drop_node(self, node: NodeId) -> int:
        """The owner is no member any more; returns how many were dropped."""
        queue = self._queues.pop(node, {})
        self.bytes_used -= self._bytes.pop(node, 0)
        self.dropped += len(queue)
        return len(queue)

    def drop_flushed(self, hlc: int) -> None:
        """A flush has made everything at or below ``hlc`` void."""
        for node in list(self._queues):
            for hint in [h for h in self._queues[node].values() if h.version.hlc <= hlc]:
                self.refused(node, hint)

    def expire(self, now: Now) -> int:
        """Drop what is older than the window or past its own expiry; returns how many."""
        before = self.dropped
        for node, queue in self._queues.items():
            stale: list[Hint] = []
            for hint in queue.values():
                if now.mono_s - hint.since_s <= self._window_s:
                    break
                stale.append(hint)
            for hint in stale:
                self.refused(node, hint)
        return self.dropped - before

    def _forget(self, node: NodeId, hint: Hint) -> bool:
        queue = self._queues.get(node, {})
        if queue.get(hint.key) is not hint:
            return False
        del queue[hint.key]
        self._account(node, -_size(hint))
        return True

    def _drop_oldest(self, node: NodeId) -> None:
        self.refused(node, next(iter(self._queues[node].values())))

    def _account(self, node: NodeId, size: int) -> None:
        self._bytes[node] = self._bytes.get(node, 0) + size
        self.bytes_used += size
