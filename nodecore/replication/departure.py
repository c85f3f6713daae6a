"""What a node does when a document no longer counts it among the members.

* It was leaving: it waits until a majority of the members has adopted that document (so that
  nobody asks it any more), then ends the process.
* It was removed while it was away, and has its memory: writes that only it may hold are handed to
  the owners of today, by version. Older ones than a tombstone lives are left out: the delete that
  contradicts them may be forgotten. Then it forgets everything and asks to join anew.
* It was replaced while it was away: the same handover, then it ends the process.
* Its join was cancelled: it forgets what it has copied and asks again, unless an operator did it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Final

from nodecore.effects import Emit, Severity
from nodecore.ids import SLOTS_COUNT, NodeId, Now
from nodecore.limits import HINT_WINDOW_S, MEMBERS_MAX, TOMBSTONE_S
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Topology
from nodecore.replication.change_ports import ChangePorts
from nodecore.replication.streaming import Order, Sent, SlotStreams
from nodecore.timers import Timer, Timers

GOODBYE_TIMEOUT_S: Final = 5.0
"""A leaving node ends after this even if no majority has told it that it adopted the document."""
HANDOVER_TIMEOUT_S: Final = 30.0
_HANDOVER_MS: Final = int((TOMBSTONE_S + HINT_WINDOW_S) / 2 * 1000)
"""Well within the life of a tombstone, and more than the time that hints cover."""
OPERATOR_CANCEL: Final = "cancelled by an operator"


class Manner(Enum):
    """Why this node is no member."""

    LEFT = "left"
    REMOVED = "removed"
    CANCELLED = "cancelled"
    REPLACED = "replaced"
    """While it was away."""


class Departure:
    """The end of one membership.

    Args:
        ports: the node.
        timers: the node's.
        streams: for the handover.
        forget: drop every entry.
        rejoin: ask to be a member again.
    """

    def __init__(
        self,
        ports: ChangePorts,
        timers: Timers,
        streams: SlotStreams,
        forget: Callable[[Now], None],
        rejoin: Callable[[Now], None],
    ) -> None:
        self._ports = ports
        self._timers = timers
        self._streams = streams
        self._forget = forget
        self._rejoin = rejoin
        self._timer: Timer | None = None
        self._topology: Topology | None = None
        self._manner: Manner | None = None
        self._adopted: dict[NodeId, int] = {}
        self._open: dict[NodeId, bool] = {}
        self.handed_over = 0
        """Entries that owners of today have acknowledged."""

    @property
    def manner(self) -> Manner | None:
        """Why this node is no member; None while it is one."""
        return self._manner

    def begin(self, manner: Manner, topology: Topology, slot_map: SlotMap, now: Now) -> None:
        """The first document without this node; later ones restart what is not finished."""
        self._manner = manner
        self._topology = topology
        if manner is Manner.LEFT:
            if self._timer is None:
                at_s = now.mono_s + GOODBYE_TIMEOUT_S
                self._timer = self._timers.schedule(at_s, self._say_goodbye)
            self._count_adopted(now)
            return
        if manner is Manner.CANCELLED and topology.reason.endswith(OPERATOR_CANCEL):
            self._ports.stop(topology.reason, 0)
            return
        self._open.clear()
        self._timers.cancel(self._timer)
        self._timer = None
        if manner in (Manner.REMOVED, Manner.REPLACED):
            self._hand_over(topology, slot_map, now)
        if self._open:
            self._timer = self._timers.schedule(now.mono_s + HANDOVER_TIMEOUT_S, self._begin_anew)
        else:
            self._begin_anew(now)

    def end(self) -> None:
        """This node is a member (again)."""
        self._manner = None
        self._timers.cancel(self._timer)
        self._timer = None
        self._adopted.clear()
        self._open.clear()

    def on_adopted(self, peer: NodeId, epoch: int, now: Now) -> None:
        """A member has adopted the document of ``epoch``."""
        if peer in self._adopted or len(self._adopted) < MEMBERS_MAX:
            self._adopted[peer] = max(epoch, self._adopted.get(peer, 0))
        self._count_adopted(now)

    def _count_adopted(self, now: Now) -> None:
        topology = self._topology
        if topology is None or self._manner is not Manner.LEFT:
            return
        count = sum(self._adopted.get(m.node_id, 0) >= topology.epoch for m in topology.members)
        if count * 2 > len(topology.members):
            self._say_goodbye(now)

    def _say_goodbye(self, now: Now) -> None:
        if self._manner is Manner.LEFT:
            self._timers.cancel(self._timer)
            self._manner = None
            self._ports.stop("left the cluster", 0)

    def _hand_over(self, topology: Topology, slot_map: SlotMap, now: Now) -> None:
        hlc_min = max(0, now.wall_ms - _HANDOVER_MS) << 16
        owned: dict[NodeId, list[int]] = {member.node_id: [] for member in topology.members}
        for slot in range(SLOTS_COUNT):
            for owner in slot_map.owners[slot]:
                owned[owner].append(slot)
        self._open = dict.fromkeys(owned, True)
        for node, slots in owned.items():
            on_sent = partial(self._on_sent, node)
            self._streams.begin(Order(node, "handover", slots, on_sent, hlc_min), now)

    def _on_sent(self, node: NodeId, sent: Sent, now: Now) -> None:
        self.handed_over += sent.entries
        if not sent.ended or node not in self._open:
            return
        del self._open[node]
        if sent.failed:
            text = f"could not hand newer writes to {node}: {sent.failed}"
            self._ports.emit(Emit("change.handover-failed", text, Severity.WARNING))
        # The first stream may end before the others have begun.
        if not self._open and self._timer is not None:
            self._begin_anew(now)

    def _begin_anew(self, now: Now) -> None:
        if self._manner is Manner.REPLACED:
            self._timers.cancel(self._timer)
            self._manner = None
            self._ports.stop("another node has replaced this one", 0)
            return
        if self._manner not in (Manner.REMOVED, Manner.CANCELLED):
            return
        self._timers.cancel(self._timer)
        self._timer = None
        self._open.clear()
        self._forget(now)
        self._rejoin(now)


def manner_of(node: NodeId, previous: Topology, topology: Topology) -> Manner:
    """How this node came to be no member, by the last document that counted it."""
    change = previous.change
    leaving = change is not None and change.kind in ("leave", "replace") and change.leaver == node
    if leaving or topology.reason == f"leave of {node} finished":
        return Manner.LEFT
    if topology.reason.endswith(f" has replaced {node}"):
        return Manner.REPLACED
    if any(member.node_id == node for member in previous.members):
        return Manner.REMOVED
    return Manner.CANCELLED
