"""What the gate of this node may answer: the rules of design, applied to the table.

The gate serves hits of plain eventual keyspaces at R=1 in slots that this node owns and whose copies
are complete; inline writes only where no other node holds a copy and this node's clock may be
trusted with versions. Any change of the rules swaps the gate for an empty one; the sweep refills it.
"""

from __future__ import annotations

from nodecore.routing import Routing
from nodecore.table.interface import SLOT_READ, SLOT_SOLE, SLOT_WRITE, Table

_READ_ONLY = bytes(flag & ~(SLOT_SOLE | SLOT_WRITE) & 0xFF for flag in range(256))
assert _READ_ONLY[SLOT_READ | SLOT_SOLE | SLOT_WRITE] == SLOT_READ
assert SLOT_WRITE == SLOT_SOLE << 2


class GateRules:
    """Keeps the table's slots, guard and generation in step with the node."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._flags = b""
        self._guard: tuple[tuple[bytes, ...], bool] | None = None
        self._flushes = -1

    def refresh(
        self,
        routing: Routing,
        unfilled: bytes | None,
        *,
        may_coordinate: bool,
        closed: bytes | None = None,
        writes_told: bool = False,
    ) -> None:
        """Apply the rules as they are now; cheap when nothing has changed.

        ``closed``: SLOT_SOLE for slots in which something beside the table may hold what it misses;
        ``writes_told``: plain writes are inline there all the same, because that learns of them.
        """
        flags = routing.gate_flags(unfilled)
        if closed is not None:
            bits, mask = int.from_bytes(flags, "big"), int.from_bytes(closed, "big")
            told = (bits & mask) << 2 if writes_told else 0
            flags = (bits & ~mask | told).to_bytes(len(flags), "big")
        if not may_coordinate:
            # An inline write draws a version: without a sound clock it takes the long way.
            flags = flags.translate(_READ_ONLY)
        guard = (tuple(routing.guarded_prefixes), routing.default_plain)
        flushes = routing.topology.flushes
        if guard != self._guard or flushes != self._flushes:
            self._guard, self._flushes = guard, flushes
            self._table.set_guard(guard[0], guard[1])
            self._table.open_gate(self._table.generation + 1)
        if flags != self._flags:
            self._flags = flags
            self._table.set_slots(flags)
