"""Strong keys at one node: composes registers, acceptor, rounds, requests, learning and collection.

It decides which documents are whose first, and what belongs to this node at all; everything else is a
room's: votes and copies (``learning``), what survives a restart (``lives``), rounds (``instance``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import not_
from random import Random
from typing import TYPE_CHECKING, Final

from nodecore.consensus.outcome import ProposalResult
from nodecore.ids import NodeId, Now
from nodecore.placement.drafting import Refused
from nodecore.placement.proposals import propose_full_member
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Topology
from nodecore.replication.change_ports import ChangePorts, SlotEntry
from nodecore.replication.streaming import Order, Sent, SlotStreams
from nodecore.requests import Failed, Unknown
from nodecore.routing import Routing
from nodecore.strong.ballots import epoch_of_ballot
from nodecore.strong.collection import Collection
from nodecore.strong.founding import FOUNDER, Founding
from nodecore.strong.learning import (
    COMPLETE,
    FETCH,
    STREAMED,
    Learning,
    LearningPorts,
)
from nodecore.strong.lesson import slots_of_fetch
from nodecore.strong.lives import Lives, durability_of
from nodecore.strong.operations import Operation, bury
from nodecore.strong.ports import StrongPorts
from nodecore.strong.registers import Registers
from nodecore.strong.replica import GRANTED, OUTRANKED, StrongReplica
from nodecore.strong.requests import StrongRequests
from nodecore.strong.rounds import Rounds
from transport.messages import (
    ChangeStep,
    Lane,
    Message,
    PeerApply,
    PeerWritten,
    StrongAsk,
)

if TYPE_CHECKING:
    from nodecore.node import Node

_SCAN_STRONG: Final = 1 << 62
COPY_CAUSE: Final = "strong"


class _CopySource:
    """Registers in the shape that streams read."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers

    def slot_entries(self, slot: int, after: bytes | None, count: int) -> list[SlotEntry]:
        """See ``EntrySource``."""
        return [
            (copy.key, copy.kind, copy.packed, copy.counter, copy.node, copy.expires_ms)
            for copy in self._registers.copies(slot, after, count)
        ]

    def empties(self, slots: Iterable[int]) -> Iterator[bool]:
        """See ``EntrySource``."""
        return map(not_, map(self._registers.holds, slots))


