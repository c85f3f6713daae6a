"""Anti-entropy: owners of a slot compare digests and exchange what differs.

Hints die with the node that kept them; a copy that missed a write then stays behind until something
compares. The first live owner of a slot sends the others a digest of it, within a budget for each
step: one digest for all slots of the step that the two hold in common. An owner whose own digest
differs asks for the parts of that group, and so on down to single slots, which both stream to each
other: what agrees costs one digest for hundreds of slots, and a difference a few digests more.
Versions decide key by key, so an exchange never undoes anything.

A digest covers live entries that are older than a moment that travels with it: what is still on its
way to some owner does not count as a difference. Tombstones are left out, because owners collect
them at different times; a delete that an owner missed shows as a live entry too many. Slots that are
being copied, and slots from which an owner had to evict alone, are skipped.

Sources: the anti-entropy of Dynamo (2007), 4.7; its trees are made anew for each comparison here, out
of slots, because a digest of a slot holds for one moment only.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import compress
from typing import Final

import xxhash

from nodecore.ids import SLOTS_COUNT, NodeId, Now
from nodecore.placement.key_copies import KeyCopies
from nodecore.placement.ring import Owners
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Topology
from nodecore.replication.change_ports import ChangePorts, SlotStore
from nodecore.replication.slot_groups import decode_group, encode_group, split_group
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
STEPS: Final = ("digests", "narrow", "differ")
"""Words of ``ChangeStep`` that belong here."""
GROUPS_MAX: Final = 4_096
"""Of one message that are answered; together they name each slot once at most."""
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
        self.rounds = 0
        """How often this node has gone over all slots."""

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
        groups: dict[NodeId, list[int]] = {}
        entries = 0
        live: dict[NodeId, bool] = {}
        compared: dict[Owners, list[list[int]]] = {}
        # A group's slots ascend: a step ends at the last slot.
        slots = range(self._cursor, min(self._cursor + SLOTS_PER_STEP, SLOTS_COUNT))
        owned = slot_map.owners[slots.start : slots.stop]
        for slot, owners, held in zip(slots, owned, self._store.slot_counts(slots), strict=True):
            others = compared.get(owners)
            if others is None:
                others = [groups.setdefault(name, []) for name in self._others(owners, live)]
                compared[owners] = others
            self._cursor = slot + 1
            if others and self._may_compare(slot, held):
                entries += held
                for group in others:
                    group.append(slot)
                if entries >= ENTRIES_PER_STEP:
                    break
        if self._cursor == SLOTS_COUNT:
            self._cursor = 0
            self.rounds += 1
        known: dict[int, int] = {}
        for node, group in groups.items():
            if not group:
                continue
            digest = self._group_digest(group, before_ms, now, node, known)
            fields: dict[str, object] = {
                "before_ms": before_ms,
                "first": True,
                "groups": [[encode_group(group), digest]],
            }
            self._tell(node, topology, "digests", fields)

    def _others(self, owners: tuple[NodeId, ...], live: dict[NodeId, bool]) -> list[NodeId]:
        """The other live owners, if this node is the first live one; ``live`` remembers who is."""
        me = self._ports.node_id
        if me not in owners:
            return []
        for owner in owners:
            if owner not in live:
                live[owner] = owner == me or self._ports.is_live(owner)
        present = [owner for owner in owners if live[owner]]
        return present[1:] if present[0] == me else []

    def _may_compare(self, slot: int, held: int) -> bool:
        if not self._complete[slot] or slot in self._store.partial_slots:
            return False
        if held > SLOT_ENTRIES_MAX:
            self.skipped += 1
            return False
        return True

    def _comparable(self, slots: list[int]) -> list[int]:
        mine = [slot for slot in slots if self._is_mine(slot)]
        held = self._store.slot_counts(mine)
        return [
            slot for slot, count in zip(mine, held, strict=True) if self._may_compare(slot, count)
        ]

    def _group_digest(
        self,
        slots: list[int],
        before_ms: int,
        now: Now,
        holder: NodeId,
        known: dict[int, int] | None = None,
    ) -> int:
        """Of all keys in some slots that ``holder`` has a copy of.

        ``known`` remembers digests of slots that are the same for every holder.
        """
        filled = list(compress(slots, self._store.slot_counts(slots)))
        if self._copies is not None:
            digests = (self._digest(slot, before_ms, now, holder) for slot in filled)
        elif known is None:
            digests = (self._digest(slot, before_ms, now) for slot in filled)
        else:
            for slot in filled:
                if slot not in known:
                    known[slot] = self._digest(slot, before_ms, now)
            digests = (known[slot] for slot in filled)
        return sum(digests) & _MASK

    def _digest(self, slot: int, before_ms: int, now: Now, holder: NodeId | None = None) -> int:
        """Of the live, settled entries of a slot; with ``holder`` only of those that belong there."""
        copies = self._copies
        place = None if copies is None or holder is None else copies.position(holder, slot)
        before_hlc = before_ms << 16
        total = 0
        for key, kind, hlc, node, expires_ms in self._store.slot_heads(slot):
            if kind == Kind.TOMBSTONE or hlc > before_hlc:
                continue
            if 0 < expires_ms <= now.wall_ms:
                continue
            if copies is not None and place is not None and copies.of(key) <= place:
                continue
            version = hlc.to_bytes(8, "big") + node.to_bytes(4, "big")
            total += xxhash.xxh3_64_intdigest(version + key)
        return total & _MASK

    def on_step(self, peer: NodeId, step: str, fields: Mapping[str, object], now: Now) -> None:
        """``digests``: compare them with ours. ``narrow``: the other end wants the parts of these
        groups. ``differ``: it wants these slots.
        """
        topology, slot_map = self._topology, self._slot_map
        if topology is None or slot_map is None or topology.joint:
            return
        if step == "differ":
            wanted = [slot for slot in _slots(fields.get("slots")) if self._is_mine(slot)]
            self._send_slots(peer, wanted, now)
            return
        before_ms, groups = fields.get("before_ms"), fields.get("groups")
        if not isinstance(before_ms, int) or not isinstance(groups, list):
            return
        if step == "digests":
            first = fields.get("first") is True
            self._compare(peer, topology, _pairs(groups), before_ms, now, first=first)
        else:
            self._narrow(peer, topology, groups, before_ms, now)

    def _compare(
        self,
        peer: NodeId,
        topology: Topology,
        pairs: list[tuple[list[int], int]],
        before_ms: int,
        now: Now,
        *,
        first: bool,
    ) -> None:
        """Answer with what differs: slots, and groups whose parts have to be looked at."""
        differing: list[int] = []
        wider: list[bytes] = []
        for slots, digest in pairs:
            mine = self._comparable(slots)
            self.compared += len(mine) if first else 0
            own = self._ports.node_id
            if not mine or self._group_digest(mine, before_ms, now, own) == digest:
                continue
            if len(slots) == 1:
                differing += mine
            else:
                wider.append(encode_group(mine))
        if self._streams.is_running(peer, PURPOSE):
            return
        if wider:
            self._tell(peer, topology, "narrow", {"before_ms": before_ms, "groups": wider})
        if differing:
            self.differed += len(differing)
            self._tell(peer, topology, "differ", {"slots": differing})
            self._send_slots(peer, differing, now)

    def _narrow(
        self, peer: NodeId, topology: Topology, groups: list[object], before_ms: int, now: Now
    ) -> None:
        """Send the digests of the parts of some groups."""
        parts: list[list[object]] = []
        for group in _groups(groups):
            slots = self._comparable(group)
            parts += [
                [encode_group(part), self._group_digest(part, before_ms, now, peer)]
                for part in split_group(slots)
            ]
        if parts:
            self._tell(peer, topology, "digests", {"before_ms": before_ms, "groups": parts})

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


def _groups(plain: list[object]) -> list[list[int]]:
    """Well-formed groups of a peer."""
    return [slots for slots, _rest in _pairs([[group, 0] for group in plain[:GROUPS_MAX]])]


def _pairs(plain: list[object]) -> list[tuple[list[int], int]]:
    """Well-formed groups and their digests, as long as they name no more slots than there are."""
    found: list[tuple[list[int], int]] = []
    left = SLOTS_COUNT
    for pair in plain[:GROUPS_MAX]:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[1], int):
            continue
        slots = decode_group(pair[0])
        left -= len(slots)
        if left < 0:
            break
        if slots:
            found.append((slots, pair[1]))
    return found
