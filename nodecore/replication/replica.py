"""The owner's side: what this node does with the data messages of its peers.

It reads and applies copies, checks what came over the wire, refuses versions from too far in the
future, counts copies that came late and were missing, and tells what an arriving version met (see
``conflicts``). It neither forwards nor judges quorums. Epochs are checked before a message gets here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from nodecore.errors import Code
from nodecore.ids import Incarnation, Now, Version
from nodecore.limits import BATCH_KEYS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX
from nodecore.replication.conflicts import Met
from nodecore.replication.versions import HybridClock
from nodecore.storage.disk import DiskWrites, NoDisk
from nodecore.storage.memory import ApplyResult, Cause, Store
from nodecore.table.interface import Entry, Kind
from transport.messages import (
    Drop,
    ErrorReply,
    PeerApply,
    PeerRead,
    PeerValues,
    PeerWrite,
    PeerWritten,
)

READ_REPLY_BYTES_MAX: Final = 8 * 1024 * 1024
"""Values beyond this in one reply are left out and asked for again: a reply must fit a frame."""
NOT_FILLED: Final[list[Any]] = []
"""Entry of PeerValues: this owner is still being refilled and can't answer for the key."""
ASK_AGAIN: Final = 0
"""Entry of PeerValues: the value did not fit this reply."""
FUTURE_EXPIRY_MS_MAX: Final = 2**53

_CAUSES: Final = {
    "update": Cause.UPDATE,
    "hint": Cause.HINT,
    "repair": Cause.REPAIR,
    "stream": Cause.STREAM,
    "handover": Cause.HANDOVER,
}
_LATE: Final = frozenset({Cause.HINT, Cause.HANDOVER, Cause.REPAIR})
"""What was meant for an owner may arrive when it no longer is one, although the epochs agree."""
_CODES: Final = {
    ApplyResult.REFUSED_MEMORY: Code.OUT_OF_MEMORY,
    ApplyResult.REFUSED_FLOOR: Code.CANCELLED,
    ApplyResult.REFUSED_FLUSHED: Code.CANCELLED,
}


