"""Fencing by epoch: what to do with requests from the past, from the future, and sent too early.

A peer's request at a lower epoch than ours is refused with ours. One at a higher epoch is held
(bounded in number and time) while the topology is fetched from its sender, then handled or refused.
Work of our own that a peer refused because *we* were behind waits here too, and is told to run again
when a newer document is in force.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from nodecore.errors import Code
from nodecore.ids import Epoch, NodeId, Now
from nodecore.replication.deadlines import Deadlines
from nodecore.timers import Timers
from transport.messages import ErrorReply, Lane, Message, TopologyFetch

HELD_MAX: Final = 1024
WAITING_MAX: Final = 4096
FETCH_INTERVAL_S: Final = 0.1

Retry: TypeAlias = Callable[[bool, Now], None]
"""Called exactly once: True with a newer document in force, False when none came in time."""
OnStale: TypeAlias = Callable[[NodeId, Epoch, Retry, Now], None]
"""(the peer that is ahead, the epoch it refused, what to run again, now)."""


class Held(NamedTuple):
    """A request from the future."""

    peer: NodeId
    stream: int
    epoch: Epoch
    message: Message


class _Waiting:
    __slots__ = ("_expire", "held", "retry", "settled")

    def __init__(
        self, retry: Retry | None, held: Held | None, expire: Callable[[_Waiting, Now], None]
    ) -> None:
        self.retry = retry
        self.held = held
        self.settled = False
        self._expire = expire

    def on_deadline(self, now: Now) -> None:
        self._expire(self, now)


class Epochs:
    """Everything that waits for a newer topology.

    Args:
        send: to fetch documents and to refuse requests.
        timers: of the node.
        timeout_s: how long anything waits.
    """

    def __init__(
        self,
        send: Callable[[NodeId, Lane, int, Message], None],
        timers: Timers,
        timeout_s: float,
    ) -> None:
        self._send = send
        self._deadlines = Deadlines(timers, timeout_s)
        self._waiting: list[_Waiting] = []
        self._fetched_s: dict[NodeId, float] = {}
        self.epoch = Epoch(0)
        """Of the document in force."""
        self.stale_refused = 0
        self.overflowed = 0

    def admit(self, peer: NodeId, stream: int, epoch: int, message: Message, now: Now) -> bool:
        """Whether a request at ``epoch`` may run now; if not, it was refused or is held."""
        if epoch == self.epoch:
            return True
        if epoch < self.epoch:
            self.stale_refused += 1
            self._refuse(peer, stream, Code.STALE_EPOCH, f"epoch {epoch} is over: {self.epoch}")
            return False
        self._fetch(peer, now)
        held = Held(peer, stream, Epoch(epoch), message)
        if len(self._waiting) >= HELD_MAX:
            self.overflowed += 1
            self._refuse(peer, stream, Code.OVERLOADED, "too many requests wait for a topology")
        else:
            self._wait(None, held, now)
        return False

    def on_stale(self, peer: NodeId, refused: Epoch, retry: Retry, now: Now) -> None:
        """A peer refused work of ours at epoch ``refused``; run it again once we know more."""
        if self.epoch > refused:
            retry(True, now)
            return
        self._fetch(peer, now)
        if len(self._waiting) >= WAITING_MAX:
            self.overflowed += 1
            retry(False, now)
        else:
            self._wait(retry, None, now)

    def on_topology(self, epoch: Epoch, now: Now) -> list[Held]:
        """A newer document is in force: runs the retries, returns the requests to be handled."""
        self.epoch = epoch
        waiting, self._waiting = self._waiting, []
        ready: list[Held] = []
        for item in waiting:
            held = item.held
            if held is not None and held.epoch > epoch:
                self._waiting.append(item)
                continue
            item.settled = True
            if held is not None:
                ready.append(held)
        for item in waiting:
            if item.retry is not None:
                item.retry(True, now)
        return ready

    def _wait(self, retry: Retry | None, held: Held | None, now: Now) -> None:
        item = _Waiting(retry, held, self._expire)
        self._waiting.append(item)
        self._deadlines.add(item, now)

    def _expire(self, item: _Waiting, now: Now) -> None:
        item.settled = True
        self._waiting.remove(item)
        if item.retry is not None:
            item.retry(False, now)
        if item.held is not None:
            text = f"epoch {item.held.epoch} is not known here yet"
            self._refuse(item.held.peer, item.held.stream, Code.NOT_READY, text)

    def _fetch(self, peer: NodeId, now: Now) -> None:
        if now.mono_s - self._fetched_s.get(peer, -FETCH_INTERVAL_S) >= FETCH_INTERVAL_S:
            self._fetched_s[peer] = now.mono_s
            self._send(peer, Lane.CONTROL, 0, TopologyFetch(epoch=self.epoch))

    def _refuse(self, peer: NodeId, stream: int, code: Code, text: str) -> None:
        if stream:
            self._send(peer, Lane.DATA, stream, ErrorReply(code=int(code), text=text))
