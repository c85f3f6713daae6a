"""The table in plain Python: the specification, and what runs where no compiler was at hand.

It stores entries, tallies bytes per queue, indexes keys by slot and answers plain commands (see
``interface``). It does not evict, expire, compare clocks with peers or know who owns a slot: others
set flags, guard and generation.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence
from typing import Final, final

from nodecore.ids import SLOTS_COUNT
from nodecore.limits import TOUCHES_MAX
from nodecore.table.interface import (
    BANDS_COUNT,
    ENTRY_OVERHEAD_BYTES,
    HLC_MAX,
    MULTI_GET_BYTES_MAX,
    QUEUE_TOMBSTONES,
    QUEUES_COUNT,
    SERVE_BYTES_MAX,
    SLOT_READ,
    SLOT_SOLE,
    SLOT_WRITE,
    Entry,
    Kind,
)
from nodecore.table.plain_commands import PlainCommand, parse, plain_run
from nodecore.table.plain_maker import PlainOrders
from nodecore.table.reference_entry import NIL_REPLY, ReferenceEntry, gone
from nodecore.table.tie import tie_wins

_SLOTS_PER_BAND: Final = SLOTS_COUNT // BANDS_COUNT
_KINDS: Final = frozenset(int(kind) for kind in Kind)
_INT64_MAX: Final = (1 << 63) - 1
_UINT32_MAX: Final = (1 << 32) - 1


def _ranged(name: str, number: int, maximum: int) -> int:
    if not 0 <= number <= maximum:
        raise ValueError(f"{name} must be in 0..{maximum}, not {number}")
    return number


@final
class ReferenceTable(PlainOrders):
    """The entries of a node."""

    compiled: bool = False

    def __init__(self) -> None:
        self._entries: dict[bytes, ReferenceEntry] = {}
        self._slots: list[dict[bytes, None] | None] = [None] * SLOTS_COUNT
        self._slot_tombstones = [0] * SLOTS_COUNT
        self._flags = bytes(SLOTS_COUNT)
        self._prefixes: tuple[bytes, ...] = ()
        self._guard_open = True
        self._generation = 0
        self._queue_bytes, self._queue_counts = [0] * QUEUES_COUNT, [0] * QUEUES_COUNT
        self._bands = [0] * BANDS_COUNT
        self.touched: list[bytes] = []
        self.written: list[bytes] = []
        self.touches_lost = self.writes_lost = 0
        self.touches_max = TOUCHES_MAX
        self.inserted: list[bytes] = []
        self.superseded: list[bytes] = []
        self.lists_superseded = False
        self.expiring: list[tuple[int, bytes]] = []
        self.older: list[int] = []
        self.gate_reads = self.gate_hits = self.gate_writes = self.bytes_used = 0
        self.inline_bytes_max = _INT64_MAX
        self.hlc_high = self.node_tag = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    @property
    def generation(self) -> int:
        return self._generation

    def get(self, key: bytes) -> ReferenceEntry | None:
        return self._entries.get(key)

    def put(
        self, key: bytes, kind: int, value: bytes, hlc: int, node: int, expires_ms: int
    ) -> ReferenceEntry:
        if type(key) is not bytes or type(value) is not bytes:
            raise TypeError("key and value must be bytes")
        if kind not in _KINDS:
            raise ValueError(f"unknown kind {kind}")
        _ranged("hlc", hlc, HLC_MAX)
        _ranged("node", node, _UINT32_MAX)
        _ranged("expires_ms", expires_ms, _INT64_MAX)
        reply = NIL_REPLY if kind == Kind.TOMBSTONE else b"$%d\r\n%b\r\n" % (len(value), value)
        return self._store(key, kind, reply, (hlc, node, expires_ms))

    def _store(
        self, key: bytes, kind: int, reply: bytes, stamp: tuple[int, int, int]
    ) -> ReferenceEntry:
        entry = self._entries.get(key)
        if entry is not None and (entry.kind == Kind.TOMBSTONE) != (kind == Kind.TOMBSTONE):
            self._forget(entry, index=False)
            entry.release()
            entry = None
        if entry is None:
            entry = self._fresh(key)
            entry.queue = QUEUE_TOMBSTONES if kind == Kind.TOMBSTONE else 0
        else:
            self._tally(entry, -1)
        entry.kind, entry.reply = kind, reply
        entry.hlc, entry.node, entry.expires_ms = stamp
        self._tally(entry, 1)
        self.hlc_high = max(self.hlc_high, entry.hlc)
        self.readmit(key, entry)
        return entry

    def _fresh(self, key: bytes) -> ReferenceEntry:
        entry = ReferenceEntry(key, self.slot_of(key))
        entry.attached = True
        self._entries[key] = entry
        index = self._slots[entry.slot]
        if index is None:
            index = self._slots[entry.slot] = {}
        index[key] = None
        return entry

    def _tally(self, entry: ReferenceEntry, sign: int) -> None:
        size = sign * entry.size
        self.bytes_used += size
        self._queue_bytes[entry.queue] += size
        self._queue_counts[entry.queue] += sign
        if entry.kind == Kind.TOMBSTONE:
            self._slot_tombstones[entry.slot] += sign

    def _forget(self, entry: ReferenceEntry, index: bool) -> None:
        self._tally(entry, -1)
        entry.attached = False
        entry.queue = entry.generation = 0
        keys = self._slots[entry.slot]
        if index and keys is not None:
            del keys[entry.key]
            if not keys:
                self._slots[entry.slot] = None

    def remove(self, key: bytes) -> ReferenceEntry | None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._forget(entry, index=True)
        return entry

    def assign(self, entry: Entry, queue: int) -> None:
        assert isinstance(entry, ReferenceEntry)
        if not entry.attached or entry.kind == Kind.TOMBSTONE:
            raise ValueError("only a live entry of the table has a queue")
        _ranged("queue", queue, QUEUE_TOMBSTONES - 1)
        self._tally(entry, -1)
        entry.queue = queue
        self._tally(entry, 1)

    def queue_bytes(self, queue: int) -> int:
        return self._queue_bytes[_ranged("queue", queue, QUEUES_COUNT - 1)]

    def queue_count(self, queue: int) -> int:
        return self._queue_counts[_ranged("queue", queue, QUEUES_COUNT - 1)]

    def touch(self, key: bytes, entry: Entry) -> None:
        if entry.counter < 3:
            entry.counter += 1
        self._mark(key, entry.slot)

    def note(self, keys: Sequence[bytes]) -> None:
        for slot in self.slots_of(keys):
            self._bands[slot // _SLOTS_PER_BAND] += 1

    def take_bands(self) -> list[int]:
        bands, self._bands = self._bands, [0] * BANDS_COUNT
        return bands

    def _mark(self, key: bytes, slot: int) -> None:
        self._bands[slot // _SLOTS_PER_BAND] += 1
        if len(self.touched) < self.touches_max:
            self.touched.append(key)
        else:
            self.touches_lost += 1

    def _mark_write(self, key: bytes, slot: int) -> None:
        if len(self.touched) < self.touches_max:
            self.written.append(key)
        else:
            self.writes_lost += 1
        self._mark(key, slot)

    def slot_of(self, key: bytes) -> int:
        opening = key.find(b"{")
        if opening >= 0:
            closing = key.find(b"}", opening + 1)
            if closing > opening + 1:
                key = key[opening + 1 : closing]
        return crc_hqx(key, 0) % SLOTS_COUNT

    def slots_of(self, keys: Sequence[bytes]) -> list[int]:
        return [self.slot_of(key) for key in keys]

    def slot_count(self, slot: int) -> int:
        if not 0 <= slot < SLOTS_COUNT:
            _ranged("slot", slot, SLOTS_COUNT - 1)
        index = self._slots[slot]
        return len(index) if index else 0

    def slot_live(self, slot: int) -> int:
        return self.slot_count(slot) - self._slot_tombstones[slot]

    def slot_keys(self, slot: int) -> list[bytes]:
        return list(self._slots[_ranged("slot", slot, SLOTS_COUNT - 1)] or ())

    def split(self, keys: Sequence[bytes], groups: bytes) -> list[list[int]]:
        if len(groups) != SLOTS_COUNT:
            raise ValueError(f"groups must be {SLOTS_COUNT} bytes, not {len(groups)}")
        parts: list[list[int]] = [[] for _ in range(max(groups) + 1)]
        for position, key in enumerate(keys):
            parts[groups[self.slot_of(key)]].append(position)
        return parts

    def next_hlc(self, wall_ms: int) -> int:
        self.hlc_high = max(self.hlc_high + 1, wall_ms << 16)
        return self.hlc_high

    def multi_get(self, keys: Sequence[bytes], now_ms: int) -> list[bytes | None]:
        found: list[bytes | None] = []
        found_bytes = 0
        for key in keys:
            if type(key) is not bytes:
                raise TypeError("keys must be bytes")
            entry = self._entries.get(key)
            if (
                entry is None
                or not self._servable(entry)
                or gone(entry, now_ms)
                or found_bytes >= MULTI_GET_BYTES_MAX
            ):
                found.append(None)
                continue
            value = entry.value
            found_bytes += len(value)
            found.append(value)
            self.gate_reads += 1
            self.gate_hits += 1
            self.touch(entry.key, entry)
        return found

    def multi_put(
        self, keys: Sequence[bytes], values: Sequence[bytes], hlc: int, node: int, expires_ms: int
    ) -> list[bytes]:
        if len(keys) != len(values):
            raise ValueError(f"{len(keys)} keys but {len(values)} values")
        _ranged("hlc", hlc, HLC_MAX)
        _ranged("node", node, _UINT32_MAX)
        _ranged("expires_ms", expires_ms, _INT64_MAX)
        if not all(type(item) is bytes for item in (*keys, *values)):
            raise TypeError("keys and values must be bytes")
        fresh: list[bytes] = []
        self.older = []
        for position, (key, value) in enumerate(zip(keys, values, strict=True)):
            entry = self._entries.get(key)
            if entry is not None:
                there = (entry.hlc, entry.node)
                arriving = (hlc, node)
                if there > arriving or (
                    there == arriving and not tie_wins(Kind.STRING, value, entry.kind, entry.value)
                ):
                    self.older.append(position)
                    continue
            if entry is None or entry.kind == Kind.TOMBSTONE:
                fresh.append(key)
            reply = b"$%d\r\n%b\r\n" % (len(value), value)
            self._store(key, Kind.STRING, reply, (hlc, node, expires_ms))
        return fresh

    def set_slots(self, flags: bytes) -> None:
        if len(flags) != SLOTS_COUNT or max(flags) > 15:
            raise ValueError(f"flags must be {SLOTS_COUNT} bytes of SLOT_* bits")
        self._flags = bytes(flags)

    def set_guard(self, prefixes: Sequence[bytes], default_open: bool) -> None:
        if not all(type(prefix) is bytes for prefix in prefixes):
            raise TypeError("prefixes must be bytes")
        self._prefixes = tuple(prefixes)
        self._guard_open = bool(default_open)

    def open_gate(self, generation: int) -> None:
        if not self._generation < generation <= _UINT32_MAX:
            raise ValueError(f"generation {generation} is not above {self._generation}")
        self._generation = generation

    def _allows(self, key: bytes) -> bool:
        return self._generation > 0 and self._guard_open and not key.startswith(self._prefixes)

    def readmit(self, key: bytes, entry: Entry) -> bool:
        assert isinstance(entry, ReferenceEntry)
        inside = entry.attached and entry.kind != Kind.HASH and self._allows(key)
        entry.generation = self._generation if inside else 0
        return inside

    def _servable(self, entry: ReferenceEntry) -> bool:
        inside = self._generation > 0 and entry.generation == self._generation
        return inside and self._guard_open and self._flags[entry.slot] != 0

    def plain_run(
        self, data: bytes, start: int, keys_max: int
    ) -> tuple[list[bytes], list[bytes] | None, int]:
        return plain_run(data, start, keys_max)

    def serve(
        self, data: bytes, now_ms: int, nil: bytes, hit_bits: int = SLOT_READ | SLOT_SOLE
    ) -> tuple[bytes, int]:
        if type(data) is not bytes or type(nil) is not bytes:
            raise TypeError("data and nil must be bytes")
        replies: list[bytes] = []
        consumed = produced = 0
        while consumed < len(data) and produced < SERVE_BYTES_MAX:
            command = parse(data, consumed)
            if command is None:
                break
            if command.key is None:
                reply: bytes | None = b"+PONG\r\n"
            elif command.reply is None:
                reply = self._serve_get(command.key, now_ms, nil, hit_bits)
            else:
                reply = self._serve_set(command, now_ms)
            if reply is None:
                break
            replies.append(reply)
            produced += len(reply)
            consumed = command.end
        return b"".join(replies), consumed

    def _serve_get(self, key: bytes, now_ms: int, nil: bytes, hit_bits: int) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            slot = self.slot_of(key)
            if not self._flags[slot] & SLOT_SOLE or not self._allows(key):
                return None
            self.gate_reads += 1
            self._mark(key, slot)
            return nil
        if not self._servable(entry) or not self._flags[entry.slot] & hit_bits:
            return None
        if gone(entry, now_ms):
            if not self._flags[entry.slot] & SLOT_SOLE:
                return None
            self.gate_reads += 1
            self._mark(entry.key, entry.slot)
            return nil
        self.gate_reads += 1
        self.gate_hits += 1
        self.touch(entry.key, entry)
        return entry.reply

    def _writable(self, flags: int) -> bool:
        """Whether the gate may write in a slot now: where others must learn of it, while they can."""
        if flags & SLOT_SOLE:
            return True
        return bool(flags & SLOT_WRITE) and len(self.touched) < self.touches_max

    def _serve_set(self, command: PlainCommand, now_ms: int) -> bytes | None:
        key, reply = command.key, command.reply
        assert key is not None
        assert reply is not None
        entry = self._entries.get(key)
        if entry is None:
            slot = self.slot_of(key)
            if not self._allows(key):
                return None
        else:
            slot = entry.slot
            if not self._servable(entry):
                return None
        if not self._writable(self._flags[slot]):
            return None
        size = len(key) + len(reply) - reply.index(b"\n") - 3 + ENTRY_OVERHEAD_BYTES
        growth = size - (0 if entry is None else entry.size)
        if growth > 0 and self.bytes_used + growth > self.inline_bytes_max:
            return None
        fresh = entry is None or entry.kind == Kind.TOMBSTONE
        stamp = (self.next_hlc(now_ms), self.node_tag, 0)
        stored = self._store(key, Kind.STRING, reply, stamp)
        if fresh:
            self.inserted.append(stored.key)
        elif self.lists_superseded and not stored.bare:
            self.superseded.append(stored.key)
        stored.bare = self.lists_superseded
        self.gate_writes += 1
        self._mark_write(stored.key, stored.slot)
        return b"+OK\r\n"
