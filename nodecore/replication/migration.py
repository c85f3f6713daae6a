"""Topology changes at one node: join, leave, remove, and copying slots to where they belong.

Composes :mod:`filling` (what this node must copy), :mod:`streaming` (what others copy from it),
:mod:`change_driver` (the coordinator's part), :mod:`admission` (who may come and go) and
:mod:`departure` (no member any more), and routes their messages. Its own decision is what a
document means for each slot of this node: still complete, to be copied, or to be given up.

The messages are ``Join`` and ``ChangeStep`` on the control lane, ``PeerApply`` on the data lane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

import msgspec

from nodecore.effects import Emit, Severity
from nodecore.ids import SLOTS_COUNT, NodeId, Now
from nodecore.limits import HINT_WINDOW_S
from nodecore.placement.alike import count, mark
from nodecore.placement.key_copies import KeyCopies
from nodecore.placement.keyspace_edits import raised_positions
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import NOBODY, Member, Topology
from nodecore.replication.admission import Admission
from nodecore.replication.announcements import announce
from nodecore.replication.anti_entropy import STEP_S, AntiEntropy
from nodecore.replication.anti_entropy import STEPS as COMPARISON_STEPS
from nodecore.replication.change_driver import ChangeDriver, FillReport, parse_report
from nodecore.replication.change_ports import (
    DROP_INTERVAL_S,
    DROPS_PER_STEP,
    STEP_INTERVAL_S,
    STREAM_BYTES_PER_S,
    ChangePorts,
    SlotStore,
)
from nodecore.replication.departure import Departure, manner_of
from nodecore.replication.filling import Filling, from_bitmap
from nodecore.replication.joining import Joining
from nodecore.replication.slot_needs import wants
from nodecore.replication.slot_standing import standings
from nodecore.replication.streaming import Order, Sent, SlotStreams
from nodecore.replication.surplus import Surplus
from nodecore.statistics import ChangeProgress
from nodecore.timers import Timer, Timers
from transport.messages import ChangeStep, Join, Lane, Message, TopologyFetch

_CAUSES: Final = ("stream", "repair")
_ALL_BITS: Final = bytes(0 if byte == 0 else 255 for byte in range(256))


class TopologyChanges:
    """See the module.

    Args:
        ports: the node.
        store: its entries.
        timers: its deadlines.
        member: its own entry, as it would be proposed in a join.
        down_grace_s: a member is removed after having been failed for so long.
        stream_bytes_per_s: what this node streams to all others together.
        replaces: the member that is to go when this node joins; empty: nobody.
    """

    def __init__(
        self,
        ports: ChangePorts,
        store: SlotStore,
        timers: Timers,
        member: Member,
        down_grace_s: float,
        stream_bytes_per_s: int = STREAM_BYTES_PER_S,
        replaces: NodeId = NOBODY,
    ) -> None:
        self._ports = ports
        self._store = store
        self._timers = timers
        self._id = ports.node_id
        self.filling = Filling(ports, self._report)
        self.streams = SlotStreams(ports, store, timers, stream_bytes_per_s)
        self.anti_entropy = AntiEntropy(ports, store, self.streams, self.filling.complete)
        self.surplus = Surplus(ports, store, self.streams, timers)
        self.driver = ChangeDriver(ports, down_grace_s)
        self.admission = Admission(ports, lambda: self._topology)
        self.joining = Joining(ports, timers, member, self._seeds, replaces)
        self.departure = Departure(ports, timers, self.streams, self._forget, self.joining.begin)
        self._topology: Topology | None = None
        self._slot_map: SlotMap | None = None
        self._first_seeds: tuple[NodeId, ...] = ()
        self._owned = bytes(SLOTS_COUNT)
        """255 for each slot that this node owns."""
        self._held = bytes(SLOTS_COUNT)
        """255 for each slot that this node owns or is to own."""
        self._drops: dict[int, None] = {}
        self._drop_timer: Timer | None = None
        self._ticked_s: float | None = None
        self.also_left: Callable[[], int] = lambda: 0
        """Slots that other rooms still have to copy before the change may end."""
        self.entries_dropped = 0
        """In slots that this node no longer owns."""
        self.slots_reset = 0
        """Complete slots that had to be copied again because this node had been away."""

    # -- life --------------------------------------------------------------------------------

    def start(self, now: Now) -> None:
        """Begin the regular looks."""
        self._tick(now)
        self._compare(now)

    def join(self, seeds: tuple[NodeId, ...], now: Now) -> None:
        """Ask these (and, once known, the members) to be made a member."""
        self._first_seeds = seeds
        self.joining.begin(now)

    def on_topology(
        self, topology: Topology, slot_map: SlotMap, now: Now, *, fresh: bool = False
    ) -> None:
        """A newer document is in force. ``fresh``: it founds a cluster, so nothing can be missing."""
        previous, previous_map = self._topology, self._slot_map
        self._topology, self._slot_map = topology, slot_map
        self.streams.stop_all()
        self.streams.epoch = topology.epoch
        self.streams.limit_changes(topology.change_policy.bytes_per_s)
        self.driver.on_topology(topology, slot_map, now)
        copies = KeyCopies(topology, slot_map)
        self.streams.belongs = copies.belongs if copies.mixed else None
        self.anti_entropy.on_topology(topology, slot_map, copies)
        self._settle_slots(previous, previous_map, fresh, now)
        self.surplus.on_topology(topology, slot_map, copies, now)
        announce(self._ports, previous, topology)
        if topology.member(self._id) is not None:
            self.departure.end()
            self.joining.end()
            self.joining.forget_replaced()
        else:
            self._depart(previous, now)
        self._report(now)

    def on_message(self, peer: NodeId, stream: int, message: Message, now: Now) -> bool:
        """Take a message of the control lane; False when it is not for this room."""
        match message:
            case Join(member, replaces):
                self.admission.on_join(peer, stream, member, now, NodeId(replaces))
            case ChangeStep(epoch, step, fields):
                if isinstance(fields, dict):
                    self._on_step(peer, epoch, step, fields, now)
            case _:
                return self.joining.on_message(peer, stream, message, now)
        return True

    def on_unreachable(self, peer: NodeId, now: Now) -> None:
        """A link to this peer broke, or a message found none."""
        self.filling.on_unreachable(peer, now)

    def is_complete(self, slot: int) -> bool:
        """Whether this node's copy of the slot may answer reads and misses."""
        return self.filling.complete[slot] == 1

    def holds(self, slot: int) -> bool:
        """Whether copies of the slot belong here: this node owns it, or is to own it."""
        return self._held[slot] != 0

    @property
    def unfilled(self) -> bytes | None:
        """Slots that this node owns and may not answer for yet, 255 for each; None: there are none."""
        if self.filling.left == 0:
            return None
        # Byte-wise, on 16384 bytes at once: 255 where owned is 255 and complete is 0.
        owned = int.from_bytes(self._owned, "big")
        complete = int.from_bytes(self.filling.complete.translate(_ALL_BITS), "big")
        found = owned & ~complete
        return found.to_bytes(SLOTS_COUNT, "big") if found else None

    def report(self, now: Now) -> None:
        """Tell the coordinator of the change how far this node is."""
        self._report(now)

    def progress(self) -> ChangeProgress | None:
        """The change under way, on the node that coordinates it."""
        return self.driver.progress()

    def counters(self) -> dict[str, int]:
        """For the statistics."""
        return {
            "change_slots_left": self.filling.left,
            "change_slots_reset": self.slots_reset,
            "change_entries_received": self.filling.entries,
            "change_entries_sent": self.streams.entries_sent,
            "change_entries_refused": self.streams.entries_refused,
            "change_entries_dropped": self.entries_dropped,
            "change_entries_handed_over": self.departure.handed_over,
            "surplus_entries_handed_over": self.surplus.handed_over,
            "surplus_entries_dropped": self.surplus.dropped,
            "change_bytes_sent": self.streams.bytes_sent,
            "sync_rounds": self.anti_entropy.rounds,
            "sync_slots_compared": self.anti_entropy.compared,
            "sync_slots_differed": self.anti_entropy.differed,
            "sync_slots_skipped": self.anti_entropy.skipped,
            "change_removals": self.driver.removals,
            "change_takeovers": self.driver.takeovers,
            "change_cancels": self.driver.cancels,
        }

    # -- steps -------------------------------------------------------------------------------

    def _on_step(
        self, peer: NodeId, epoch: int, step: str, fields: Mapping[str, object], now: Now
    ) -> None:
        topology = self._topology
        if topology is None:
            return
        if step == "fetch":
            self._on_fetch(peer, epoch, fields, now)
        elif step == "adopted":
            self.departure.on_adopted(peer, epoch, now)
        elif epoch == topology.epoch and step == "streamed":
            self.filling.on_streamed(peer, fields, now)
        elif epoch == topology.epoch and step in COMPARISON_STEPS:
            self.anti_entropy.on_step(peer, step, fields, now)
        elif epoch == topology.epoch and step == "filled":
            report = parse_report(fields)
            if report is not None:
                self.driver.on_report(peer, report, now)
        if epoch > topology.epoch:
            self._ports.send(peer, Lane.CONTROL, 0, TopologyFetch(topology.epoch))

    def _on_fetch(self, peer: NodeId, epoch: int, fields: Mapping[str, object], now: Now) -> None:
        topology, slot_map = self._topology, self._slot_map
        slots, cause, fetch_id = (
            from_bitmap(fields.get("slots")),
            fields.get("cause"),
            fields.get("id"),
        )
        if slots is None or cause not in _CAUSES or not isinstance(fetch_id, int):
            return
        on_sent = partial(self._on_sent, peer, epoch, fetch_id)
        if topology is None or slot_map is None or epoch != topology.epoch:
            on_sent(Sent([], 0, 0, True, "at another epoch"), now)
            return
        owned = [slot for slot in slots if self._id in slot_map.owners[slot]]
        self.streams.begin(Order(peer, str(cause), owned, on_sent), now)

    def _on_sent(self, peer: NodeId, epoch: int, fetch_id: int, sent: Sent, now: Now) -> None:
        complete = self.filling.complete
        fields = {
            "id": fetch_id,
            "slots": sent.slots,
            "incomplete": [slot for slot in sent.slots if not complete[slot]],
            "entries": sent.entries,
            "bytes": sent.bytes,
            "ended": sent.ended,
        }
        self._ports.send(peer, Lane.CONTROL, 0, ChangeStep(epoch, "streamed", fields))
        if sent.failed:
            text = f"slots for {peer} could not be streamed: {sent.failed}"
            self._ports.emit(Emit("change.stream-failed", text, Severity.WARNING))

    def _report(self, now: Now) -> None:
        """Tell the coordinator how far this node is with its copies."""
        topology = self._topology
        if topology is None or topology.change is None or not self.driver.copies_of(self._id):
            return
        filling = self.filling
        report = FillReport(
            filling.total,
            max(filling.left, self.also_left()),
            filling.entries,
            filling.bytes,
            filling.waits_for,
        )
        coordinator = topology.change.coordinator
        if coordinator == self._id:
            self.driver.on_report(self._id, report, now)
            return
        fields = msgspec.to_builtins(report)
        self._ports.send(coordinator, Lane.CONTROL, 0, ChangeStep(topology.epoch, "filled", fields))

    def _tick(self, now: Now) -> None:
        self._timers.schedule(now.mono_s + STEP_INTERVAL_S, self._tick)
        last, self._ticked_s = self._ticked_s, now.mono_s
        if last is not None and now.mono_s > last + HINT_WINDOW_S:
            self._come_back(now)
        self.filling.tick(now)
        self.driver.tick(now)
        self._report(now)

    def _compare(self, now: Now) -> None:
        self._timers.schedule(now.mono_s + STEP_S, self._compare)
        self.anti_entropy.step(now)

    # -- slots -------------------------------------------------------------------------------

    def _settle_slots(
        self, previous: Topology | None, previous_map: SlotMap | None, fresh: bool, now: Now
    ) -> None:
        """What the new document means for each slot of this node."""
        topology, slot_map = self._topology, self._slot_map
        assert topology is not None
        assert slot_map is not None
        complete, drops = self.filling.complete, self._drops
        owned, held = bytearray(SLOTS_COUNT), bytearray(SLOTS_COUNT)
        gap = 0 if previous is None else topology.epoch - previous.epoch
        same_change = previous is not None and previous.joint and topology.joint and gap == 1
        raised: list[bool] = []
        if previous is not None and previous.keyspaces != topology.keyspaces:
            raised = raised_positions(previous.keyspaces, topology.keyspaces)
        fewer = previous_map is not None and previous_map.copies_max > slot_map.copies_max
        for slots, standing in standings(self._id, previous_map, slot_map):
            if standing.is_stranger:
                mark(complete, slots, 0)
                if standing.was_owner and fewer:
                    for slot in slots:
                        self.surplus.add(slot, now)
                elif not standing.is_new:
                    drops.update(dict.fromkeys(slots))
                continue
            mark(held, slots, 255)
            if standing.is_owner:
                mark(owned, slots, 255)
            if standing.is_new:
                drops.update(dict.fromkeys(self.surplus.reclaim(slots, now)))
            # What is left of an earlier ownership must not mix with what will be copied.
            self._drop([slot for slot in slots if slot in drops] if drops else ())
            if fresh:
                mark(complete, slots, 1)
            elif not standing.survives(gap, same_change):
                self.slots_reset += count(complete, slots, 1)
                mark(complete, slots, 0)
            elif raised and standing.is_owner:
                position = slot_map.owners[slots[0]].index(self._id)
                if raised[position : position + 1] == [True]:
                    # Some keys of the slots get a copy here for the first time.
                    mark(complete, slots, 0)
        self._owned, self._held = bytes(owned), bytes(held)
        self.refill(same_change, now)
        if self._drops and self._drop_timer is None:
            self._drop_timer = self._timers.schedule(now.mono_s + DROP_INTERVAL_S, self._drop_some)

    def refill(self, keep: bool, now: Now) -> None:
        """Have everything copied that this node lacks at the newest document."""
        topology, slot_map = self._topology, self._slot_map
        assert topology is not None
        assert slot_map is not None
        wanted = wants(self._id, topology, slot_map, self.filling.complete)
        self.filling.paused = topology.change is not None and topology.change.paused
        self.filling.begin(wanted, topology.epoch, topology.joint, keep, now)
        if self.filling.left and not topology.joint:
            text = f"{self.filling.left} slots are copied from other members before they answer"
            self._ports.emit(Emit("slots.refilling", text))
        self._ports.on_filled(now)

    def _drop_some(self, now: Now) -> None:
        self._drop_timer = None
        self._drop(list(self._drops)[:DROPS_PER_STEP])
        if self._drops:
            self._drop_timer = self._timers.schedule(now.mono_s + DROP_INTERVAL_S, self._drop_some)

    def _drop(self, slots: Iterable[int]) -> None:
        for slot in slots:
            self._drops.pop(slot, None)
            self.entries_dropped += self._store.drop_slot(slot)

    def _forget(self, _now: Now) -> None:
        self._drop(range(SLOTS_COUNT))

    def _come_back(self, now: Now) -> None:
        """This process was stopped for longer than hints are kept: it has missed writes for good."""
        if self._topology is None:
            return
        complete = self.filling.complete
        self.slots_reset += sum(complete)
        complete[:] = bytes(SLOTS_COUNT)
        self.refill(False, now)

    def _seeds(self) -> list[NodeId]:
        """Members first: seeds are only names of whoever was reachable at the start."""
        topology = self._topology
        members = () if topology is None else topology.members
        live = [m.node_id for m in members if m.node_id != self._id]
        return live or list(self._first_seeds)

    # -- members -----------------------------------------------------------------------------

    def _depart(self, previous: Topology | None, now: Now) -> None:
        topology, slot_map = self._topology, self._slot_map
        assert topology is not None
        assert slot_map is not None
        manner = self.departure.manner
        if previous is not None and previous.member(self._id) is not None:
            manner = manner_of(self._id, previous, topology)
        if manner is not None:
            self.departure.begin(manner, topology, slot_map, now)
        elif previous is None:
            # An earlier life of this process ended as no member: it was started to be one.
            self.joining.begin(now)
