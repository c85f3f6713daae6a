"""What a table is: the entries of one node and the gate over them.

``reference.py`` (plain Python, the specification) and ``_table.pyx`` (compiled) implement exactly
this; a property test holds them equal. ``nodecore.table.make_table`` picks.

**The gate.** ``serve`` answers plain commands straight from the bytes of a wake-up. It may answer a
key only under rules that others set: ``set_slots`` gives two bits per slot, ``open_gate`` a
generation; an entry is served while its own ``generation`` equals the table's. Bumping the
generation empties the gate in O(1) without touching the entries; ``readmit`` (called by the long
way and by the sweep) lets an entry back in.

**Queues.** The table tallies entries and bytes per policy queue, because inline writes change sizes
behind the policy's back. ``assign`` moves an entry between queues. An entry object lives from the
moment its key becomes live until it is removed or becomes a tombstone (or the reverse); then it is
*detached*: its queue is 0 for ever, so that a reference left in a policy's queue is known stale.

**Versions.** The table holds the hybrid logical clock's high-water mark, because the gate's inline
writes must draw from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, Protocol

from nodecore.table.orders import OrderMaker

SLOT_CLOSED: Final = 0
SLOT_READ: Final = 1
"""Bit: this node owns the slot and serves R=1 reads; hits may be answered inline."""
SLOT_SOLE: Final = 2
"""Bit: this node is the only owner: misses are authoritative, plain writes are inline."""
SLOT_WRITE: Final = 8
"""Bit: as SLOT_SOLE for plain writes alone. Somebody beside the table must learn of each of them, from
``written``: when that is full, they take the long way. Misses do so too."""
SLOT_FIRST: Final = 4
"""Bit: this node is the slot's first owner: clients that follow redirects are served here."""


ENTRY_OVERHEAD_BYTES: Final = 192
"""What an entry of the compiled table costs beyond key and value: two object headers with their
rounding (90), the record (64), hash cell (18), slot index (10), reference in a policy queue (9)."""
HLC_MAX: Final = (1 << 62) - 1
"""Greatest clock value that is stored (the year 4199): one more never overflows 64 signed bits."""
SERVE_BYTES_MAX: Final = 1024 * 1024
"""``serve`` stops once its replies reach this, so that a deep pipeline of large values is bounded."""
MULTI_GET_BYTES_MAX: Final = 16 * 1024 * 1024
"""``multi_get`` answers nothing more once its values reach this: no link carries a longer answer."""
BANDS_COUNT: Final = 128
"""Bands of neighbouring slots, all of one width, by which touches are tallied."""
QUEUE_TOMBSTONES: Final = 63
QUEUES_COUNT: Final = 64


class Kind(IntEnum):
    """Type byte of an entry. Numeric values are part of wire and disk formats."""

    STRING = 0
    HASH = 1
    TOMBSTONE = 255


class Entry(Protocol):
    """One key's record. Implementations have no ``__dict__`` and are not tracked by the collector."""

    @property
    def value(self) -> bytes:
        """The payload (a copy); b"" for tombstones."""

    @property
    def reply(self) -> bytes:
        """Ready-made RESP bulk reply (``$n``, payload, line ends); the nil reply for tombstones."""

    @property
    def key(self) -> bytes: ...

    @property
    def hlc(self) -> int: ...

    @property
    def node(self) -> int: ...

    @property
    def expires_ms(self) -> int:
        """Wall-clock milliseconds; 0 = never."""

    @property
    def slot(self) -> int: ...

    counter: int
    """Policy counter: saturating reference count 0..3 for queue policies."""

    bare: bool
    """Whether the disk has no record of its key, once those of ``inserted`` and ``superseded`` are gone. A
    new entry is not; an inline write makes it so while the table ``lists_superseded``; who writes and
    removes records keeps it true."""

    @property
    def queue(self) -> int:
        """Policy queue 1..62 (see ``Table.assign``); 0 = none, QUEUE_TOMBSTONES for tombstones."""

    @property
    def kind(self) -> int: ...

    @property
    def generation(self) -> int:
        """Gate generation that the entry was admitted to; 0 = outside."""

    @property
    def size(self) -> int:
        """Accounting bytes: key, value and ENTRY_OVERHEAD_BYTES."""

    def snapshot(self) -> Entry:
        """A detached copy that shares the payload."""

    def release(self) -> None:
        """Drop the payload of a detached entry; references to it may linger in policy queues.

        Raises:
            ValueError: the entry is still in a table.
        """


