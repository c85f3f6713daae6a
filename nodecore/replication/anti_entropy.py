"""Anti-entropy: owners of a slot compare digests and exchange what differs.

Hints die with the node that kept them; a copy that missed a write then stays behind until something
compares. The first live owner of a slot sends the others a digest of it, slot after slot, within a
budget for each step; an owner whose own digest differs says so and both stream the slot to each
other. Versions decide key by key, so an exchange never undoes anything.

A digest covers live entries that are older than a moment that travels with it: what is still on its
way to some owner does not count as a difference. Tombstones are left out, because owners collect
them at different times; a delete that an owner missed shows as a live entry too many. Slots that are
being copied, and slots from which an owner had to evict alone, are skipped.

Sources: the anti-entropy of Dynamo (2007), 4.7, without its trees: a slot is small enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import xxhash

from nodecore.ids import SLOTS_COUNT, NodeId, Now
from nodecore.placement.key_copies import KeyCopies
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Topology
from nodecore.replication.change_ports import ChangePorts, SlotStore
from nodecore.replication.streaming import Order, Sent, SlotStreams
from nodecore.table.interface import Kind
from transport.messages import ChangeStep, Lane

STEP_S: Final = 0.25
SLOTS_PER_STEP: Final = 512
"""An idle round over all slots takes eight seconds."""
ENTRIES_PER_STEP: Final = 2_000
"""Entries hashed in one step: some two milliseconds."""
SLOT_ENTRIES_MAX: Final = 20_000
"""A slot with more (one hash tag for everything) is not compared: it would stall the node."""
SETTLED_MS: Final = 2_000
"""Younger entries may still be on their way."""
PURPOSE: Final = "sync"
_MASK: Final = 2**64 - 1


class AntiEntropy:
    """One node's part in it.

    Args:
        ports: the node.
        store: its entries.
        streams: carries what differs.
        complete: 1 for each slot whose copy here is complete.
    """

    def __init__(
        self, ports: ChangePorts, store: SlotStore, streams: SlotStreams, complete: bytearray
    ) -> None:
        self._ports = ports
        self._store = store
        self._streams = streams
        self._complete = complete
        self._topology: Topology | None = None
        self._slot_map: SlotMap | None = None
        self._copies: KeyCopies | None = None
        """Set when owners of one slot hold different keys."""
        self._cursor = 0
        self.compared = 0
        """Slots whose digests were compared here."""
        self.differed = 0
        self.skipped = 0
        """Slots too large to compare."""

    def on_topology(self, topology: Topology, slot_map: SlotMap, copies: KeyCopies) -> None:
        """A newer document is in force."""
        self._topology, self._slot_map = topology, slot_map
        self._copies = copies if copies.mixed else None

    def step(self, now: Now) -> None:
        """Compare the next slots that this node is to compare."""
        topology, slot_map = self._topology, self._slot_map
        if topology is None or slot_map is None or topology.joint:
            return
        before_ms = now.wall_ms - SETTLED_MS
        found: dict[NodeId, list[list[int]]] = {}
        entries = 0
        live: dict[NodeId, bool] = {}
        for _looked in range(SLOTS_PER_STEP):
            slot = self._cursor
            self._cursor = (slot + 1) % SLOTS_COUNT
            others = self._others(slot_map.owners[slot], live)
            if others and self._may_compare(slot):
                entries += self._store.table.slot_count(slot)
                for other, digest in self._digests(slot, others, before_ms, now):
                    found.setdefault(other, []).append([slot, digest])
            if entries >= ENTRIES_PER_STEP:
                break
        for node, pairs in found.items():
            self._tell(node, topology, "digests", {"before_ms": before_ms, "digests": pairs})

    def _others(self, owners: tuple[NodeId, ...], live: dict[NodeId, bool]) -> list[NodeId]:
        """The other live owners, if this node is the first live one."""
        me = self._ports.node_id
        if me not in owners:
            return []
        for owner in owners:
            if owner not in live:
                live[owner] = owner == me or self._ports.is_live(owner)
        present = [owner for owner in owners if live[owner]]
        return present[1:] if present[0] == me else []

    def _may_compare(self, slot: int) -> bool:
        if not self._complete[slot] or slot in self._store.partial_slots:
            return False
        if self._store.table.slot_count(slot) > SLOT_ENTRIES_MAX:
            self.skipped += 1
            return False
        return True

    def _digests(
        self, slot: int, others: list[NodeId], before_ms: int, now: Now
    ) -> list[tuple[NodeId, int]]:
        """The digest for each owner: of the keys that it holds a copy of."""
        if self._copies is None:
            digest = self._digest(slot, before_ms, now)
            return [(other, digest) for other in others]
        return [(other, self._digest(slot, before_ms, now, other)) for other in others]

    def _digest(self, slot: int, before_ms: int, now: Now, holder: NodeId | None = None) -> int:
        """Of the live, settled entries of a slot; with ``holder`` only of those that belong there."""
        copies = self._copies
        place = None if copies is None or holder is None else copies.position(holder, slot)
        table = self._store.table
        if not table.slot_count(slot):
            return 0
        before_hlc = before_ms << 16
        total = 0
        for key in table.slot_keys(slot):
            entry = table.get(key)
            if entry is None or entry.kind == Kind.TOMBSTONE or entry.hlc > before_hlc:
                continue
            if 0 < entry.expires_ms <= now.wall_ms:
                continue
            if copies is not None and place is not None and copies.of(key) <= place:
                continue
            version = entry.hlc.to_bytes(8, "big") + entry.node.to_bytes(4, "big")
            total += xxhash.xxh3_64_intdigest(version + key)
        return total & _MASK

    def on_step(self, peer: NodeId, step: str, fields: Mapping[str, object], now: Now) -> None:
        """``digests``: compare them with ours. ``differ``: the other end wants these slots."""
        topology, slot_map = self._topology, self._slot_map
        if topology is None or slot_map is None or topology.joint:
            return
        if step == "differ":
            wanted = [slot for slot in _slots(fields.get("slots")) if self._is_mine(slot)]
            self._send_slots(peer, wanted, now)
            return
        before_ms = fields.get("before_ms")
        if not isinstance(before_ms, int):
            return
        differing: list[int] = []
        for slot, digest in _pairs(fields.get("digests")):
            if not self._is_mine(slot) or not self._may_compare(slot):
                continue
            self.compared += 1
            if self._digest(slot, before_ms, now, self._ports.node_id) != digest:
                differing.append(slot)
        if differing and not self._streams.is_running(peer, PURPOSE):
            self.differed += len(differing)
            self._tell(peer, topology, "differ", {"slots": differing})
            self._send_slots(peer, differing, now)

    def _is_mine(self, slot: int) -> bool:
        slot_map = self._slot_map
        return slot_map is not None and self._ports.node_id in slot_map.owners[slot]

    def _send_slots(self, peer: NodeId, slots: list[int], now: Now) -> None:
        if slots and not self._streams.is_running(peer, PURPOSE):
            self._streams.begin(Order(peer, "repair", slots, _ignore, purpose=PURPOSE), now)

    def _tell(self, node: NodeId, topology: Topology, step: str, fields: dict[str, object]) -> None:
        self._ports.send(node, Lane.CONTROL, 0, ChangeStep(topology.epoch, step, fields))


def _ignore(_sent: Sent, _now: Now) -> None:
    """Whatever did not arrive differs again in the next round."""


def _slots(plain: object) -> list[int]:
    if not isinstance(plain, list):
        return []
    return [slot for slot in plain if isinstance(slot, int) and 0 <= slot < SLOTS_COUNT]


def _pairs(plain: object) -> list[tuple[int, int]]:
    if not isinstance(plain, list):
        return []
    return [
        (pair[0], pair[1])
        for pair in plain
        if isinstance(pair, list) and len(pair) == 2 and _slots(pair[:1])
    ]
