"""What a node does once per tick: heat, evictions told to the others, hints, clock, partition, memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nodecore.effects import Emit, Severity
from nodecore.ids import NodeId, Now, Version
from nodecore.limits import BATCH_KEYS_MAX
from nodecore.node_faults import expire_faults
from nodecore.node_statistics import operations
from nodecore.placement.voters import voter_sets
from transport.messages import Drop, Lane

if TYPE_CHECKING:
    from nodecore.node import Node

TOUCHES_AT_ONCE: Final = 4096
"""Some 0.3 ms of counting."""
SAMPLES_AT_ONCE: Final = 32
"""Of them for the shadow caches: some 0.5 ms."""
DROP_BYTES_MAX: Final = 512 * 1024
"""Keys in one Drop frame."""
RESIDENT_SHARE_MAX: Final = 1.5
RESIDENT_SPARE_BYTES: Final = 150 * 1024 * 1024
"""What the process may occupy: its limit of accounted memory times the share, and this for the program
and its buffers. More means that memory leaks or fragments, which no eviction mends."""
RESIDENT_EASE_SHARE: Final = 0.95
"""Below this share of the bound it is over."""


class Ticker:
    """The tick of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._sound_clock = True
        self._bloated = False

    def relieve(self) -> None:
        """Between ticks: count the uses of a busy node while they are few, and still in the
        processor's caches. Left to the tick they would hold up every request for many milliseconds.
        """
        node = self._node
        if len(node.table.touched) + node.heat.waiting >= TOUCHES_AT_ONCE:
            node.heat.count(*node.store.take_touches(SAMPLES_AT_ONCE))

    def tick(self, now: Now) -> None:
        """One tick."""
        node = self._node
        idle_share = node.recorder.measure_idle(now)
        report = node.store.tick(now, idle_share)
        node.heat.count(*report.touches)
        if node.disk_upkeep is not None:
            node.disk_upkeep.tick(now, idle_share)
        node.heat.tick(now)
        node.recorder.note_operations(sum(operations(node)), now)
        if report.evicted:
            self._tell_evictions(report.evicted)
        node.clock.offset_ms = node.membership.clock_offset_ms()
        node.clock.tick(now)
        node.merging.tick(now)
        sound = node.clock.may_coordinate(now)
        if sound != self._sound_clock:
            self._sound_clock = sound
            node.standing.refresh_gate(now)
        self._look_for_voters()
        self._watch_resident()
        node.standing.ready(now)
        expire_faults(node, now)
        node.change_history.tick(node.membership.is_live, now)
        node.coordinator.tick(now)
        node.strong.tick(now)

    def _look_for_voters(self) -> None:
        """Of the voters of both sets (in a joint document) the fewest, in proportion, that live."""
        document = self._node.chain.document
        if document is None:
            return
        counts = [
            (sum(1 for voter in voters if self._node.is_live(voter)), len(voters))
            for voters in voter_sets(document)
        ]
        self._node.coordinator.policy.note_voters(*min(counts, key=lambda pair: pair[0] / pair[1]))

    def _watch_resident(self) -> None:
        """Say when the process occupies more than its limit explains, and when that is over."""
        node = self._node
        resident = int(node.recorder.process.get("rss_bytes", 0))
        bound = int(RESIDENT_SHARE_MAX * node.store.bytes_max) + RESIDENT_SPARE_BYTES
        if not self._bloated and resident > bound:
            self._bloated = True
            text = (
                f"the process occupies {resident >> 20} MiB, more than {bound >> 20} MiB which maxmemory "
                f"of {node.store.bytes_max >> 20} MiB explains: lower maxmemory, or restart this node"
            )
            fields = (("rss_bytes", resident), ("bound_bytes", bound))
            node.emit(Emit("memory.resident", text, Severity.WARNING, fields))
        elif self._bloated and resident < RESIDENT_EASE_SHARE * bound:
            self._bloated = False
            text = f"the process occupies {resident >> 20} MiB again"
            node.emit(Emit("memory.resident", text, Severity.NOTICE))

    def _tell_evictions(self, evicted: list[tuple[bytes, Version]]) -> None:
        """The other owners drop what this node decided to drop, up to that version."""
        node = self._node
        if node.standing.routing is None:
            return
        frames: dict[NodeId, tuple[list[list[object]], int]] = {}
        for key, version in evicted:
            route = node.standing.routing.route(key, node.table.slot_of(key))
            entry: list[object] = [key, version.hlc, version.node]
            for owner in route.targets:
                if owner == node.node_id or not node.is_live(owner):
                    continue
                entries, size = frames.get(owner, ([], 0))
                if entries and (len(entries) >= BATCH_KEYS_MAX or size + len(key) > DROP_BYTES_MAX):
                    self._send(owner, entries)
                    entries, size = [], 0
                entries.append(entry)
                frames[owner] = (entries, size + len(key))
        for owner, (entries, _size) in frames.items():
            self._send(owner, entries)

    def _send(self, owner: NodeId, entries: list[list[object]]) -> None:
        message = Drop(epoch=self._node.epoch(), entries=entries)
        self._node.send(owner, Lane.DATA, 0, message)