class Replica:
    """Copies on this node.

    Args:
        store: where they live.
        clock: judges and notes versions.
        incarnation: stands in every reply.
        filled: whether this node's copy of a slot can be believed.
        holds: whether copies of a key belong here at all.
        load: load hint 0..255 for replies.
    """

    def __init__(
        self,
        store: Store,
        clock: HybridClock,
        incarnation: Incarnation,
        filled: Callable[[int], bool],
        holds: Callable[[bytes], bool],
        load: Callable[[], int],
    ) -> None:
        self.store = store
        self._clock = clock
        self._incarnation = incarnation
        self._filled = filled
        self._holds = holds
        self._load = load
        self.disk = DiskWrites(NoDisk())
        """Where the store writes what keyspaces promise."""
        self.taken: dict[str, int] = {}
        """Copies that came late, by cause, and were newer than what was here."""
        self.on_met: Callable[[Met, Now], object] = _ignore
        """Told of a version that met another one of its key."""

    def apply_own(
        self,
        keys: Sequence[bytes],
        values: Sequence[bytes],
        kind: int,
        version: Version,
        expires_ms: int,
        now: Now,
    ) -> list[tuple[int, Code]]:
        """Apply what this node coordinates; returns the refused positions."""
        if kind == Kind.STRING and len(keys) > 1:
            results = self.store.apply_batch(keys, values, version, expires_ms, Cause.CLIENT, now)
            return [(row, _CODES[result]) for row, result in results if result in _CODES]
        refused: list[tuple[int, Code]] = []
        for row, key in enumerate(keys):
            result = self.store.apply(
                key, kind, values[row], version, expires_ms, Cause.CLIENT, now
            )
            if result in _CODES:
                refused.append((row, _CODES[result]))
        return refused

    def held(self, keys: Sequence[bytes], version: Version) -> dict[bytes, Entry]:
        """What :meth:`apply_own` is about to replace by ``version``, as far as anything is here."""
        held = self.store.held
        return {
            key: entry
            for key in keys
            if (entry := held(key)) is not None and (entry.hlc, entry.node) != version
        }

    def take_back(self, key: bytes, version: Version, before: Entry | None, now: Now) -> None:
        """Undo what :meth:`apply_own` did to a key, unless something newer has come since."""
        if self.store.take_back(key, version) and before is not None:
            kept = Version(before.hlc, before.node)
            self.store.apply(
                key, before.kind, before.value, kept, before.expires_ms, Cause.REPLICA, now
            )

    def on_read(self, message: PeerRead, now: Now) -> PeerValues | ErrorReply:
        """Entries of this node's own store."""
        keys = message.keys
        if not isinstance(keys, list) or len(keys) > BATCH_KEYS_MAX or not _all_bytes(keys):
            return _malformed("keys of PeerRead")
        entries: list[object] = []
        size = 0
        store = self.store
        for key in keys:
            slot = store.table.slot_of(key)
            entry = store.get(key, now, touch=message.counted and self._filled(slot))
            # Asked again: a disk that can't be read shows only now.
            if not self._filled(slot):
                # What has come so far may be older than what others have acknowledged.
                entries.append(NOT_FILLED)
                continue
            if entry is None:
                entries.append(None)
                continue
            value = entry.value
            size += len(value)
            if size > READ_REPLY_BYTES_MAX and len(value) < size:
                entries.append(ASK_AGAIN)
                continue
            entries.append([entry.kind, value, entry.hlc, entry.node, entry.expires_ms])
        return PeerValues(
            epoch=message.epoch,
            incarnation=self._incarnation,
            entries=entries,
            load=self._load(),
        )

    def on_write(self, message: PeerWrite, now: Now) -> PeerWritten | ErrorReply:
        """Apply a batch of one version."""
        keys, values = message.keys, message.values
        if (
            not isinstance(keys, list)
            or not isinstance(values, list)
            or len(keys) != len(values)
            or len(keys) > BATCH_KEYS_MAX
            or not _all_bytes(keys)
            or not _all_bytes(values)
            or not _sane(message.hlc, message.node, message.expires_ms)
        ):
            return _malformed("PeerWrite")
        if not self._clock.believes(message.hlc, now):
            skewed = [[row, int(Code.CLOCK_SKEW)] for row in range(len(keys))]
            return self._written(message.epoch, skewed)
        version = Version(message.hlc, message.node)
        results = self.store.apply_batch(
            keys, values, version, message.expires_ms, Cause.REPLICA, now
        )
        refused: list[list[int]] = []
        for row, result in results:
            if result in _CODES:
                refused.append([row, int(_CODES[result])])
            else:
                self._note_older(keys[row], version, len(values[row]), now)
        return self._written(message.epoch, refused)

    def on_apply(self, message: PeerApply, now: Now) -> PeerWritten | ErrorReply:
        """Apply entries with their own versions."""
        cause = _CAUSES.get(message.cause)
        entries = message.entries
        if cause is None or not isinstance(entries, list) or len(entries) > BATCH_KEYS_MAX:
            return _malformed("PeerApply")
        for entry in entries:
            if not _is_entry(entry):
                return _malformed("an entry of PeerApply")
        refused: list[list[int]] = []
        store = self.store
        for row, (key, kind, value, hlc, node, expires_ms) in enumerate(entries):
            if not self._clock.believes(hlc, now):
                refused.append([row, int(Code.CLOCK_SKEW)])
                continue
            if cause in _LATE and not self._holds(key):
                # Kept for an owner of the past: by now it would be a copy that nobody looks after.
                refused.append([row, int(Code.NOT_OWNER)])
                continue
            version = Version(hlc, node)
            late = cause in _LATE
            held = self._held(key, now) if late else None
            result = store.apply(key, kind, value, version, expires_ms, cause, now)
            if result in _CODES:
                refused.append([row, int(_CODES[result])])
            elif late:
                name = message.cause
                if result is ApplyResult.APPLIED:
                    self.taken[name] = self.taken.get(name, 0) + 1
                if held is not None and held[0] != version:
                    self.on_met(Met(key, version, len(value), *held, name), now)
            elif result is ApplyResult.OLDER and cause is Cause.UPDATE:
                self._note_older(key, version, len(value), now)
        return self._written(message.epoch, refused)

    def on_drop(self, message: Drop) -> int:
        """Evict what the deciding owner has evicted; returns how many went."""
        entries = message.entries
        if not isinstance(entries, list) or len(entries) > BATCH_KEYS_MAX:
            return 0
        dropped = 0
        for entry in entries:
            if (
                isinstance(entry, list)
                and len(entry) == 3
                and isinstance(entry[0], bytes)
                and isinstance(entry[1], int)
                and isinstance(entry[2], int)
            ):
                dropped += self.store.drop(entry[0], Version(entry[1], entry[2]))
        return dropped

    def _written(self, epoch: int, refused: list[list[int]]) -> PeerWritten:
        return PeerWritten(
            epoch=epoch, incarnation=self._incarnation, refused=refused, load=self._load()
        )

    def _note_older(self, key: bytes, version: Version, size_bytes: int, now: Now) -> None:
        """An update that something newer was here before."""
        held = self._held(key, now)
        if held is not None and held[0] != version:
            self.on_met(Met(key, version, size_bytes, *held, "update"), now)

    def _held(self, key: bytes, now: Now) -> tuple[Version, int] | None:
        """(version, bytes of the value) of what is here."""
        found = self.store.get(key, now)
        return None if found is None else (Version(found.hlc, found.node), len(found.value))


def _ignore(_met: Met, _now: Now) -> None:
    """Until conflicts are wired."""


def _malformed(what: str) -> ErrorReply:
    return ErrorReply(code=int(Code.BAD_REQUEST), text=f"{what}: malformed")


def _all_bytes(items: list[Any]) -> bool:
    return set(map(type, items)) <= {bytes}


def _sane(hlc: object, node: object, expires_ms: object) -> bool:
    return (
        type(hlc) is int
        and type(node) is int
        and type(expires_ms) is int
        and 0 < hlc < 2**64
        and 0 <= node < 2**32
        and 0 <= expires_ms <= FUTURE_EXPIRY_MS_MAX
    )


def _is_entry(plain: object) -> bool:
    """Whether this is [key, kind, value, hlc, node, expires_ms] within all bounds."""
    if not isinstance(plain, list) or len(plain) != 6:
        return False
    key, kind, value, hlc, node, expires_ms = plain
    return (
        type(key) is bytes
        and type(value) is bytes
        and kind in (Kind.STRING, Kind.HASH, Kind.TOMBSTONE)
        and len(key) <= KEY_BYTES_MAX
        and len(value) <= VALUE_BYTES_MAX
        and _sane(hlc, node, expires_ms)
    )
