"""What a table is: the entries of one node and the gate over them.

``reference.py`` (plain Python, the specification) and ``_table.pyx`` (compiled) implement exactly
this; a property test holds them equal. ``nodecore.table.make_table`` picks.

**The gate.** ``serve`` answers plain commands straight from the bytes of a wake-up. It may answer a
key only under rules that others set: ``set_slots`` gives two bits per slot, ``open_gate`` a
generation; an entry is served while its own ``generation`` equals the table's. Bumping the
generation empties the gate in O(1) without touching the entries; ``readmit`` (called by the long
way and by the sweep) lets an entry back in.

**Versions.** The table holds the hybrid logical clock's high-water mark, because the gate's inline
writes must draw from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, Protocol

SLOT_CLOSED: Final = 0
SLOT_READ: Final = 1
"""Bit: this node owns the slot and serves R=1 reads; hits may be answered inline."""
SLOT_SOLE: Final = 2
"""Bit: this node is the only owner: misses are authoritative, plain writes are inline."""


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

    hlc: int
    node: int
    expires_ms: int
    slot: int
    counter: int
    """Policy counter: saturating reference count 0..3 for queue policies."""
    queue: int
    """Policy's own small number (which queue the entry is in)."""
    kind: int
    generation: int


class Table(Protocol):
    """The entries of a node."""

    compiled: bool
    touched: list[bytes]
    """Keys that reads and inline writes touched since it was last cleared, in order; capped by
    ``touches_max`` (then ``touches_lost`` counts)."""
    touches_lost: int
    touches_max: int
    inserted: list[bytes]
    """New keys that inline writes created, to be taken by the policy before the next mutation."""
    expiring: list[tuple[int, bytes]]
    """(expires_ms, key) that inline writes set, to be taken by the expiry wheel."""
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

    def __len__(self) -> int: ...
    def __contains__(self, key: bytes) -> bool: ...

    def get(self, key: bytes) -> Entry | None:
        """The entry, tombstones and expired ones included; no touch."""

    def put(
        self, key: bytes, kind: int, value: bytes, hlc: int, node: int, expires_ms: int
    ) -> Entry:
        """Store unconditionally. A replaced entry keeps ``counter`` and ``queue``."""

    def remove(self, key: bytes) -> Entry | None:
        """Forget the key altogether."""

    def touch(self, key: bytes, entry: Entry) -> None:
        """What the gate does on a hit: bump the counter, append to ``touched``."""

    def slot_of(self, key: bytes) -> int:
        """CRC16/XMODEM of the hash-tag part modulo 16384."""

    def slots_of(self, keys: Sequence[bytes]) -> list[int]:
        """``slot_of`` for many."""

    def slot_count(self, slot: int) -> int:
        """Entries in a slot, tombstones included."""

    def slot_keys(self, slot: int) -> list[bytes]:
        """Keys of a slot in order of insertion, tombstones included."""

    def next_hlc(self, wall_ms: int) -> int:
        """A clock value above everything seen: max(hlc_high + 1, wall_ms << 16)."""

    def multi_get(self, keys: Sequence[bytes], now_ms: int) -> list[bytes | None]:
        """Values that the gate may serve; None where it may not or knows nothing. Touches."""

    def multi_put(
        self, keys: Sequence[bytes], values: Sequence[bytes], hlc: int, node: int, expires_ms: int
    ) -> list[bytes]:
        """Store those that are newer than what is there; returns the keys that were new to the table.

        A tie of (hlc, node) keeps the greater value (see ``versions``). Entries are admitted to
        the gate when the table's ``admit`` rule says so.

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
        """Start a new generation: every entry is outside until readmitted."""

    def readmit(self, key: bytes, entry: Entry) -> bool:
        """Let an entry be served if the guard allows its key; returns whether it is now inside."""

    def serve(self, data: bytes, now_ms: int, nil: bytes) -> tuple[bytes, int]:
        """Answer complete plain commands at the front of ``data``: GET key; SET key value where inline
        writes are allowed; PING without argument.

        Stops at the first command that it does not serve or that is incomplete, split or odd in
        any way. Returns (replies, consumed bytes).
        """
