"""Asks members of a running cluster to make this node a member, until one of them has.

Seeds are asked in turn, one question a second. An answer that can change (a change is running, the
seed is not ready) is asked for again; an answer that can't (the id is taken, another cluster) ends
the process, because the operator must decide. It does not judge whether a join is allowed: the
member that is asked does (see ``migration``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from nodecore.effects import Emit, Severity
from nodecore.errors import Code
from nodecore.ids import NodeId, Now
from nodecore.placement.topology import NOBODY, Member
from nodecore.replication.change_ports import ChangePorts
from nodecore.timers import Timer, Timers
from transport.messages import ErrorReply, Join, JoinReply, Lane, Message

ASK_INTERVAL_S: Final = 1.0
STREAM: Final = 2**31 - 1
"""Stream number of this exchange on the control lane; one question at a time."""
_FINAL: Final = frozenset(
    {int(Code.TAKEN), int(Code.WRONG_CLUSTER), int(Code.REFUSED), int(Code.BAD_REQUEST)}
)


class Joining:
    """One wish to become a member.

    Args:
        ports: the node.
        timers: the node's.
        member: this node's entry.
        replaces: who is to go when it comes; empty: nobody.
        seeds: whom to ask, most promising first; may change between questions.
    """

    def __init__(
        self,
        ports: ChangePorts,
        timers: Timers,
        member: Member,
        seeds: Callable[[], Sequence[NodeId]],
        replaces: NodeId = NOBODY,
    ) -> None:
        self._ports = ports
        self._timers = timers
        self._member = member
        self._seeds = seeds
        self._replaces = replaces
        self._timer: Timer | None = None
        self._asked = 0
        self._said = ""
        self.active = False

    def forget_replaced(self) -> None:
        """This node has been a member: if it comes again, it is in nobody's place."""
        self._replaces = NOBODY

    def begin(self, now: Now) -> None:
        """Ask until :meth:`end`."""
        if not self.active:
            self.active = True
            self._ask(now)

    def end(self) -> None:
        """This node is a member, or has given up."""
        self.active = False
        self._timers.cancel(self._timer)

    def _ask(self, now: Now) -> None:
        if not self.active:
            return
        self._timer = self._timers.schedule(now.mono_s + ASK_INTERVAL_S, self._ask)
        seeds = self._seeds()
        if not seeds:
            return
        seed = seeds[self._asked % len(seeds)]
        self._asked += 1
        plain = msgspec.to_builtins(self._member)
        self._ports.send(seed, Lane.CONTROL, STREAM, Join(plain, str(self._replaces)))

    def on_refused(self, peer: NodeId, reason: str) -> None:
        """A member does not even take our link: this is another cluster, or the id is its own."""
        if self.active:
            self.end()
            self._ports.stop(f"{peer} refuses this node: {reason}", 1)

    def on_message(self, peer: NodeId, stream: int, message: Message, now: Now) -> bool:
        """Take the answer of a seed; False when it is none."""
        if not self.active or stream != STREAM:
            return False
        if isinstance(message, JoinReply):
            self._ports.learn(message.document, now)
            return True
        if not isinstance(message, ErrorReply):
            return False
        if message.code in _FINAL:
            self.end()
            self._ports.stop(f"{peer} refuses this node: {message.text}", 1)
        elif message.text != self._said:
            self._said = message.text
            text = f"{peer} can't take this node in yet: {message.text}"
            self._ports.emit(Emit("change.join-waits", text, Severity.NOTICE))
        return True