class Table(OrderMaker, Protocol):
    """The entries of a node."""

    compiled: bool
    touched: list[bytes]
    """Keys that reads and inline writes touched since it was last cleared, in order; capped by
    ``touches_max`` (then ``touches_lost`` counts)."""
    touches_lost: int
    touches_max: int
    written: list[bytes]
    """Those of ``touched`` that were inline writes, in order."""
    writes_lost: int
    """Those of ``touches_lost`` that were inline writes."""
    inserted: list[bytes]
    """New keys that inline writes created, to be taken by the policy before the next mutation."""
    superseded: list[bytes]
    """Other keys that inline writes stored, of entries that were not ``bare``."""
    lists_superseded: bool
    """Whether anybody takes ``superseded``."""
    expiring: list[tuple[int, bytes]]
    """(expires_ms, key) that inline writes set, to be taken by the expiry wheel."""
    older: list[int]
    """Positions that the last ``multi_put`` left alone, because what was there is newer or equal."""
    gate_reads: int
    gate_hits: int
    gate_writes: int
    bytes_used: int
    """Accounting bytes of keys, values and overhead, tombstones included."""
    inline_bytes_max: int
    """Inline writes stop (and take the long way) when ``bytes_used`` reaches this."""
    hlc_high: int
    """Highest clock value given out or observed."""
    node_tag: int
    """Tag that inline writes carry."""

    @property
    def generation(self) -> int:
        """Gate generation; 0 until the gate is first opened: nothing is served."""

    def __len__(self) -> int: ...
    def __contains__(self, key: bytes) -> bool: ...

    def get(self, key: bytes) -> Entry | None:
        """The entry, tombstones and expired ones included; no touch."""

    def put(
        self, key: bytes, kind: int, value: bytes, hlc: int, node: int, expires_ms: int
    ) -> Entry:
        """Store unconditionally. A replaced live entry keeps ``counter`` and ``queue``; a change
        between live and tombstone detaches the old entry, released, and makes a new one in no queue
        (tombstones: in QUEUE_TOMBSTONES). Admitted to the gate as ``readmit`` would.

        Raises:
            TypeError: key or value is not bytes.
            ValueError: kind, node, hlc or expiry is out of range.
        """

    def remove(self, key: bytes) -> Entry | None:
        """Forget the key altogether; returns the detached entry, payload intact."""

    def assign(self, entry: Entry, queue: int) -> None:
        """Move an entry to a policy queue.

        Raises:
            ValueError: the entry is detached or a tombstone, or the queue is not in 0..62.
        """

    def queue_bytes(self, queue: int) -> int:
        """Sum of ``size`` over the entries of a queue."""

    def queue_count(self, queue: int) -> int:
        """Entries of a queue."""

    def touch(self, key: bytes, entry: Entry) -> None:
        """What the gate does on a hit: bump the counter, append to ``touched``, tally the band."""

    def note(self, keys: Sequence[bytes]) -> None:
        """Uses of keys that the table has not seen itself: into the tally of the bands.

        Raises:
            TypeError: a key is not bytes.
        """

    def take_bands(self) -> list[int]:
        """Touches and notes since the last call by band of slots, those beyond the cap included."""

    def slot_of(self, key: bytes) -> int:
        """CRC16/XMODEM of the hash-tag part modulo 16384."""

    def slots_of(self, keys: Sequence[bytes]) -> list[int]:
        """``slot_of`` for many."""

    def slot_count(self, slot: int) -> int:
        """Entries in a slot, tombstones included."""

    def slot_live(self, slot: int) -> int:
        """Entries in a slot that are not tombstones; expired ones count until they are swept."""

    def slot_keys(self, slot: int) -> list[bytes]:
        """Keys of a slot in order of insertion, tombstones included."""

    def split(self, keys: Sequence[bytes], groups: bytes) -> list[list[int]]:
        """Positions in ``keys`` by group, where ``groups`` has one group number per slot.

        Returns as many lists as the greatest number in ``groups`` plus one.

        Raises:
            ValueError: ``groups`` is not 16384 bytes.
        """

    def next_hlc(self, wall_ms: int) -> int:
        """A clock value above everything seen: max(hlc_high + 1, wall_ms << 16)."""

    def multi_get(self, keys: Sequence[bytes], now_ms: int) -> list[bytes | None]:
        """Values that the gate may serve; None where it may not or knows nothing, and for every key
        after the values have reached MULTI_GET_BYTES_MAX. Touches.
        """

    def multi_put(
        self, keys: Sequence[bytes], values: Sequence[bytes], hlc: int, node: int, expires_ms: int
    ) -> list[bytes]:
        """Store those that are newer than what is there; returns the keys that were unknown
        or tombstones and are live now.

        A tie of (hlc, node) is settled by ``nodecore.table.tie``. Entries are admitted to the gate
        as ``readmit`` would.

        Raises:
            TypeError: a key or value is not bytes.
            ValueError: the sequences differ in length.
        """

    def set_slots(self, flags: bytes) -> None:
        """16384 bytes of SLOT_* bits, swapped at once."""

    def set_guard(self, prefixes: Sequence[bytes], default_open: bool) -> None:
        """Keys beginning with one of ``prefixes`` (keyspaces that the gate must not serve) are never
        admitted nor written inline; ``default_open`` False shuts the gate for every key.
        """

    def open_gate(self, generation: int) -> None:
        """Start a new generation: every entry is outside until readmitted.

        Raises:
            ValueError: the number is not above ``generation``.
        """

    def readmit(self, key: bytes, entry: Entry) -> bool:
        """Let an entry be served if the guard allows its key; returns whether it is now inside."""

    def plain_run(
        self, data: bytes, start: int, keys_max: int
    ) -> tuple[list[bytes], list[bytes] | None, int]:
        """The run of plain GETs, or of plain SETs, that begins at ``start``; changes nothing.

        Recognises exactly the commands that ``serve`` does. Returns (keys, values or None for GETs,
        offset behind the run); no keys when another command, or half of one, is there.

        Raises:
            TypeError: ``data`` is not bytes.
            ValueError: ``start`` is negative.
        """

    def serve(
        self, data: bytes, now_ms: int, nil: bytes, hit_bits: int = SLOT_READ | SLOT_SOLE
    ) -> tuple[bytes, int]:
        """Answer complete plain commands at the front of ``data``: GET key; SET key value where inline
        writes are allowed; PING without argument.

        Stops at the first command that it does not serve or that is incomplete, split or odd in
        any way. ``hit_bits``: the bits of which a slot needs one for its hits to be answered. Returns
        (replies, consumed bytes).
        """