class StrongRoom:
    """See the module."""

    def __init__(
        self, node: Node, ports: ChangePorts, rng: Random, persisted: Mapping[str, object]
    ) -> None:
        self._node = node
        self._id = node.node_id
        self._routing: Routing | None = None
        self._settling: dict[bytes, None] = {}
        slot_of = node.table.slot_of
        self.registers = Registers(node.store, node.disk, slot_of)
        self.learning = Learning(
            LearningPorts(
                self._id,
                node.send,
                node.is_live,
                node.emit,
                self._drop_slots,
                self._on_change,
                self._ask_for_epoch,
                ports.rng,
            )
        )
        self.founding = Founding(self._id, node.send, self._on_founding, self._keep)
        self.replica = StrongReplica(self.registers, slot_of, self.votes)
        self.rounds = Rounds(
            StrongPorts(
                self._id,
                lambda: node.incarnation,
                node.peers,
                node.timers,
                rng,
                node.config.operation_timeout_s,
                node.coordinator.calls.request,
                node.coordinator.epochs.on_stale,
                node.emit,
            ),
            self.registers,
            self.replica,
            self.votes,
        )
        self.requests = StrongRequests(
            self.rounds, node.coordinator.forwarder, node.peers, node.table.slots_of, self.votes
        )
        self.streams = SlotStreams(ports, _CopySource(self.registers), node.timers)
        self.collection = Collection(self.registers, self.rounds, slot_of)
        self._lives = Lives(node, self.registers, persisted, lambda: self.founding.unheard)
        node.coordinator.strong = self.requests
        node.topology_changes.also_left = lambda: self.learning.left

    def close(self) -> None:
        """The process ends in order."""
        self._lives.keep(bytes(self.learning.states), closed=True)

    # -- documents ---------------------------------------------------------------------------

    def on_topology(
        self, topology: Topology, slot_map: SlotMap, routing: Routing, now: Now, *, fresh: bool
    ) -> None:
        """A newer document is in force. ``fresh``: this node has just made it, the first."""
        first = self._routing is None
        self._routing = routing
        if topology.flushed_epoch > self.registers.flushed_epoch:
            self.registers.on_flush(topology.flushed_epoch)
        known = self._lives.believed(topology) if first and not fresh else None
        self.registers.durability = durability_of(topology)
        self._lives.on_topology(topology)
        trusted = known is not None and known[0] == topology
        if known is not None:
            self.learning.restore(*known)
        unheard = self._lives.unheard(topology) if first and not fresh else None
        self.learning.founding = fresh or unheard is not None or self.learning.founding
        self.streams.stop_all()
        self.streams.epoch = topology.epoch
        self.learning.on_topology(topology, slot_map, now, trusted=trusted or fresh)
        if known is not None and self.registers.damaged:
            self.learning.lose(list(self.registers.damaged), now)
        if fresh or unheard is not None:
            self.founding.begin(topology, now, unheard)
        else:
            self.founding.on_topology(topology, now)
        self._drop_others(routing, now)
        self.requests.on_topology(routing)
        self.rounds.on_topology(routing, now)
        self.collection.on_topology(routing)

    def _drop_others(self, routing: Routing, now: Now) -> None:
        """Forget registers of keys that are strong no longer, or anew, or not this node's.

        Who was away while a keyspace was deleted and made again still has what was in it. No promise is
        broken with that: ballots of those epochs are fenced.
        """
        for key, slot in list(self.registers.keys()):
            route = routing.route(key, slot)
            keyspace, state = route.keyspace, self.registers.get(key, slot)
            old = state is not None and epoch_of_ballot(state.promised) < keyspace.strong_since
            if old or keyspace.mode != "strong" or self._id not in route.targets:
                self.registers.remove(key, slot, now)

    def votes(self, key: bytes, slot: int) -> bool:
        """Whether this node may answer for a key."""
        if self._routing is None or not self.learning.votes(slot):
            return False
        route = self._routing.route(key, slot)
        return route.keyspace.mode == "strong" and self._id in route.targets

    def _on_founding(self, is_new: bool, now: Now) -> None:
        if is_new:
            self.learning.found(now)
        else:
            # Others know this node from before: what it held of eventual keys is gone as well.
            changes = self._node.topology_changes
            changes.slots_reset += changes.filling.forget()
            changes.refill(False, now)
            self.learning.begin(now)

    def _keep(self) -> None:
        self._lives.keep(bytes(self.learning.states), closed=False)

    def _on_change(self, now: Now) -> None:
        self._keep()
        if self.learning.left == 0:
            self._node.topology_changes.report(now)

    def _ask_for_epoch(self, now: Now) -> None:
        document = self._node.chain.document
        if document is None:
            return
        try:
            following = propose_full_member(document, self._id)
        except Refused:
            return
        self._node.chain.propose(following, _ignore_result, now)

    # -- messages ----------------------------------------------------------------------------

    def on_step(self, peer: NodeId, message: ChangeStep, now: Now) -> bool:
        """A message of the control lane; False when it is not for this room."""
        fields = message.fields
        if message.step not in (FETCH, STREAMED, FOUNDER):
            return False
        if not isinstance(fields, dict):
            return True
        topology = self._node.chain.document
        if message.step == FOUNDER:
            self.founding.on_step(peer, fields, now)
        elif message.step == FETCH:
            self._on_fetch(peer, message.epoch, fields, now)
        elif topology is not None and message.epoch == topology.epoch:
            self.learning.on_streamed(peer, fields, now)
        return True

    def _drop_slots(self, marks: bytes, now: Now) -> None:
        for slot in self.registers.slots():
            if marks[slot]:
                self.registers.drop_slot(slot, now)

    def _on_fetch(self, peer: NodeId, epoch: int, fields: dict[str, object], now: Now) -> None:
        asked, topology = slots_of_fetch(fields), self._node.chain.document
        if asked is None:
            return
        number, slots = asked
        on_sent = partial(self._on_sent, peer, epoch, number)
        if topology is None or epoch != topology.epoch or self.founding.undecided:
            on_sent(Sent([], 0, 0, True, "at another epoch"), now)
            return
        self.streams.begin(Order(peer, COPY_CAUSE, slots, on_sent), now)

    def _on_sent(self, peer: NodeId, epoch: int, number: int, sent: Sent, _now: Now) -> None:
        states = self.learning.states
        fields = {
            "id": number,
            "slots": sent.slots,
            "incomplete": [slot for slot in sent.slots if states[slot] != COMPLETE],
            "ended": sent.ended,
        }
        self._node.send(peer, Lane.CONTROL, 0, ChangeStep(epoch, STREAMED, fields))

    def on_ask(self, peer: NodeId, stream: int, message: StrongAsk, now: Now) -> None:
        """A proposer's questions, whose epoch is ours."""
        answer = partial(self._node.send, peer, Lane.DATA, stream)
        self.rounds.on_ask(peer, message, answer, now)

    def on_copies(self, message: PeerApply, now: Now) -> Message:
        """A page of a slot's copy, whose epoch is ours; what is not being learned is let pass."""
        entries = message.entries if isinstance(message.entries, list) else []
        for entry in entries:
            self._on_copy(entry, now)
        return PeerWritten(message.epoch, self._node.incarnation, [])

    def _on_copy(self, entry: object, now: Now) -> None:
        key = entry[0] if isinstance(entry, list) and entry else None
        if not isinstance(key, bytes) or self._routing is None:
            return
        slot = self._node.table.slot_of(key)
        route = self._routing.route(key, slot)
        strong = route.keyspace.mode == "strong" and self._id in route.targets
        if not strong or not self.learning.is_learning(slot):
            return
        _key, code = self.replica.copy_in(entry, now)
        outranked, stored = code == OUTRANKED, code == GRANTED
        if self.learning.on_copy(slot, key, outranked=outranked, stored=stored):
            self._settle(slot, key, now)

    def _settle(self, slot: int, key: bytes, now: Now) -> None:
        """A round was promised more than the copy: let one of ours end with a chosen value."""
        if key not in self._settling:
            self._settling[key] = None
            operation = Operation(bury(), partial(self._on_settled, slot, key), force=True)
            self.rounds.start(key, slot, operation, now)

    def _on_settled(self, slot: int, key: bytes, result: object, now: Now) -> None:
        self._settling.pop(key, None)
        if not isinstance(result, Failed | Unknown):
            self.learning.on_settled(slot, key, now)

    # -- time --------------------------------------------------------------------------------

    def flush(self, now: Now) -> None:
        """The end of a wake-up."""
        self.rounds.flush(now)

    def tick(self, now: Now) -> None:
        """Learn, ask founders, collect what is deleted or expired."""
        self.founding.ask()
        self.learning.tick(now)
        for slot, key in self.learning.stuck():
            self._settle(slot, key, now)
        self.collection.tick(now)
        self._lives.tick(now)

    def on_unreachable(self, peer: NodeId, now: Now) -> None:
        """The link to this peer broke."""
        self.learning.on_unreachable(peer, now)

    # -- what is there -----------------------------------------------------------------------

    def key_count(self, slots: Sequence[int]) -> int:
        """Live keys of these slots, those of the store included."""
        count = sum(map(self._node.store.live_count, slots))
        if not self.registers.live_total:
            return count
        return count + sum(map(self.registers.live_count, slots))

    def local_keys(self, slot: int, count: int) -> list[bytes]:
        """Up to ``count`` live keys of a slot, those of the store first."""
        keys = self._node.store.live_keys(slot, count)
        return keys + self.registers.live_keys(slot, count - len(keys))

    def scan(
        self, cursor: int, count: int, wanted: Callable[[int], bool]
    ) -> tuple[int, list[bytes]]:
        """A page of the keys of the store and, behind them, of the strong keys; 0 begins and ends.

        A cursor in the strong keys is marked by a high bit.
        """
        position, keys = cursor & (_SCAN_STRONG - 1), list[bytes]()
        if not cursor & _SCAN_STRONG:
            following, keys = self._node.store.scan(cursor, count, wanted)
            if following or not self.registers.live_total or len(keys) >= count:
                more = _SCAN_STRONG if self.registers.live_total else 0
                return following or more, keys
            position = 0
        following, found = self.registers.scan(position, count - len(keys), wanted)
        return following and following | _SCAN_STRONG, keys + found

    @property
    def settled(self) -> bool:
        """Whether this node votes wherever it owns strong keys."""
        return not self.learning.lacking and not self.founding.undecided

    def counters(self) -> dict[str, int]:
        """For the statistics."""
        requests, replica, learning = self.requests, self.replica, self.learning
        return {
            "strong_reads": requests.reads,
            "strong_writes": requests.writes,
            "strong_unknown": requests.unknowns,
            **self.rounds.counters,
            "strong_keys": self.registers.live_total,
            "strong_bytes": self.registers.bytes_used,
            "strong_slots_lacking": learning.lacking,
            "strong_slots_learned": learning.learned,
            "strong_slots_lost": learning.losses,
            "strong_refused_learning": replica.refused_learning,
            "strong_refused_memory": replica.refused_memory,
            "strong_refused_floor": replica.refused_floor,
            "strong_collected": replica.collected,
            "strong_floors": len(self.registers.floors),
        }


def _ignore_result(_result: ProposalResult, _now: Now) -> None:
    """Asked for again until an epoch has begun."""
