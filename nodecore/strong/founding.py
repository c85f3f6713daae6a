"""Whether a node that founds a cluster is really new, or has lost all memory of having founded it.

The first members of a cluster are given the same list, so one that comes back on an empty disk looks
like one that starts for the first time. Before a founder votes on strong keys it hears from all other
founders that they have not voted either. Whoever has voted says so; then the founder has been here
before, and learns like any node that has lost its state. A founder begins to vote only after each of
the others has answered it, and so has heard that it was new, so nobody is taken for forgetful for being
slow: whoever was heard to be new may have begun to vote by the time it answers.

A founder that dies before it is decided goes on where it was, if it comes back on its disk: whom it has
heard to be new is kept before it answers them, because they will not be new any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, final

from nodecore.ids import Epoch, NodeId, Now
from nodecore.placement.topology import Topology
from transport.messages import ChangeStep, Lane, Message

FOUNDER: Final = "strong-founder"


@final
class Founding:
    """See the module.

    Args:
        node: this node.
        send: of the node.
        on_decided: called once with True when the cluster is new, with False when it is not.
        keep: write down :attr:`unheard`, before anything is sent that follows.
    """

    def __init__(
        self,
        node: NodeId,
        send: Callable[[NodeId, Lane, int, Message], None],
        on_decided: Callable[[bool, Now], None],
        keep: Callable[[], None],
    ) -> None:
        self._node = node
        self._send = send
        self._on_decided = on_decided
        self._keep = keep
        self._unheard: dict[NodeId, None] = {}
        """Founders that have not said yet that they are new."""
        self._unanswered: dict[NodeId, None] = {}
        """Founders that may not have heard that this one is new."""
        self._epoch = Epoch(0)
        self.undecided = False

    @property
    def unheard(self) -> list[NodeId] | None:
        """Founders that have not said yet that they are new; None: it is decided."""
        return list(self._unheard) if self.undecided else None

    def begin(self, topology: Topology, now: Now, unheard: Sequence[NodeId] | None = None) -> None:
        """This node has made the first document; ``unheard``: in an earlier life, and so far it came."""
        self.undecided = True
        self._unanswered = {m.node_id: None for m in topology.members if m.node_id != self._node}
        self._unheard = dict.fromkeys(self._unanswered if unheard is None else unheard)
        self._keep()
        self.on_topology(topology, now)

    def on_topology(self, topology: Topology, now: Now) -> None:
        """A newer document: who is no member any more is not waited for.

        Nor is who is being removed, having failed: the change ends only when this node has learned what
        comes to it, and that only from others who have been waiting for the same.
        """
        self._epoch = topology.epoch
        members = {member.node_id: None for member in topology.members}
        if topology.change is not None and topology.change.kind == "remove":
            members.pop(topology.change.leaver, None)
        self._unheard = {node: None for node in self._unheard if node in members}
        self._unanswered = {node: None for node in self._unanswered if node in members}
        self._decide(now)
        self.ask()

    def ask(self) -> None:
        """Ask everybody who has not answered."""
        if self.undecided:
            for node in (
                *self._unanswered,
                *(n for n in self._unheard if n not in self._unanswered),
            ):
                self._tell(node, asks=True)

    def on_step(self, peer: NodeId, fields: Mapping[str, object], now: Now) -> None:
        """A founder asks, or answers."""
        fresh, asks = fields.get("fresh") is True, fields.get("asks") is True
        if self.undecided and fresh and peer in self._unheard:
            del self._unheard[peer]
            self._keep()
        if asks:
            self._tell(peer, asks=False)
        if not self.undecided:
            return
        if not fresh and peer in self._unheard and not asks:
            self.undecided = False
            self._on_decided(False, now)
            return
        if not asks:
            self._unanswered.pop(peer, None)
        self._decide(now)

    def _decide(self, now: Now) -> None:
        if self.undecided and not self._unheard and not self._unanswered:
            self.undecided = False
            self._on_decided(True, now)

    def _tell(self, peer: NodeId, *, asks: bool) -> None:
        fields = {"fresh": self.undecided, "asks": asks}
        self._send(peer, Lane.CONTROL, 0, ChangeStep(self._epoch, FOUNDER, fields))
