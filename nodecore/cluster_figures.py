"""What one node answers about the whole cluster: it asks the others and merges what they say.

A question (``cluster.status``, ``cluster.hot-keys``, ``cluster.breakers``) goes as the lean verb
``figures`` over the control lane to every member that is live here; who has not answered within a
second is left out, and named. Questions that arrive meanwhile share the round, and an answer serves
for a quarter of a second, so that any number of pollers costs the cluster a bounded number of
rounds. How answers become one is ``nodecore.status``'s and ``nodecore.heat.merge``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final, final

import msgspec

from nodecore.doors.session import OnOutcome
from nodecore.errors import Code
from nodecore.heat.merge import merge_hot_keys
from nodecore.ids import NodeId, Now
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Topology
from nodecore.request_numbers import RequestNumbers
from nodecore.requests import Done, Failed, Outcome
from nodecore.statistics import KeyHeat, NodeStatistics
from nodecore.status import merge_status, natural_order, slot_counts
from nodecore.timers import Timer
from transport.messages import Admin, AdminReply, ErrorReply, Lane, Message

if TYPE_CHECKING:
    from nodecore.node import Node

ANSWER_S: Final = 1.0
"""Members that have not answered by then are left out."""
FRESH_S: Final = 0.25
"""An answer is given again for so long."""
WAITERS_MAX: Final = 256
"""Questions that share one round; more are refused."""
KEY_BYTES_SENT_MAX: Final = 512 * 1024
"""All keys of one answer together: half of the largest control message."""
STREAM_FIRST: Final = 2**29
_STREAMS: Final = 2**28
"""Streams of this room on the control lane; joining uses one above them."""

_IDENTITY: Final = ("node_id", "at_wall_ms", "uptime_s", "pid")
PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "status": (*_IDENTITY, "epoch", "status", "keys", "memory_bytes", "operations_per_s", "peers"),
    "hot-keys": (*_IDENTITY, "hot_keys"),
    "breakers": (*_IDENTITY, "breakers"),
}
"""What may be asked for: names of fields of :class:`NodeStatistics`."""


def lean_figures(statistics: NodeStatistics, part: str) -> dict[str, object]:
    """The fields of a part as plain data, keys cut to what one control message can carry.

    Raises:
        KeyError: there is no such part.
    """
    plain: dict[str, object] = {}
    for name in PARTS[part]:
        value = getattr(statistics, name)
        if name == "hot_keys":
            value = _within_bytes(value)
        plain[name] = [asdict(entry) for entry in value] if isinstance(value, tuple) else value
    return plain


def _within_bytes(hot_keys: tuple[KeyHeat, ...]) -> tuple[KeyHeat, ...]:
    kept: list[KeyHeat] = []
    room = KEY_BYTES_SENT_MAX
    for heat in hot_keys:
        room -= len(heat.key)
        if room < 0:
            break
        kept.append(heat)
    return tuple(kept)


@final
class _Part:
    """One kind of question: its last answer and the round under way."""

    def __init__(self, name: str, merge: Callable[[Mapping[str, NodeStatistics]], object]) -> None:
        self.name = name
        self.merge = merge
        self.answer: Done | None = None
        self.answered_s = 0.0
        self.answered_epoch = -1
        self.statistics: dict[str, NodeStatistics] = {}
        self.pending: dict[int, NodeId] = {}
        self.waiters: list[OnOutcome] = []
        self.timer: Timer | None = None


@final
class ClusterFigures:
    """The rounds of one node; ``rng`` numbers the questions."""

    def __init__(self, node: Node, rng: Random) -> None:
        self._node = node
        self._streams = RequestNumbers(STREAM_FIRST, _STREAMS, rng)
        self._counted: tuple[Topology, dict[str, tuple[int, int]]] | None = None
        self._status = _Part("status", self._merge_status)
        self._hot_keys = _Part("hot-keys", self._merge_hot_keys)
        self._breakers = _Part("breakers", self._merge_breakers)
        self._asked: dict[int, _Part] = {}
        """Stream -> the round that waits for its answer."""

    def status(self, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        """``ringdeck cluster status --json``, see :func:`nodecore.status.merge_status`."""
        if self._node.chain.document is None:
            return Failed(Code.NOT_READY, "this node knows no topology yet", 0.5)
        return self._ask(self._status, on_outcome, now)

    def hot_keys(self, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        """``{"nodes", "silent", "hot_keys"}`` over all members, hottest first."""
        return self._ask(self._hot_keys, on_outcome, now)

    def breakers(self, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        """``{"nodes", "silent", "circuit_breakers"}``: each breaker with the node that holds it."""
        return self._ask(self._breakers, on_outcome, now)

    def on_reply(self, peer: NodeId, stream: int, message: Message, now: Now) -> bool:
        """A message on the control lane; False when it answers no question of this room."""
        part = self._asked.get(stream)
        if part is None or part.pending.get(stream) != peer:
            return False
        if not isinstance(message, AdminReply | ErrorReply):
            return False
        if isinstance(message, AdminReply):
            try:
                part.statistics[peer] = NodeStatistics.from_plain(message.result)
            except msgspec.ValidationError:
                # A newer version may shape its figures in another way: as good as silent.
                part.statistics.pop(peer, None)
        self._settle(part, stream, now)
        return True

    def on_undelivered(self, stream: int, now: Now) -> None:
        """A question found no link."""
        part = self._asked.get(stream)
        if part is not None:
            self._settle(part, stream, now)

    # -- rounds ----------------------------------------------------------------------------------

    def _ask(self, part: _Part, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        fresh = part.answer is not None and now.mono_s - part.answered_s < FRESH_S
        if fresh and part.answered_epoch == self._node.epoch():
            return part.answer
        if part.timer is None:
            self._begin(part, now)
            if not part.pending:
                return self._merge(part, now)
        elif len(part.waiters) >= WAITERS_MAX:
            return Failed(Code.OVERLOADED, "too many questions about the cluster", FRESH_S)
        part.waiters.append(on_outcome)
        return None

    def _begin(self, part: _Part, now: Now) -> None:
        node = self._node
        part.statistics = {str(node.node_id): node.statistics(now)}
        members = node.topology.all_members
        peers = [m.node_id for m in members if m.node_id != node.node_id]
        for peer in peers:
            if not node.membership.is_live(peer):
                continue
            stream = self._streams.take(self._asked)
            self._asked[stream] = part
            part.pending[stream] = peer
            node.send(peer, Lane.CONTROL, stream, Admin("figures", {"of": part.name}))
        if part.pending:
            part.timer = node.timers.schedule(now.mono_s + ANSWER_S, partial(self._end, part))

    def _settle(self, part: _Part, stream: int, now: Now) -> None:
        del self._asked[stream]
        del part.pending[stream]
        if not part.pending:
            self._end(part, now)

    def _end(self, part: _Part, now: Now) -> None:
        self._node.timers.cancel(part.timer)
        part.timer = None
        for stream in part.pending:
            del self._asked[stream]
        part.pending.clear()
        waiters, part.waiters = part.waiters, []
        answer = self._merge(part, now)
        for on_outcome in waiters:
            on_outcome(answer, now)

    def _merge(self, part: _Part, now: Now) -> Done:
        answer = part.answer = Done(part.merge(part.statistics))
        part.answered_s = now.mono_s
        part.answered_epoch = self._node.epoch()
        part.statistics = {}
        return answer

    # -- merging ---------------------------------------------------------------------------------

    def _merge_status(self, statistics: Mapping[str, NodeStatistics]) -> object:
        topology = self._node.topology
        if self._counted is None or self._counted[0] is not topology:
            self._counted = (topology, slot_counts(SlotMap.compile(topology)))
        merged = asdict(merge_status(topology, self._counted[1], statistics))
        return {**merged, "members": list(merged["members"])}

    def _merge_hot_keys(self, statistics: Mapping[str, NodeStatistics]) -> object:
        order = sorted(statistics, key=natural_order)
        merged = merge_hot_keys([statistics[name].hot_keys for name in order])
        return {**self._heard(order), "hot_keys": [asdict(heat) for heat in merged]}

    def _merge_breakers(self, statistics: Mapping[str, NodeStatistics]) -> object:
        order = sorted(statistics, key=natural_order)
        listed = [
            {"node": name, **asdict(breaker)}
            for name in order
            for breaker in statistics[name].breakers
        ]
        return {**self._heard(order), "circuit_breakers": listed}

    def _heard(self, answered: list[str]) -> dict[str, list[str]]:
        silent = [str(m.node_id) for m in self._node.topology.all_members]
        return {
            "nodes": answered,
            "silent": sorted(set(silent) - set(answered), key=natural_order),
        }
