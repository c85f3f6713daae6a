"""A table of keys and sizes alone, on which policies run without the data: trials and traces.

It tallies queues as the node's table does and holds nothing else: no values, versions, slots or gate.
Sizes are whatever the caller counts in.
"""

from __future__ import annotations

from typing import final

from nodecore.table.interface import QUEUES_COUNT, Entry
from nodecore.table.plain_maker import PlainOrders


@final
class KeyEntry:
    """One key, in the shape that policies know."""

    __slots__ = ("counter", "expires_ms", "key", "queue", "size")

    value = b""
    reply = b"$0\r\n\r\n"
    hlc = node = slot = kind = generation = 0
    bare = False

    def __init__(self, key: bytes, size: int, expires_ms: int = 0) -> None:
        self.key = key
        self.size = size
        self.expires_ms = expires_ms
        self.counter = self.queue = 0

    def snapshot(self) -> KeyEntry:
        """A detached copy."""
        return KeyEntry(self.key, self.size, self.expires_ms)

    def release(self) -> None:
        """There is no payload to drop."""


@final
class KeyTable(PlainOrders):
    """Keys that a cache would hold."""

    def __init__(self) -> None:
        self.entries: dict[bytes, KeyEntry] = {}
        """By key; to be changed by ``add`` and ``remove`` only."""
        self.bytes_used = 0
        self._bytes = [0] * QUEUES_COUNT
        self._counts = [0] * QUEUES_COUNT

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, key: bytes, size: int, expires_ms: int = 0) -> KeyEntry:
        """Hold a key that is not held yet."""
        entry = self.entries[key] = KeyEntry(key, size, expires_ms)
        self.bytes_used += size
        self._bytes[0] += size
        self._counts[0] += 1
        return entry

    def resize(self, entry: KeyEntry, size: int) -> None:
        """The entry was overwritten by one of another size."""
        grown = size - entry.size
        entry.size = size
        self.bytes_used += grown
        self._bytes[entry.queue] += grown

    def remove(self, key: bytes) -> None:
        """Forget a key that is held; references to its entry see queue 0 from now on."""
        entry = self.entries.pop(key)
        self.bytes_used -= entry.size
        self._bytes[entry.queue] -= entry.size
        self._counts[entry.queue] -= 1
        entry.queue = 0

    def assign(self, entry: Entry, queue: int) -> None:
        """Move an entry to a policy queue."""
        assert isinstance(entry, KeyEntry)
        size, old = entry.size, entry.queue
        self._bytes[old] -= size
        self._counts[old] -= 1
        self._bytes[queue] += size
        self._counts[queue] += 1
        entry.queue = queue

    def queue_bytes(self, queue: int) -> int:
        """Sum of sizes in a queue."""
        return self._bytes[queue]

    def queue_count(self, queue: int) -> int:
        """Entries in a queue."""
        return self._counts[queue]
