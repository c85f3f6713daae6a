"""Coordinated reads: a hit needs one owner, a miss needs owners that agree.

A key found here never leaves the fast path. Otherwise owners are asked in order of preference, as
many as are still needed: one for a hit at R=1, and N-W+1 that know nothing for a miss (a tombstone
anywhere is a miss at once), because a write acknowledged at W has a copy on one of them. Keys that
go to one peer within one wake-up travel in one frame. A frame that is not answered within the
link's 95th percentile is hedged: its keys are asked for at the next owner too.

A write that this node coordinated and that an owner missed is not forgotten here: its hint, kept for
that owner, stands for it when the owner's own answer is older. So a client finds what it has written
through this node even when those who took the copies cannot be asked any more.

With too few owners to ask, an ``available`` keyspace answers nil flagged ``degraded``; a level that
the request named, or another keyspace, gets an error. Owners that lag behind the answer are repaired.

Sources: Dynamo (2007) for read repair; Dean and Barroso (2013) for hedging.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

from nodecore.errors import Code
from nodecore.ids import Epoch, NodeId, Now, Version
from nodecore.replication.calls import CallEnd, CallFailed, Calls
from nodecore.replication.deadlines import Deadlines
from nodecore.replication.epochs import OnStale
from nodecore.replication.hints import Hints
from nodecore.replication.policy import Policy
from nodecore.replication.read_answers import (
    TOO_MUCH,
    KeyRead,
    ReadOperation,
    found_of,
    hinted,
    parse_answer,
)
from nodecore.replication.repairs import Repairs
from nodecore.replication.replica import ASK_AGAIN
from nodecore.requests import Failed, Flag, Level, Outcome, Read, Value
from nodecore.resilience.breakers import LinkBreakers
from nodecore.routing import Peers, Routing
from nodecore.storage.memory import Store
from nodecore.table.interface import Entry, Kind
from nodecore.timers import Timers
from transport.messages import PeerRead, PeerValues

OnOutcome: TypeAlias = Callable[[Outcome, Now], None]

FRAME_KEYS_MAX: Final = 2048
FRAME_KEY_BYTES_MAX: Final = 1024 * 1024
RESTARTS_MAX: Final = 4


class Reader:
    """Reads that this node coordinates.

    Args:
        store: this node's own copies.
        peers: whom to call.
        calls: how.
        breakers: for the hedge delay of a link.
        timers: for hedging.
        repairs: takes what lagging owners should have.
        policy: whether a keyspace may be read now.
        on_stale: see ``Replicator``.
    """

    def __init__(
        self,
        store: Store,
        peers: Peers,
        calls: Calls,
        breakers: LinkBreakers,
        timers: Timers,
        repairs: Repairs,
        policy: Policy,
        on_stale: OnStale,
    ) -> None:
        self._node = peers.node
        self._store = store
        self._peers = peers
        self._calls = calls
        self._breakers = breakers
        self._timers = timers
        self._repairs = repairs
        self._policy = policy
        self._on_stale = on_stale
        self._deadlines = Deadlines(timers, calls.timeout_s)
        self._outbox: dict[tuple[NodeId, bool], list[KeyRead]] = {}
        """By owner and whether it counts the use."""
        self.on_used: Callable[[Sequence[bytes]], None] = _ignore_keys
        """Called with keys that were found and that no owner has counted."""
        self.filled: Callable[[int], bool] = _always
        """Whether this node's own misses in a slot can be believed."""
        self.note_version: Callable[[int, Now], object] = _ignore
        """Told the versions that owners answer with."""
        self.hints = Hints()
        """What owners have missed of this node's writes."""
        self.routing: Routing | None = None
        self.hits = 0
        self.misses = 0
        self.degraded = 0
        self.stale = 0
        """Values of an owner that is being refilled, or of fewer owners than R."""
        self.hedged = 0

    def read(
        self, request: Read, on_outcome: OnOutcome, now: Now, *, counts: bool = True
    ) -> Outcome | None:
        """Start a read; returns its outcome when every key is answered from here.

        Args:
            request: the keys.
            on_outcome: called unless the outcome is returned.
            now: the time.
            counts: whether it is a client's use of the keys, for heat and eviction.
        """
        routing = self.routing
        assert routing is not None
        keys = request.keys
        operation = ReadOperation(request.level, len(keys), on_outcome, counts)
        results = operation.results
        store, wall_ms = self._store, now.wall_ms
        started: list[KeyRead] = []
        for index, slot in enumerate(store.table.slots_of(keys)):
            key = keys[index]
            route = routing.route(key, slot)
            if route.ruled:
                refused = self._policy.refuses_read(route)
                if refused is not None:
                    results[index] = refused
                    continue
            needed = route.reads_needed(request.level)
            if route.local:
                entry = store.get(key, now, touch=counts)
                filled = self.filled(slot)
                if entry is not None and needed == 1 and filled:
                    if entry.kind != Kind.TOMBSTONE and not 0 < entry.expires_ms <= wall_ms:
                        operation.room_bytes -= entry.size
                        if operation.room_bytes < 0:
                            results[index] = TOO_MUCH
                            continue
                        version = Version(entry.hlc, entry.node)
                        results[index] = Value(entry.value, version, entry.expires_ms, entry.kind)
                        self.hits += 1
                    else:
                        self.misses += 1
                    continue
                read = KeyRead(operation, index, key, route, needed, routing.epoch)
                if entry is not None and entry.kind != Kind.TOMBSTONE:
                    read.count_at(self._node)
                self._hear_own(read, entry, filled)
            else:
                read = KeyRead(operation, index, key, route, needed, routing.epoch)
                if self._node in route.targets:
                    self._hear_own(read, store.get(key, now), False)
            started.append(read)
        operation.open = len(started)
        for read in started:
            self._advance(read, now)
        if operation.open == 0:
            operation.settled = True
            return operation.outcome()
        self._deadlines.add(_Expiry(self, operation, started), now)
        return None

    def _hear_own(self, read: KeyRead, entry: Entry | None, filled: bool) -> None:
        # Unfilled it is no answer, but known: this node may have acknowledged it meanwhile.
        read.hear(self._node, None if entry is None else found_of(entry), known=filled)

    def flush(self, now: Now) -> None:
        """Send what has collected: one frame for each peer, within bounds."""
        while self._outbox:
            outbox, self._outbox = self._outbox, {}
            for (peer, counted), reads in outbox.items():
                waiting: list[KeyRead] = []
                for read in reads:
                    if self._renewed(read, now):
                        read.outstanding -= 1
                        self._advance(read, now)
                    elif not read.done:
                        waiting.append(read)
                for batch in _batches(waiting):
                    self._request(peer, batch, counted, now)

    def _request(self, peer: NodeId, batch: list[KeyRead], counted: bool, now: Now) -> None:
        assert self.routing is not None
        keys = [read.key for read in batch]
        message = PeerRead(epoch=self.routing.epoch, keys=keys, counted=counted)
        on_end = partial(self._on_end, peer, self.routing.epoch, batch)
        self._calls.request(peer, message, on_end, now)
        if any(len(read.route.owners) > len(read.asked) for read in batch):
            delay_s = self._breakers.hedge_delay_s(peer)
            if delay_s < self._calls.timeout_s:
                self._timers.schedule(now.mono_s + delay_s, partial(self._hedge, batch))

    def _hedge(self, batch: list[KeyRead], now: Now) -> None:
        for read in batch:
            if not read.done and read.outstanding and self._ask_next(read):
                self.hedged += 1

    def _advance(self, read: KeyRead, now: Now) -> None:
        """Finish a key, or see to it that enough owners are being asked."""
        if read.done:
            return
        if read.decided:
            self._finish(read, now)
            return
        while read.outstanding < read.missing:
            if not self._ask_next(read):
                break
        if read.outstanding == 0:
            self._finish_short(read, now)

    def _ask_next(self, read: KeyRead) -> bool:
        route = read.route
        for owner in route.targets if read.unfenced > 0 else route.owners:
            if owner not in read.asked and self._peers.can_call(owner):
                read.asked[owner] = True
                read.outstanding += 1
                self._outbox.setdefault((owner, read.count_at(owner)), []).append(read)
                return True
        return False

    def _on_end(
        self, peer: NodeId, epoch: Epoch, batch: list[KeyRead], end: CallEnd, now: Now
    ) -> None:
        if isinstance(end, CallFailed) and end.code is Code.STALE_EPOCH:
            for read in batch:
                read.not_counted(peer)
            self._on_stale(peer, epoch, partial(self._restart, batch), now)
            return
        answers: list[object] = []
        if isinstance(end, PeerValues) and isinstance(end.entries, list):
            answers = end.entries
        usable = len(answers) == len(batch)
        for row, read in enumerate(batch):
            read.outstanding -= 1
            if not usable:
                read.not_counted(peer)
            else:
                answer = answers[row]
                if type(answer) is int and answer == ASK_AGAIN and not read.done:
                    read.outstanding += 1
                    self._outbox.setdefault((peer, False), []).append(read)
                    continue
                known, found = parse_answer(answer)
                if found is None or found.kind == Kind.TOMBSTONE:
                    read.not_counted(peer)
                if found is not None:
                    # Whoever has seen this value may write next, and must come after it.
                    self.note_version(found.hlc, now)
                if read.epoch == epoch:
                    read.hear(peer, found, known=known)
                    hint = self.hints.of(peer, read.key) if known else None
                    if hint is not None:
                        read.offer(hinted(hint))
            self._renewed(read, now)
            self._advance(read, now)

    def _restart(self, batch: list[KeyRead], newer: bool, now: Now) -> None:
        """A peer knew a newer document; by now this node does, or time has run out."""
        for read in batch:
            read.outstanding -= 1
            if newer:
                self._renewed(read, now)
            self._advance(read, now)

    def _renewed(self, read: KeyRead, now: Now) -> bool:
        """Begin a read again if the document has changed since: what earlier epochs answered does not count."""
        routing, operation = self.routing, read.operation
        assert routing is not None
        if read.done or read.epoch == routing.epoch:
            return False
        if operation.restarts >= RESTARTS_MAX * len(operation.results):
            return False
        operation.restarts += 1
        slot = self._store.table.slot_of(read.key)
        read.begin_again(routing.route(read.key, slot), routing.epoch)
        if self._node in read.route.targets:
            entry = self._store.get(read.key, now)
            self._hear_own(read, entry, read.route.local and self.filled(slot))
        return True

    def _finish(self, read: KeyRead, now: Now) -> None:
        best = read.best
        if best is None or best.dead(now.wall_ms):
            self.misses += 1
            self._close(read, None, now)
        else:
            self.hits += 1
            if read.operation.counts and read.counted_by is None:
                self.on_used((read.key,))
            self._close(read, best.value_seen(), now)
        if best is not None:
            lagging = read.lagging()
            if lagging:
                self._repairs.add(read.key, best, lagging, now)

    def _finish_short(self, read: KeyRead, now: Now) -> None:
        """Nobody is left to ask."""
        strict = read.operation.level is not Level.DEFAULT
        if not strict and not read.answers and read.route.local:
            # This node is being refilled: what it has is better than nothing, and marked as such.
            entry = self._store.get(read.key, now)
            if entry is not None:
                read.note(self._node, found_of(entry))
        if not strict and read.route.keyspace.on_partition == "available" and read.answers:
            best = read.best
            if best is not None and not best.dead(now.wall_ms):
                read.operation.flags |= Flag.STALE
                self.stale += 1
            elif best is None:
                read.operation.flags |= Flag.DEGRADED
                self.degraded += 1
            self._finish(read, now)
            return
        needed = max(read.needed, read.route.absences if read.best is None else 1)
        text = f"{read.answers} of {needed} owners answered"
        self._close(read, Failed(Code.NOT_ENOUGH_COPIES, text), now)

    def _close(self, read: KeyRead, result: Value | Failed | None, now: Now) -> None:
        read.done = True
        operation = read.operation
        if isinstance(result, Value):
            operation.room_bytes -= len(result.value)
            if operation.room_bytes < 0:
                result = TOO_MUCH
        operation.results[read.index] = result
        operation.open -= 1
        if operation.open == 0 and operation.started and not operation.settled:
            operation.settled = True
            operation.on_outcome(operation.outcome(), now)

    def expire(self, reads: list[KeyRead], now: Now) -> None:
        """The operation's time is over: answer with what is known."""
        for read in reads:
            if not read.done:
                self._finish_short(read, now)


class _Expiry:
    """A read operation in the queue of deadlines."""

    def __init__(self, reader: Reader, operation: ReadOperation, reads: list[KeyRead]) -> None:
        self._reader = reader
        self._operation = operation
        self._reads = reads
        operation.started = True

    @property
    def settled(self) -> bool:
        return self._operation.settled

    def on_deadline(self, now: Now) -> None:
        self._reader.expire(self._reads, now)


def _batches(reads: list[KeyRead]) -> list[list[KeyRead]]:
    batches: list[list[KeyRead]] = []
    size = 0
    for read in reads:
        size += len(read.key)
        if not batches or len(batches[-1]) >= FRAME_KEYS_MAX or size > FRAME_KEY_BYTES_MAX:
            batches.append([])
            size = len(read.key)
        batches[-1].append(read)
    return batches


def _ignore(_hlc: int, _now: Now) -> None:
    return None


def _ignore_keys(_keys: Sequence[bytes]) -> None:
    """Until heat is wired."""


def _always(_slot: int) -> bool:
    return True
