"""The coordinator: takes a client's request, hands it to the room that runs it, counts the outcome.

It composes reads, writes, updates and forwarding, routes a request elsewhere while this node's clock
is not to be trusted, and answers requests that peers forward. It has no rules of its own about
copies or quorums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TypeAlias

from nodecore.errors import Code
from nodecore.ids import Incarnation, NodeId, Now
from nodecore.replication.calls import Calls, SendMessage
from nodecore.replication.epochs import Epochs, Held
from nodecore.replication.forwarding import Forwarder
from nodecore.replication.handoff import Handoff
from nodecore.replication.hints import Hints
from nodecore.replication.policy import Policy
from nodecore.replication.reads import Reader
from nodecore.replication.repairs import Repairs
from nodecore.replication.replica import Replica
from nodecore.replication.replicator import Replicator
from nodecore.replication.updates import Updater
from nodecore.replication.versions import HybridClock
from nodecore.replication.wire import MalformedPlain, outcome_to_plain, request_from_plain
from nodecore.replication.writes import Writer
from nodecore.requests import (
    Done,
    Failed,
    Flag,
    Flush,
    Outcome,
    Read,
    Request,
    Unknown,
    Update,
    Write,
)
from nodecore.resilience.breakers import LinkBreakers
from nodecore.routing import Peers, Routing
from nodecore.storage.memory import Store
from nodecore.strong.requests import StrongRequests
from nodecore.timers import Timers
from transport.messages import ErrorReply, Forward, Forwarded, Lane, PeerApply, PeerRead

OnOutcome: TypeAlias = Callable[[Outcome, Now], None]


@dataclass(frozen=True, slots=True)
class CoordinatorPorts:
    """What the coordinator stands on."""

    node: NodeId
    incarnation: Incarnation
    store: Store
    clock: HybridClock
    peers: Peers
    breakers: LinkBreakers
    timers: Timers
    rng: Random
    timeout_s: float
    send: SendMessage


class Coordinator:
    """All requests of this node's clients, and those forwarded here."""

    def __init__(
        self,
        ports: CoordinatorPorts,
        filled: Callable[[int], bool],
        holds: Callable[[bytes], bool],
        load: Callable[[], int],
    ) -> None:
        self._ports = ports
        self._holds = holds
        self._routing: Routing | None = None
        self.policy = Policy()
        self.hints = Hints()
        self.calls = Calls(
            ports.send, ports.breakers, ports.timers, ports.timeout_s, Random(ports.rng.random())
        )
        self.epochs = Epochs(ports.send, ports.timers, ports.timeout_s)
        self.replica = Replica(ports.store, ports.clock, ports.incarnation, filled, holds, load)
        self.repairs = Repairs(ports.node, ports.store, ports.clock, self.calls, holds)
        self.handoff = Handoff(self.hints, self.calls, ports.peers.live, ports.breakers.state)
        self.replicator = Replicator(
            ports.node,
            self.replica,
            ports.peers,
            self.calls,
            self.hints,
            ports.incarnation,
            self.policy,
            self.epochs.on_stale,
        )
        self.reader = Reader(
            ports.store,
            ports.peers,
            self.calls,
            ports.breakers,
            ports.timers,
            self.repairs,
            self.policy,
            self.epochs.on_stale,
        )
        self.reader.filled = filled
        self.reader.hints = self.hints
        self.forwarder = Forwarder(
            self.calls, self.epochs.on_stale, ports.clock, self._hold, self.handoff.bring_up
        )
        self.reader.note_version = self.forwarder.note_version
        self.writer = Writer(ports.store.table, ports.clock, self.replicator)
        self.updater = Updater(
            ports.node,
            ports.store,
            ports.clock,
            ports.peers,
            self.reader,
            self.replicator,
            self.forwarder,
        )
        self.strong: StrongRequests | None = None
        """Takes what touches strong keys."""
        self.reads = self.writes = 0
        self.errors = self.unknowns = 0
        self.sloppy = 0
        """Answers to this node's clients, whoever took the write, with fewer than W copies."""
        self.on_write: Callable[[tuple[bytes, ...]], None] = _ignore_keys
        """Called with the keys of each write that a client asks for: heat."""
        self.on_read: Callable[[Sequence[bytes]], None] = _ignore_keys
        """Called with keys that a client reads and that touch no entry, here or elsewhere: those that
        are not there, and strong ones."""
        self.on_flush: Callable[[OnOutcome, Now], Outcome | None] = _no_flush
        """Flushes at this node."""
        self.on_latency: Callable[[str, int, int], None] = _ignore_latency
        """Called with (``read`` or ``write``, microseconds, 1) for each request of a client."""

    def on_topology(self, routing: Routing, now: Now) -> list[Held]:
        """A newer document is in force; returns the held requests that can be handled now."""
        self._routing = routing
        self.replicator.routing = routing
        self.reader.routing = routing
        self.writer.routing = routing
        self.forwarder.routing = routing
        self.updater.routing = routing
        ready = self.epochs.on_topology(routing.epoch, now)
        self.replicator.restart_all(now)
        return ready

    def submit(self, request: Request, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        """Run a client's request, see ``Backend.submit``."""
        kind = "read" if type(request) is Read else "write"
        counted = partial(self._on_outcome, on_outcome, kind, request, now.mono_s)
        outcome = self._run(request, counted, now, forwarded=False)
        if outcome is not None:
            # Answered within its wake-up: too fast for a clock that is read once per wake-up.
            self.on_latency(kind, 0, 1)
            self._count(request, outcome)
        return outcome

    def flush_all(self, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        """FLUSHALL, here or at a node with a better clock: its moment is a version, too."""
        return self._run(Flush(), on_outcome, now, forwarded=False)

    def _run(
        self, request: Request, on_outcome: OnOutcome, now: Now, *, forwarded: bool
    ) -> Outcome | None:
        if self._routing is None:
            return Failed(Code.NOT_READY, "this node knows no topology yet", 0.5)
        if self.strong is not None and self.strong.concerns(request):
            return self._run_strong(request, on_outcome, now, forwarded=forwarded)
        match request:
            case Read():
                self.reads += len(request.keys)
                return self.reader.read(request, on_outcome, now)
            case Write():
                if not forwarded:
                    self.writes += len(request.keys)
                    self.on_write(request.keys)
                if not self._ports.clock.may_coordinate(now):
                    return self._write_elsewhere(request, on_outcome, now, forwarded=forwarded)
                return self.writer.write(request, on_outcome, now)
            case Flush():
                if not self._ports.clock.may_coordinate(now):
                    return self._write_elsewhere(request, on_outcome, now, forwarded=forwarded)
                return self.on_flush(on_outcome, now)
            case Update():
                if not forwarded:
                    self.writes += 1
                    self.on_write((request.key,))
                return self.updater.update(request, on_outcome, now, forwarded=forwarded)
            case _:
                return Failed(Code.BAD_REQUEST, f"{type(request).__name__} is not run here")

    def _run_strong(
        self, request: Request, on_outcome: OnOutcome, now: Now, *, forwarded: bool
    ) -> Outcome | None:
        assert self.strong is not None
        keys = self.strong.keys_of(request)
        if type(request) is Read:
            if not forwarded:
                self.reads += len(keys)
                self.on_read(keys)
        elif not forwarded:
            self.writes += len(keys)
            self.on_write(keys)
        elsewhere = partial(self._run, forwarded=forwarded)
        return self.strong.run(request, on_outcome, now, forwarded=forwarded, elsewhere=elsewhere)

    def _write_elsewhere(
        self, request: Write | Flush, on_outcome: OnOutcome, now: Now, *, forwarded: bool
    ) -> Outcome | None:
        """Peers would refuse this node's versions: let a node with a better clock make one."""
        if forwarded:
            return Failed(Code.NOT_READY, "this node's clock is not settled")
        outcome = self.forwarder.forward(request, self._any_peer, on_outcome, now)
        if isinstance(outcome, Failed):
            return Failed(Code.NOT_READY, "this node's clock is not settled", 1.0)
        return outcome

    def _any_peer(self, tried: dict[NodeId, bool]) -> NodeId | None:
        assert self._routing is not None
        for member in self._routing.topology.members:
            peer = member.node_id
            if peer != self._ports.node and peer not in tried and self._ports.peers.can_call(peer):
                return peer
        return None

    def on_forward(self, peer: NodeId, stream: int, message: Forward, now: Now) -> None:
        """A peer asks us to run a request; its epoch has been checked."""
        send = self._ports.send
        try:
            request = request_from_plain(message.request)
        except MalformedPlain as error:
            reply = ErrorReply(code=int(Code.BAD_REQUEST), text=f"forwarded request: {error}")
            send(peer, Lane.DATA, stream, reply)
            return
        if message.seen:
            self._ports.clock.believes(message.seen, now)
        answer = partial(self._answer_forward, peer, stream, request)
        outcome = self._run(request, answer, now, forwarded=True)
        if outcome is not None:
            answer(outcome, now)

    def _answer_forward(
        self, peer: NodeId, stream: int, request: Request, outcome: Outcome, now: Now
    ) -> None:
        if isinstance(outcome, Failed) and outcome.code in (Code.NOT_OWNER, Code.NOT_READY):
            reply = ErrorReply(code=int(outcome.code), text=outcome.text)
            self._ports.send(peer, Lane.DATA, stream, reply)
            return
        assert self._routing is not None
        plain = outcome_to_plain(outcome)
        entry = self._entry_left(request, now) if isinstance(outcome, Done) else None
        reply_done = Forwarded(epoch=self._routing.epoch, outcome=plain, entry=entry)
        self._ports.send(peer, Lane.DATA, stream, reply_done)

    def _entry_left(self, request: Request, now: Now) -> list[object] | None:
        """What the key of an update holds now."""
        if not isinstance(request, Update):
            return None
        entry = self._ports.store.get(request.key, now)
        if entry is None:
            return None
        return [
            request.key, entry.kind, entry.value, entry.hlc, entry.node, entry.expires_ms,
        ]  # fmt: skip

    def _hold(self, entry: object, now: Now) -> None:
        """A forwarded update came back: an owner holds what it left before the client hears of it."""
        if not isinstance(entry, list) or not entry or not isinstance(entry[0], bytes):
            return
        if self._holds(entry[0]):
            self.replica.on_apply(PeerApply(int(self.epochs.epoch), "update", [entry]), now)

    def flush(self, now: Now) -> None:
        """The end of a wake-up: everything that collected for a peer goes out."""
        if self._routing is not None:
            self.writer.flush(now)
            self.replicator.flush(now)
            self.reader.flush(now)
            self.repairs.flush(self._routing.epoch, now)

    def tick(self, now: Now) -> None:
        """Hints, repair budget, and probes of breakers that are not closed."""
        if self._routing is None:
            return
        self.repairs.tick()
        self.handoff.tick(self._routing.epoch, now)
        for peer in self._ports.breakers.probes_due(now):
            if self._ports.peers.linked(peer):
                probe = PeerRead(epoch=self._routing.epoch, keys=[])
                self.calls.request(peer, probe, _ignore_end, now)

    def _on_outcome(
        self,
        on_outcome: OnOutcome,
        kind: str,
        request: Request,
        began_s: float,
        outcome: Outcome,
        now: Now,
    ) -> None:
        self.on_latency(kind, round((now.mono_s - began_s) * 1e6), 1)
        self._count(request, outcome)
        on_outcome(outcome, now)

    def _count(self, request: Request, outcome: Outcome) -> None:
        if isinstance(outcome, Failed):
            self.errors += 1
        elif isinstance(outcome, Unknown):
            self.unknowns += 1
        elif type(request) is Read:
            self._note_absent(request, outcome)
        elif outcome.flags & Flag.SLOPPY:
            self.sloppy += 1

    def _note_absent(self, request: Read, outcome: Done) -> None:
        """An entry that is read is touched where it lies; what is nowhere is counted here."""
        found, routing = outcome.result, self._routing
        if isinstance(found, list) and None in found and routing is not None:
            absent = [key for key, value in zip(request.keys, found, strict=True) if value is None]
            self.on_read([key for key in absent if not routing.is_strong(key)])


def _ignore_keys(_keys: Sequence[bytes]) -> None:
    """Until heat is wired."""


def _no_flush(_on_outcome: OnOutcome, _now: Now) -> Outcome:
    return Failed(Code.NOT_READY, "this node can't flush yet", 0.5)


def _ignore_latency(_kind: str, _microseconds: int, _count: int) -> None:
    """Until statistics are wired."""


def _ignore_end(_end: object, _now: Now) -> None:
    """The breaker has heard of the probe's end from the calls."""
