"""What a node has its disk tier do: what keyspaces ask of it, its upkeep, and what a loss on it means.

A record that can't be read is unknown: the slot is no longer complete here, so this node answers
nothing of it from its own knowledge until other owners have sent what they have. Warming, scrub and
the copies of hot keys run in small steps beside the requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from nodecore.effects import Emit, Severity
from nodecore.ids import SLOTS_COUNT, NodeId, Now
from nodecore.placement.topology import Keyspace, Topology
from nodecore.statistics import DiskStatistics
from nodecore.storage.disk import Durability
from nodecore.storage.memory import Store
from nodecore.storage.ranking import Ranking
from nodecore.storage.records import RANK_MAX
from nodecore.storage.scrub import Scrub
from nodecore.storage.tier import CLOSED_SLOTS_MAX, REST_S
from nodecore.storage.tiered import TieredStore
from nodecore.storage.warming import Warming
from nodecore.table.interface import SLOT_SOLE

if TYPE_CHECKING:
    from nodecore.node import Node

WARM_STEP_S: Final = 0.005
WARM_RECORDS_PER_STEP: Final = 250
"""One or two milliseconds: a third of a processor, and no request waits much longer than otherwise."""
HOT_KEYS_WRITTEN_MAX: Final = 50
ALONE_SLOTS_CLOSED_MAX: Final = CLOSED_SLOTS_MAX // 2
"""In so many slots that no other node holds, hot keys may have the first record."""
_DURABILITY: Final = {
    "memory": Durability.MEMORY,
    "process": Durability.PROCESS,
    "power": Durability.POWER,
}


@final
class DiskUpkeep:
    """The disk tier of one node.

    Args:
        node: whose.
        store: its entries in memory and on disk.
    """

    def __init__(self, node: Node, store: TieredStore) -> None:
        self._node = node
        self._store = store
        self._warming: Warming | None = None
        self._scrub = Scrub(store, self._holds, node.config.scrub_bytes_per_s)
        self._ranking = Ranking(store)
        self._lost: dict[int, None] = {}
        self._warm_told = False
        self._refusing = False
        self._drain: list[bytes] | None = None
        store.tier.on_unknown = self._on_unknown
        store.tier.on_refused = self._on_refused
        store.tier.attach(node.disk)
        # Last: before the node is composed there is no gate to be closed.
        store.tier.on_closed = lambda: node.standing.refresh_gate(node.now)
        node.coordinator.replica.disk = node.disk

    def _holds(self, slot: int) -> bool:
        """Whether copies of a slot belong here; before any topology is known, all may."""
        return self._node.standing.routing is None or self._node.topology_changes.holds(slot)

    # -- keyspaces

    def on_topology(self, document: Topology) -> None:
        """Keyspaces may promise otherwise than before."""
        asking = any(_asks(keyspace) for keyspace in document.keyspaces)
        self._store.durability_of = self._durability_of if asking else None

    @property
    def closed(self) -> bytes:
        """SLOT_SOLE where the disk may hold what memory misses, or must learn of a write at once."""
        if self._store.durability_of is not None:
            return _ALL_CLOSED
        return bytes(self._store.tier.closed)

    @property
    def writes_told(self) -> bool:
        """Whether it is soon enough to learn of the gate's writes when entries move or a tick comes."""
        return self._store.durability_of is None

    def _durability_of(self, key: bytes) -> tuple[Durability, bool]:
        routing = self._node.standing.routing
        assert routing is not None
        keyspace = routing.route(key, self._store.table.slot_of(key)).keyspace
        if keyspace.mode != "eventual":
            return Durability.MEMORY, False
        return _DURABILITY[keyspace.durability], keyspace.write_through

    # -- accidents

    def _on_unknown(self, slot: int) -> None:
        """From now on this node knows too little of a slot to answer for it."""
        changes = self._node.topology_changes
        if changes.is_complete(slot):
            changes.filling.complete[slot] = 0
            self._node.standing.refresh_gate(self._node.now)
            self._lost[slot] = None

    def _on_refused(self, text: str) -> None:
        self._refusing = True
        self._node.emit(
            Emit(
                "l2.refused",
                f"the disk takes no more cached entries ({text}); tried again in {REST_S:.0f} s",
                Severity.WARNING,
            )
        )

    # -- upkeep

    def start(self, now: Now) -> None:
        """Begin to fill memory from the disk."""
        self._warming = Warming(self._store, self._holds, now)
        self._warm(now)

    def _warm(self, now: Now) -> None:
        warming = self._warming
        assert warming is not None
        warming.step(WARM_RECORDS_PER_STEP, now)
        if not warming.done:
            self._node.timers.schedule(now.mono_s + WARM_STEP_S, self._warm)
        elif warming.found and not self._warm_told:
            self._warm_told = True
            text = (
                f"{warming.lifted} of {warming.found} entries on disk brought back to memory "
                f"in {warming.took_s:.1f} s"
            )
            fields = (("found", warming.found), ("lifted", warming.lifted))
            self._node.emit(Emit("l2.warm", text, Severity.NOTICE, fields))

    def tick(self, now: Now, idle_share: float) -> None:
        """Once per tick of the node, see ``Store.tick``."""
        if self._refusing and not self._store.tier.read_only:
            self._refusing = False
            self._node.emit(Emit("l2.writable", "cached entries are written to disk again"))
        self._copy_hot_keys()
        self._ranking.step(idle_share)
        self._scrub.step(now)
        self._scrub.make_room()
        if self._lost and self._node.standing.routing is not None:
            count = len(self._lost)
            self._lost.clear()
            text = f"records of {count} slots can't be read: other owners are asked"
            self._node.emit(Emit("l2.unknown", text, Severity.WARNING, (("slots", count),)))
            self._node.topology_changes.refill(True, now)

    def _copy_hot_keys(self) -> None:
        """The heaviest keys have a record as well; those that are hot by share keep it up to date."""
        heat, store = self._node.heat, self._store
        for heavy in heat.hot_keys[:HOT_KEYS_WRITTEN_MAX]:
            if self._may_copy(heavy.key):
                store.write_down(heavy.key)
        store.tier.hot = frozenset(key for key in heat.hot if self._may_copy(key))

    def _may_copy(self, key: bytes) -> bool:
        """Where no other node holds a slot, its first record sends all its misses the long way: few may."""
        tier, slot = self._store.tier, self._store.table.slot_of(key)
        if tier.closed[slot] or tier.closed_count < ALONE_SLOTS_CLOSED_MAX:
            return True
        owners: tuple[NodeId, ...] = tuple(self._node.owners(slot))
        return owners != (self._node.node_id,)

    def write_down(self, records_max: int, now: Now) -> bool:
        """The process ends: copy memory to disk, hottest first; False when there is no more to do."""
        store = self._store
        if self._drain is None:
            self._drain = _by_heat(store)
        store.tier.tick(now, 1.0)
        if store.tier.read_only or store.tier.used_bytes > store.tier.bytes_max:
            # What was superseded must not come back: that is tried all the same.
            store.tier.hand_over()
            return False
        for _ in range(min(records_max, len(self._drain))):
            store.write_down(*_key_and_rank(store, self._drain.pop()))
        store.tier.hand_over()
        return bool(self._drain)

    def statistics(self) -> DiskStatistics:
        """Figures of both tiers."""
        store, tier, warming = self._store, self._store.tier, self._warming
        return DiskStatistics(
            bytes_used=tier.used_bytes,
            bytes_max=tier.bytes_max,
            keys_cold=tier.cold.total,
            keys_memory=store.keys_in_memory,
            read_only=tier.read_only,
            counters=dict(tier.counters),
            demotions=store.evictions["demoted"],
            warm_found=warming.found if warming is not None else 0,
            warm_lifted=warming.lifted if warming is not None else 0,
            warm_s=warming.took_s if warming is not None else 0.0,
            warming=warming is not None and not warming.done,
            scrub_progress=self._scrub.progress,
            scrub_passes=self._scrub.passes,
            scrub_records=self._scrub.records,
            scrub_bytes=self._scrub.bytes,
        )


def upkeep_of(node: Node, store: Store) -> DiskUpkeep | None:
    """The upkeep of a node's disk tier; None when its entries live in memory alone."""
    return DiskUpkeep(node, store) if isinstance(store, TieredStore) else None


_ALL_CLOSED: Final = bytes([SLOT_SOLE]) * SLOTS_COUNT


def _asks(keyspace: Keyspace) -> bool:
    eventual = keyspace.mode == "eventual"
    return eventual and (keyspace.durability != "memory" or keyspace.write_through)


def _by_heat(store: TieredStore) -> list[bytes]:
    """Keys of memory, the least used first."""
    table = store.table
    groups: list[list[bytes]] = [[], [], [], []]
    for slot in range(SLOTS_COUNT):
        for key in table.slot_keys(slot):
            entry = table.get(key)
            if entry is not None:
                groups[min(3, entry.counter)].append(key)
    return [key for group in groups for key in group]


def _key_and_rank(store: TieredStore, key: bytes) -> tuple[bytes, int]:
    entry = store.table.get(key)
    uses = store.tier.uses.estimate(key)
    return key, min(RANK_MAX, 1 + uses + (0 if entry is None else 4 * min(3, entry.counter)))
