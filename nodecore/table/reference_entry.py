"""One key's record in the plain Python table; see ``interface.Entry`` for what each field means."""

from __future__ import annotations

from typing import Final, final

from nodecore.table.interface import ENTRY_OVERHEAD_BYTES, Kind

NIL_REPLY: Final = b"$-1\r\n"
"""What a tombstone holds in place of a payload."""


@final
class ReferenceEntry:
    """One key's record."""

    __slots__ = (
        "attached",
        "bare",
        "counter",
        "expires_ms",
        "generation",
        "hlc",
        "key",
        "kind",
        "node",
        "queue",
        "reply",
        "slot",
    )

    def __init__(self, key: bytes, slot: int) -> None:
        self.key = key
        self.slot = slot
        self.reply = NIL_REPLY
        self.hlc = self.node = self.expires_ms = 0
        self.kind = int(Kind.TOMBSTONE)
        self.counter = self.queue = self.generation = 0
        self.attached = self.bare = False

    @property
    def value(self) -> bytes:
        if self.reply is NIL_REPLY:
            return b""
        return self.reply[self.reply.index(b"\n") + 1 : -2]

    @property
    def size(self) -> int:
        payload = self.reply
        value_bytes = 0 if payload is NIL_REPLY else len(payload) - payload.index(b"\n") - 3
        return len(self.key) + value_bytes + ENTRY_OVERHEAD_BYTES

    def snapshot(self) -> ReferenceEntry:
        copy = ReferenceEntry(self.key, self.slot)
        copy.reply, copy.kind = self.reply, self.kind
        copy.hlc, copy.node, copy.expires_ms = self.hlc, self.node, self.expires_ms
        copy.counter = self.counter
        return copy

    def release(self) -> None:
        if self.attached:
            raise ValueError("the entry is still in a table")
        self.reply = NIL_REPLY


def gone(entry: ReferenceEntry, now_ms: int) -> bool:
    """Whether a reader sees nothing: a tombstone, or past its expiry."""
    return entry.kind == Kind.TOMBSTONE or 0 < entry.expires_ms <= now_ms
