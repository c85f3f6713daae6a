"""A cache node as a state machine: requests, messages and timers in; replies and effects out.

It composes the rooms (chain of topologies, membership, replication, topology changes, storage, heat,
breakers) and routes between them. It has no rules of its own and no I/O: whoever drives it (the
process or the simulation) executes the effects in order. Everything happens within a *wake-up*:
inputs, then :meth:`Node.end_of_turn`, then :meth:`Node.take_effects`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from nodecore.admin import run_verb
from nodecore.change_history import ChangeHistory
from nodecore.cluster_figures import ClusterFigures
from nodecore.config import NodeConfig
from nodecore.consensus.chain import Chain, ChainPorts
from nodecore.doors.session import OnOutcome
from nodecore.effects import DiskWrite, Effect, Emit, Persist, Send
from nodecore.event_ring import EventRing
from nodecore.founding import first_document, own_member
from nodecore.heat.counter import HeatCounter
from nodecore.ids import Epoch, Incarnation, NodeId, Now
from nodecore.limits import TICK_S
from nodecore.membership.members import Status
from nodecore.membership.membership import Membership
from nodecore.node_disk import upkeep_of
from nodecore.node_faults import clock_skew_ms
from nodecore.node_flush import flush
from nodecore.node_merging import Merging
from nodecore.node_messages import on_control, on_data
from nodecore.node_ports import (
    change_ports,
    coordinator_ports,
    membership_ports,
    membership_settings,
)
from nodecore.node_settings import NodeSettings
from nodecore.node_standing import Standing
from nodecore.node_statistics import Recorder, snapshot
from nodecore.node_tick import Ticker
from nodecore.peer_questions import PeerQuestions
from nodecore.placement.hashing import node_tag
from nodecore.placement.topology import Topology
from nodecore.replication.coordinator import Coordinator
from nodecore.replication.migration import TopologyChanges
from nodecore.replication.versions import MARK_RECORD, HybridClock
from nodecore.requests import Done, Flush, KeyCount, Outcome, Request
from nodecore.resilience.breakers import LinkBreakers
from nodecore.routing import Peers
from nodecore.statistics import NodeStatistics
from nodecore.storage.disk import DiskStore, DiskWrites, NoDisk
from nodecore.storage.memory import Store
from nodecore.strong.room import StrongRoom
from nodecore.table.interface import Table
from nodecore.table.key_counts import make_key_counts
from nodecore.timers import Timers
from transport.codec import pack_plain
from transport.faults import FaultBoard
from transport.messages import Admin, Lane, Message

INCARNATION_RECORD: Final = "incarnation"


class Node:
    """One node.

    Args:
        config: what it was told.
        store: its entries; the table in it is served by the gate.
        rng: source of all its randomness.
        now: the moment of its birth.
        persisted: its records from an earlier life, by name, as plain data.
        disk: what was kept of its entries and registers.

    Raises:
        InvalidTopology: a record of the chain is damaged.
    """

    def __init__(
        self,
        config: NodeConfig,
        store: Store,
        rng: Random,
        now: Now,
        persisted: Mapping[str, object],
        disk: DiskStore | None = None,
    ) -> None:
        self.config = config
        self.disk = DiskWrites(NoDisk() if disk is None else disk)
        self._id = NodeId(config.node_id)
        self.store = store
        self.now = now
        self.timers = Timers()
        self.fault_board = FaultBoard()
        self.event_ring = EventRing(self._id)
        self.recorder = Recorder(now)
        self._effects: list[Effect] = []
        known = persisted.get(INCARNATION_RECORD, 0)
        self.incarnation = Incarnation((known if isinstance(known, int) else 0) + 1)
        self.persist(INCARNATION_RECORD, self.incarnation)
        mark = persisted.get(MARK_RECORD, 0)
        self.clock = HybridClock(
            store.table, node_tag(self._id), self.persist, mark if isinstance(mark, int) else 0
        )
        self.breakers = LinkBreakers(config.slow_call_ms, Random(rng.random()), self._on_breaker)
        self.standing = Standing(self)
        self.change_history = ChangeHistory(self.send, self.persist, persisted)
        self._compose(config, rng)
        self.strong = StrongRoom(
            self, change_ports(self, Random(rng.random())), Random(rng.random()), persisted
        )
        self.settings = NodeSettings(self, persisted)
        self.chain.restore(persisted, now)

    def _compose(self, config: NodeConfig, rng: Random) -> None:
        ports = ChainPorts(self.send, self.persist, self.emit, self._on_document)
        self.chain = Chain(self._id, ports, self.timers, Random(rng.random()))
        self.membership = Membership(
            self._id,
            self.incarnation,
            membership_ports(self),
            self.timers,
            Random(rng.random()),
            membership_settings(config),
        )
        self.peers = Peers(self._id, self.membership.is_live, self.breakers.allows)
        self.coordinator = Coordinator(
            coordinator_ports(self, Random(rng.random())),
            lambda slot: self.topology_changes.is_complete(slot),
            lambda key: self.topology_changes.surplus.belongs(key),
            self.recorder.load_hint,
        )
        self.heat = HeatCounter(self.table, counts=make_key_counts(self.table.compiled))
        self.coordinator.on_flush = lambda on_outcome, now: flush(self, on_outcome, now)
        self.coordinator.on_write = self.heat.note_writes
        self.coordinator.on_read = self.coordinator.reader.on_used = self.heat.note_reads
        self.coordinator.on_latency = self.recorder.record_latency
        self.topology_changes = TopologyChanges(
            change_ports(self, Random(rng.random())),
            self.store,
            self.timers,
            own_member(config),
            config.down_grace_s,
            config.migration_bytes_per_s,
            NodeId(config.replaces),
        )
        self.merging = Merging(self)
        self.cluster_figures = ClusterFigures(self, Random(rng.random()))
        self.peer_questions = PeerQuestions(self.send, self.timers, Random(rng.random()))
        self.disk_upkeep = upkeep_of(self, self.store)
        self._ticker = Ticker(self)
        self.store.owner_decides = self.standing.decides_evictions

    # -- life ----------------------------------------------------------------------------------

    def start(self, now: Now) -> None:
        """Begin: take up an earlier life, found a cluster, or ask to join one."""
        self.now = now
        document = self.chain.document
        if document is not None:
            self.topology_changes.joining.forget_replaced()
            self.standing.adopt(document, None, now)
        else:
            founding = first_document(self.config)
            if founding is not None:
                self.standing.founding = True
                self.chain.start(founding, now)
            else:
                self.standing.set_peers()
                self.topology_changes.join(
                    tuple(peer for peer, _address in self.standing.seed_addresses()), now
                )
        self.topology_changes.start(now)
        if self.disk_upkeep is not None:
            self.disk_upkeep.start(now)
        self._tick(now)

    def _tick(self, now: Now) -> None:
        self.timers.schedule(now.mono_s + TICK_S, self._tick)
        self._ticker.tick(now)

    # -- inputs of the driver ------------------------------------------------------------------

    def on_message(self, peer: NodeId, stream: int, lane: Lane, message: Message, now: Now) -> None:
        """A message from a peer's link."""
        self.now = now
        if lane is Lane.DATA:
            on_data(self, peer, stream, message, now)
        else:
            on_control(self, peer, stream, message, now)

    def on_link(self, peer: NodeId, lane: Lane, up: bool, now: Now, reason: str = "") -> None:
        """A link has come up or gone down (or could not be dialled)."""
        self.now = now
        if lane is Lane.DATA:
            was = self.peers.linked(peer)
            self.peers.on_link(peer, up)
            if not up:
                self.coordinator.calls.on_link_down(peer, reason, now)
                # A dead peer is routed around at once, so calls alone would never open its breaker.
                generation = self.breakers.generation(peer)
                self.breakers.record(peer, generation, 0.0, reason or "no link", now)
                self.topology_changes.on_unreachable(peer, now)
                self.strong.on_unreachable(peer, now)
            if was != up:
                word = "up" if up else "down"
                detail = f": {reason}" if reason else ""
                text = f"data link to {peer} is {word}{detail}"
                self.emit(Emit(f"link.{word}", text, fields=(("peer", str(peer)),)))
        if not up and self.ready():
            self.membership.hint_unreachable(peer, now, refused="refused" in reason.lower())

    def on_refused(self, peer: NodeId, reason: str, now: Now) -> None:
        """A peer refused our link for a reason that does not pass."""
        self.now = now
        self.topology_changes.joining.on_refused(peer, reason)

    def on_undelivered(self, effect: Send, now: Now) -> None:
        """A Send found no link: whatever waits for its answer fails at once."""
        self.now = now
        if not effect.stream:
            return
        if effect.lane is Lane.DATA:
            self.coordinator.calls.on_undelivered(effect.peer, effect.stream, now)
        elif type(effect.message) is Admin:
            self.cluster_figures.on_undelivered(effect.stream, now)
            self.peer_questions.on_undelivered(effect.stream, now)

    def on_timer(self, now: Now) -> None:
        """Run what is due."""
        self.now = now
        self.timers.fire(now)

    def next_timer_at(self) -> float | None:
        """Monotonic seconds of the earliest deadline."""
        return self.timers.next_at()

    def end_of_turn(self, now: Now) -> None:
        """Send what has collected for each peer during this wake-up."""
        self.clock.end_of_turn()
        self._ticker.relieve()
        self.coordinator.flush(now)
        self.strong.flush(now)

    def take_effects(self) -> list[Effect]:
        """The effects since the last call, to be executed in order."""
        effects, self._effects = self._effects, []
        if (batch := self.disk.take()) is not None:
            effects.insert(0, batch)
        return effects

    def on_disk_done(self, ticket: int, now: Now) -> None:
        """A DiskWrite is on the medium."""
        self.now = now
        self.disk.on_done(ticket, now)

    def on_disk_refused(self, effect: DiskWrite, text: str, now: Now) -> None:
        """Records of a batch that nothing rests on were not written."""
        self.now = now
        self.disk.refuse(effect, text, now)

    def close(self) -> None:
        """The process ends in order: what a restart would have to wait for is written down."""
        self.clock.close()
        self.strong.close()

    def record_latency(self, kind: str, microseconds: int, count: int = 1) -> None:
        """``count`` operations of ``kind`` (``read``, ``write``) took so long."""
        self.recorder.record_latency(kind, microseconds, count)

    def note_loop_lag(self, lag_ms: float) -> None:
        """How late the driver was for a timer."""
        self.recorder.note_loop_lag(lag_ms)
        self.membership.on_loop_lag(lag_ms / 1e3, self.now)

    def note_process(self, **figures: float) -> None:
        """What the driver knows of the process: ``pid``, ``rss_bytes``, ``cpu_s``, ``connections``, ..."""
        self.recorder.process.update(figures)

    @property
    def clock_skew_ms(self) -> int:
        """What faults on the clock add to the wall clock that the driver reads."""
        return clock_skew_ms(self.fault_board)

    # -- Backend -------------------------------------------------------------------------------

    @property
    def node_id(self) -> NodeId:
        """This node's id."""
        return self._id

    @property
    def table(self) -> Table:
        """Entries and gate."""
        return self.store.table

    @property
    def cluster_id(self) -> str:
        """Empty until a document is known."""
        document = self.chain.document
        return self.config.cluster_id if document is None else document.cluster_id

    @property
    def topology(self) -> Topology:
        """The newest chosen document; one of epoch 0 without members before any is known."""
        return self.chain.document or Topology(self.config.cluster_id, Epoch(0), ())

    def submit(self, request: Request, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        """See ``Backend.submit``."""
        if type(request) is KeyCount:
            return Done(self.strong.key_count(self.standing.primary_slots))
        if type(request) is Flush:
            return self.coordinator.flush_all(on_outcome, now)
        return self.coordinator.submit(request, on_outcome, now)

    def owners(self, slot: int) -> Sequence[NodeId]:
        """Owners for reads; empty before a topology is known."""
        return () if self.standing.routing is None else self.standing.routing.default[slot].owners

    def is_live(self, node: NodeId) -> bool:
        """Whether requests are routed there now."""
        return self.peers.live(node)

    def local_count(self, slot: int) -> int:
        """Live keys of a slot here."""
        return self.strong.key_count([slot])

    def local_keys(self, slot: int, count: int) -> list[bytes]:
        """Up to ``count`` of them."""
        return self.strong.local_keys(slot, count)

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """Local keys in slots owned first by this node."""
        return self.strong.scan(cursor, count, self.standing.is_primary)

    def statistics(self, now: Now) -> NodeStatistics:
        """A snapshot of this moment."""
        return snapshot(self, self.recorder, now)

    def admin(
        self, verb: str, arguments: Mapping[str, object], on_outcome: OnOutcome, now: Now
    ) -> Outcome | None:
        """See ``nodecore.admin``."""
        return run_verb(self, verb, arguments, on_outcome, now)

    def count_request(self, name: str, count: int = 1) -> None:
        """Count commands by name."""
        self.recorder.count_request(name, count)

    def ready(self) -> bool:
        """A full member, with a sound clock, that has once seen a majority of the members."""
        return self.standing.ready(self.now)

    def epoch(self) -> Epoch:
        """Of the newest document; 0 without one."""
        return self.chain.epoch

    # -- what rooms call -----------------------------------------------------------------------

    def send(self, peer: NodeId, lane: Lane, stream: int, message: Message) -> None:
        """Queue a Send."""
        self._effects.append(Send(peer, lane, stream, message))

    def emit(self, event: Emit) -> None:
        """Record an event and queue it."""
        self.event_ring.add(event, self.now)
        self._effects.append(event)

    def add_effect(self, effect: Effect) -> None:
        """Queue any other effect."""
        self._effects.append(effect)

    def persist(self, name: str, plain: object) -> None:
        """Queue a Persist of plain data."""
        self._effects.append(Persist(name, pack_plain(plain)))

    # -- what rooms tell -----------------------------------------------------------------------

    def _on_document(self, document: Topology, previous: Topology | None, now: Now) -> None:
        self.standing.adopt(document, previous, now)

    def on_status_change(self, node: NodeId, old: Status, new: Status, now: Now) -> None:
        """Membership has changed its mind about a node."""
        self.peers.changed()
        if new in (Status.SUSPECT, Status.FAILED):
            self.coordinator.calls.on_suspect(node, now)
        if new is Status.ALIVE and old in (Status.ALIVE, Status.FAILED):
            self.breakers.peer_restarted(node, now)

    def on_incarnation(self, incarnation: Incarnation, _now: Now) -> None:
        """Membership has refuted a rumour about this node under a new incarnation."""
        self.incarnation = incarnation
        self.persist(INCARNATION_RECORD, incarnation)

    def _on_breaker(self, event: Emit) -> None:
        self.peers.changed()
        self.emit(event)
