"""Runs the rounds of all strong keys that this node coordinates: messages, deadlines, epochs.

Questions to one peer within one wake-up travel in one frame, whatever keys and stages they belong to;
this node's own acceptor is asked like any other. Everything here belongs to one epoch: when a newer
document is in force, rounds begin anew, and answers of the old epoch find nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias, final

from nodecore.consensus.acceptor import AcceptorState
from nodecore.errors import Code
from nodecore.ids import Epoch, NodeId, Now
from nodecore.replication.calls import CallEnd, CallFailed
from nodecore.replication.deadlines import Deadlines
from nodecore.requests import Failed
from nodecore.routing import Routing
from nodecore.strong.instance import KeyInstance
from nodecore.strong.operations import Operation
from nodecore.strong.ports import (
    FORWARDED_SHARE,
    FRAME_BYTES_MAX,
    QUEUE_MAX,
    ROUND_SHARE,
    ROWS_MAX,
    StrongPorts,
)
from nodecore.strong.record import Record
from nodecore.strong.registers import Registers
from nodecore.strong.replica import (
    Row,
    StrongReplica,
    Told,
    rows_from_plain,
    told_from_columns,
    told_to_columns,
)
from nodecore.strong.round import Asker, Place, Round
from transport.messages import ErrorReply, Message, StrongAsk, StrongTold

_Item: TypeAlias = tuple[Asker, Row]
_TURNS_MAX = 10_000
"""Rounds of one key alone on one node end within a wake-up; more than that is a loop."""


@final
class Rounds:
    """See the module; the ``Host`` of its instances.

    Args:
        ports: the node.
        registers: what it holds as an acceptor.
        replica: its acceptor.
        votes: whether it may answer for a slot.
    """

    def __init__(
        self,
        ports: StrongPorts,
        registers: Registers,
        replica: StrongReplica,
        votes: Callable[[bytes, int], bool],
    ) -> None:
        self.node = ports.node
        self.rng = ports.rng
        self._ports = ports
        self._registers = registers
        self._replica = replica
        self._votes = votes
        self._routing: Routing | None = None
        self._instances: dict[bytes, KeyInstance] = {}
        self._begin: dict[bytes, KeyInstance] = {}
        self._outbox: dict[NodeId, list[_Item]] = {}
        self._deadlines = Deadlines(ports.timers, ports.timeout_s)
        self._deadlines_forwarded = Deadlines(ports.timers, ports.timeout_s * FORWARDED_SHARE)
        self.counters = dict.fromkeys(
            ("strong_one_round", "strong_rounds", "strong_preempted", "strong_overdue"), 0
        )

    def __len__(self) -> int:
        """Keys with operations under way."""
        return len(self._instances)

    def stage_of(self, key: bytes) -> str:
        """What is under way for a key, for explanations: a stage of a round, ``waiting`` or empty."""
        instance = self._instances.get(key)
        if instance is None:
            return ""
        return "waiting" if instance.round is None else instance.round.stage.value

    # -- inputs ------------------------------------------------------------------------------

    def start(
        self, key: bytes, slot: int, operation: Operation, now: Now, *, forwarded: bool = False
    ) -> None:
        """Run an operation; it begins at the end of this wake-up and settles within its time."""
        instance = self._instances.get(key)
        if instance is None:
            instance = self._instances[key] = KeyInstance(self, key, slot)
        if len(instance) >= QUEUE_MAX:
            operation.settle(Failed(Code.OVERLOADED, "too many operations wait for this key"), now)
            return
        instance.add(operation)
        (self._deadlines_forwarded if forwarded else self._deadlines).add(operation, now)
        if instance.round is None and not instance.waiting:
            self._begin[key] = instance

    def on_topology(self, routing: Routing, now: Now) -> None:
        """A newer document is in force."""
        self._routing = routing
        self._outbox.clear()
        for instance in list(self._instances.values()):
            instance.on_topology(now)

    def on_ask(
        self, peer: NodeId, message: StrongAsk, answer: Callable[[Message], None], now: Now
    ) -> None:
        """A peer's questions, whose epoch is ours."""
        rows = rows_from_plain(peer, message.kinds, message.keys, message.counters, message.records)
        if rows is None:
            answer(ErrorReply(int(Code.BAD_REQUEST), "rows that make no sense"))
            return
        epoch = message.epoch

        def on_told(told: list[Told], _now: Now) -> None:
            columns = told_to_columns(told)
            answer(StrongTold(epoch, self._ports.incarnation(), *columns))

        self._replica.handle(rows, on_told, now)

    def flush(self, now: Now) -> None:
        """The end of a wake-up: begin what was started, ask whoever is to be asked."""
        for _turn in range(_TURNS_MAX):
            if not self._begin and not self._outbox:
                return
            begin, self._begin = self._begin, {}
            for instance in begin.values():
                instance.go_on(now)
            outbox, self._outbox = self._outbox, {}
            for peer, items in outbox.items():
                waiting = [item for item in items if item[0].alive]
                if peer == self.node:
                    self._ask_here(waiting, now)
                else:
                    for batch in _batches(waiting):
                        self._send(peer, batch, now)
        raise AssertionError("rounds without end")

    # -- Host --------------------------------------------------------------------------------

    def place(self, key: bytes, slot: int) -> Place:
        """See ``Host``."""
        routing = self._routing
        flushed_epoch = self._registers.flushed_epoch
        if routing is None:
            return Place(Epoch(0), (), None, 0, flushed_epoch)
        route = routing.route(key, slot)
        following = route.owners_next
        quorums: tuple[tuple[NodeId, ...], ...]
        quorums = (route.owners,) if following is None else (route.owners, following)
        if not all(quorums):
            quorums = ()
        state = None
        if self._votes(key, slot):
            state = self._registers.get(key, slot) or AcceptorState()
        return Place(routing.epoch, quorums, state, self._registers.floor(slot), flushed_epoch)

    def ask(self, peer: NodeId, row: Row, asker: Asker) -> None:
        """See ``Host``."""
        self._outbox.setdefault(peer, []).append((asker, row))

    def watch(self, round_: Round, now: Now) -> None:
        """See ``Host``."""
        at_s = now.mono_s + ROUND_SHARE * self._ports.timeout_s
        round_.timer = self._ports.timers.schedule(at_s, partial(self._overdue, round_))

    def _overdue(self, round_: Round, now: Now) -> None:
        self.counters["strong_overdue"] += 1
        round_.instance.on_overdue(round_, now)

    def unwatch(self, round_: Round) -> None:
        """See ``Host``."""
        self._ports.timers.cancel(round_.timer)

    def later(self, instance: KeyInstance, delay_s: float, now: Now) -> None:
        """See ``Host``."""
        self._ports.timers.schedule(now.mono_s + delay_s, instance.go_on)

    def forget(self, instance: KeyInstance) -> None:
        """See ``Host``."""
        if self._instances.get(instance.key) is instance:
            del self._instances[instance.key]
            self._begin.pop(instance.key, None)

    # -- questions ---------------------------------------------------------------------------

    def _ask_here(self, items: list[_Item], now: Now) -> None:
        on_told = partial(self._on_rows, self.node, items)
        self._replica.handle([row for _asker, row in items], on_told, now)

    def _send(self, peer: NodeId, items: list[_Item], now: Now) -> None:
        if not self._ports.peers.linked(peer):
            self._fail(peer, items, Failed(Code.UNREACHABLE, f"{peer}: no link"), now)
            return
        assert self._routing is not None
        message = StrongAsk(
            self._routing.epoch,
            bytes(row.kind for _asker, row in items),
            [row.key for _asker, row in items],
            [row.ballot.counter for _asker, row in items],
            [_plain(row.record) for _asker, row in items],
        )
        on_end = partial(self._on_end, peer, self._routing.epoch, items)
        self._ports.request(peer, message, on_end, now)

    def _on_end(
        self, peer: NodeId, epoch: Epoch, items: list[_Item], end: CallEnd, now: Now
    ) -> None:
        if isinstance(end, StrongTold) and end.epoch == epoch:
            told = told_from_columns(len(items), end.codes, end.promised, end.accepted, end.records)
            if told is not None:
                self._on_rows(peer, items, told, now)
                return
        reason = Failed(Code.INTERNAL, f"{peer}: not an answer")
        if isinstance(end, CallFailed):
            reason = Failed(end.code, end.text, end.retry_after_s)
            if end.code is Code.STALE_EPOCH:
                self._ports.on_stale(peer, epoch, _ignore, now)
        self._fail(peer, items, reason, now)

    def _on_rows(self, peer: NodeId, items: list[_Item], told: list[Told], now: Now) -> None:
        for (asker, row), answer in zip(items, told, strict=True):
            asker.on_told(peer, row.kind, answer, now)

    def _fail(self, peer: NodeId, items: list[_Item], reason: Failed, now: Now) -> None:
        for asker, row in items:
            asker.on_failure(peer, row.kind, reason, now)


def _plain(record: object) -> object:
    return record.to_plain() if isinstance(record, Record) else record


def _batches(items: list[_Item]) -> list[list[_Item]]:
    """Split so that no frame outgrows its bounds."""
    batches: list[list[_Item]] = []
    size = 0
    for item in items:
        record = item[1].record
        item_size = len(item[1].key) + (len(record.value) if isinstance(record, Record) else 0)
        full = not batches or len(batches[-1]) >= ROWS_MAX or size + item_size > FRAME_BYTES_MAX
        if full:
            batches.append([])
            size = 0
        batches[-1].append(item)
        size += item_size
    return batches


def _ignore(_newer: bool, _now: Now) -> None:
    """A newer document begins every round anew."""
