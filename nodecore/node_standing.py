"""How a node stands in the topology: adopting documents, roles, statuses, whom to be linked to.

A newer document reaches the rooms in a fixed order here: store (flush), breakers, membership, links,
topology changes, gate, and last the requests that waited for it. It chooses no document and moves
no data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nodecore.effects import Emit, SetPeers, Severity
from nodecore.gate_rules import GateRules
from nodecore.ids import NodeId, Now
from nodecore.node_messages import on_data
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Topology
from nodecore.placement.voters import voter_sets
from nodecore.routing import Routing

if TYPE_CHECKING:
    from nodecore.node import Node

SEED_PREFIX: Final = "seed:"
"""Members that are known by address only, until a document names them."""


class Standing:
    """One node's standing."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._id = node.node_id
        self._gate = GateRules(node.table)
        self._peers_sent: tuple[tuple[NodeId, str], ...] | None = None
        self._been_ready = False
        self.routing: Routing | None = None
        self.founding = False
        """This node has just founded the cluster: no slot can be missing anything."""
        self.primary_slots: list[int] = []
        """Slots whose first owner this node is."""
        self.slots_replica = 0
        """Other slots that it owns under the default keyspace."""

    def adopt(self, document: Topology, previous: Topology | None, now: Now) -> None:
        """A newer document is in force."""
        node = self._node
        node.change_history.note(document, previous, self._id, now)
        slot_map = SlotMap.compile(document)
        self.routing = Routing(self._id, document, slot_map)
        own = self._id
        primary: list[int] = []
        held = 0
        for slots in slot_map.groups:
            owners = slot_map.owners[slots[0]][: slot_map.copies]
            held += len(slots) if own in owners else 0
            primary += slots if owners[:1] == (own,) else ()
        primary.sort()
        self.primary_slots, self.slots_replica = primary, held - len(primary)
        if document.flushed_hlc and (
            previous is None or document.flushed_hlc > previous.flushed_hlc
        ):
            node.store.flush(document.flushed_hlc)
            node.coordinator.hints.drop_flushed(document.flushed_hlc)
        names = [m.node_id for m in document.all_members if m.node_id != own]
        for name in node.coordinator.hints.targets:
            if name not in names:
                node.coordinator.hints.drop_node(name)
        if node.disk_upkeep is not None:
            node.disk_upkeep.on_topology(document)
        node.breakers.set_peers(names)
        node.membership.set_members([own, *names], now, voter_sets(document))
        node.peers.changed()
        node.merging.on_topology(document)
        self.set_peers()
        fresh = self.founding and previous is None
        node.strong.on_topology(document, slot_map, self.routing, now, fresh=fresh)
        node.topology_changes.on_topology(document, slot_map, now, fresh=fresh)
        self.refresh_gate(now)
        state = "joint" if document.joint else "stable"
        node.emit(
            Emit(
                "topology.epoch",
                f"epoch {document.epoch} ({state}): {document.reason}",
                Severity.NOTICE,
                (("epoch", int(document.epoch)), ("state", state)),
            )
        )
        for held_request in node.coordinator.on_topology(self.routing, now):
            on_data(node, held_request.peer, held_request.stream, held_request.message, now)

    def set_peers(self) -> None:
        """Ask for the links that the newest document (or, before one, the seeds) calls for."""
        document = self._node.chain.document
        addresses: list[tuple[NodeId, str]] = []
        if document is not None:
            addresses = [
                (member.node_id, member.addresses.native)
                for member in document.all_members
                if member.node_id != self._id
            ]
        if document is None or document.member(self._id) is None:
            known = [address for _id, address in addresses]
            addresses += [seed for seed in self.seed_addresses() if seed[1] not in known]
        wanted = tuple(addresses)
        if wanted != self._peers_sent:
            self._peers_sent = wanted
            self._node.add_effect(SetPeers(wanted))

    def seed_addresses(self) -> list[tuple[NodeId, str]]:
        """Members to be asked for entry, by address."""
        return [
            (NodeId(f"{SEED_PREFIX}{number}"), address)
            for number, address in enumerate(self._node.config.join)
        ]

    def refresh_gate(self, now: Now) -> None:
        """Something that the gate's rules depend on has changed."""
        upkeep = self._node.disk_upkeep
        if self.routing is not None:
            self._gate.refresh(
                self.routing,
                self._node.topology_changes.unfilled,
                may_coordinate=self._node.clock.may_coordinate(now),
                closed=None if upkeep is None else upkeep.closed,
                writes_told=upkeep is not None and upkeep.writes_told,
            )

    def ready(self, now: Now) -> bool:
        """A full member, with a sound clock, that has once seen a majority of the members."""
        document = self._node.chain.document
        if document is None or all(m.node_id != self._id for m in document.members):
            return False
        if not self._been_ready:
            live = sum(1 for member in document.members if self._node.is_live(member.node_id))
            sound = self._node.clock.may_coordinate(now)
            self._been_ready = sound and 2 * live > len(document.members)
        return self._been_ready

    def member_status(self, node: NodeId) -> str:
        """Status of a member in the words of ``PeerView``."""
        if node == self._id:
            return self.own_status()
        change = None if self._node.chain.document is None else self._node.chain.document.change
        if change is not None and change.node_id == node:
            if change.kind == "join" and self._node.membership.is_live(node):
                return "joining"
            if change.kind == "leave" and self._node.membership.is_live(node):
                return "leaving"
        return str(self._node.membership.status(node))

    def own_status(self) -> str:
        """This node's own status."""
        document = self._node.chain.document
        if document is None:
            return "joining"
        if all(m.node_id != self._id for m in document.members):
            return "joining" if document.member(self._id) is not None else "left"
        change = document.change
        leaving = change is not None and change.kind == "leave" and change.node_id == self._id
        return "leaving" if leaving else "alive"

    def decides_evictions(self, slot: int) -> bool:
        for owner in self._node.owners(slot):
            if self._node.is_live(owner):
                return owner == self._id
        return True

    def is_primary(self, slot: int) -> bool:
        owners = self._node.owners(slot)
        return bool(owners) and owners[0] == self._id
