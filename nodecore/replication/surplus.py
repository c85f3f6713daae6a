"""Copies beyond N: handed to the owners that stay, then dropped.

When N of a keyspace falls, a node is left with copies that nobody reads and no write reaches. They
may be the only ones of a write that an owner missed, so the node first streams them to the owners of
today, who take what is newer than theirs, and forgets them when every owner that has not failed has
acknowledged. What can't be delivered is tried again. Slots are worked through in stable documents
only, a number at a time.

It decides neither who owns what (the document) nor what is streamed when N rises (``filling``).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final

from nodecore.ids import SLOTS_COUNT, NodeId, Now, Version
from nodecore.limits import HINT_WINDOW_S
from nodecore.placement.key_copies import KeyCopies
from nodecore.placement.keyspace_edits import raised_positions
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Keyspace, Topology
from nodecore.replication.change_ports import (
    DROP_INTERVAL_S,
    DROPS_PER_STEP,
    ENTRIES_PER_LOOK,
    ChangePorts,
    SlotStore,
)
from nodecore.replication.streaming import Order, Sent, SlotStreams
from nodecore.timers import Timer, Timers

RETRY_S: Final = 2.0
"""Before owners that could not be reached are tried again."""
PURPOSE: Final = "surplus"


class Surplus:
    """One node's copies too many.

    Args:
        ports: the node.
        store: its entries.
        streams: carries what is handed over.
        timers: the node's.
    """

    def __init__(
        self, ports: ChangePorts, store: SlotStore, streams: SlotStreams, timers: Timers
    ) -> None:
        self._ports = ports
        self._store = store
        self._streams = streams
        self._timers = timers
        self._slots: dict[int, float] = {}
        """Slots to look through, and since when (monotonic seconds)."""
        self._dropping: dict[int, None] = {}
        self._open: dict[NodeId, bool] = {}
        self._failed = False
        self._copies: KeyCopies | None = None
        self._slot_map: SlotMap | None = None
        self._keyspaces: tuple[Keyspace, ...] = ()
        self._timer: Timer | None = None
        self.handed_over = 0
        """Entries that owners have acknowledged."""
        self.dropped = 0

    @property
    def left(self) -> int:
        """Slots that still have to be looked through."""
        return len(self._slots)

    def belongs(self, key: bytes) -> bool:
        """Whether a copy of ``key`` belongs on this node: it holds one, or is to hold one."""
        slot = self._store.table.slot_of(key)
        return self._copies is not None and self._copies.belongs(self._ports.node_id, slot, key)

    def add(self, slot: int, now: Now) -> None:
        """This node holds copies of the slot that may be too many."""
        self._slots.setdefault(slot, now.mono_s)

    def reclaim(self, slots: Iterable[int], now: Now) -> list[int]:
        """Whole slots belong here again; those of which what is left is too old to be kept.

        A delete that this node has not seen may be forgotten by the others after the window.
        """
        too_old: list[int] = []
        for slot in slots if self._slots else ():
            since_s = self._slots.pop(slot, None)
            self._dropping.pop(slot, None)
            if since_s is not None and now.mono_s - since_s > HINT_WINDOW_S:
                too_old.append(slot)
        return too_old

    def on_topology(
        self, topology: Topology, slot_map: SlotMap, copies: KeyCopies, now: Now
    ) -> None:
        """A newer document is in force."""
        past, self._keyspaces = self._keyspaces, topology.keyspaces
        # Raised the other way round: some keys had a copy at a place where they have none now.
        lowered = any(raised_positions(topology.keyspaces, past)) if past else False
        self._slot_map, self._copies = slot_map, copies
        self._open.clear()
        self._dropping.clear()
        self._timers.cancel(self._timer)
        self._timer = None
        if lowered and copies.mixed:
            me = self._ports.node_id
            for slot in range(SLOTS_COUNT):
                place = copies.position(me, slot)
                if place is not None and place >= copies.least:
                    self.add(slot, now)
        if self._slots and not topology.joint:
            self._timer = self._timers.schedule(now.mono_s, self._hand_over)

    def _hand_over(self, now: Now) -> None:
        """Stream what is too many here to the owners of today."""
        self._timer = None
        assert self._slot_map is not None
        by_owner: dict[NodeId, list[int]] = {}
        for slot in self._slots:
            if self._store.slot_count(slot):
                for owner in self._slot_map.owners[slot]:
                    if owner != self._ports.node_id:
                        by_owner.setdefault(owner, []).append(slot)
        wanted = {o: slots for o, slots in by_owner.items() if not self._ports.is_failed(o)}
        self._failed = False
        self._open = dict.fromkeys(wanted, True)
        for owner, slots in wanted.items():
            on_sent = partial(self._on_sent, owner)
            order = Order(owner, "repair", slots, on_sent, 0, PURPOSE, self._is_surplus)
            self._streams.begin(order, now)
        if not wanted:
            self._begin_drops(now)

    def _is_surplus(self, slot: int, key: bytes) -> bool:
        assert self._copies is not None
        return not self._copies.belongs(self._ports.node_id, slot, key)

    def _on_sent(self, owner: NodeId, sent: Sent, now: Now) -> None:
        self.handed_over += sent.entries
        if not sent.ended or owner not in self._open:
            return
        del self._open[owner]
        self._failed = self._failed or bool(sent.failed)
        if self._open:
            return
        if self._failed:
            self._timers.cancel(self._timer)
            self._timer = self._timers.schedule(now.mono_s + RETRY_S, self._hand_over)
        else:
            self._begin_drops(now)

    def _begin_drops(self, now: Now) -> None:
        self._dropping = dict.fromkeys(self._slots)
        self._timers.cancel(self._timer)
        self._timer = self._timers.schedule(now.mono_s, self._drop_some)

    def _drop_some(self, now: Now) -> None:
        self._timer = None
        for slot in list(self._dropping)[:DROPS_PER_STEP]:
            del self._dropping[slot]
            self._slots.pop(slot, None)
            self._drop(slot)
        if self._dropping:
            self._timer = self._timers.schedule(now.mono_s + DROP_INTERVAL_S, self._drop_some)

    def _drop(self, slot: int) -> None:
        assert self._copies is not None
        if self._copies.position(self._ports.node_id, slot) is None:
            self.dropped += self._store.drop_slot(slot)
            return
        after: bytes | None = None
        while entries := self._store.slot_entries(slot, after, ENTRIES_PER_LOOK):
            after = entries[-1][0]
            for key, _kind, _value, hlc, node, _expires_ms in entries:
                if self._is_surplus(slot, key):
                    self.dropped += self._store.give_up(key, Version(hlc, node))
