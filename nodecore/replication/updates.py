"""Coordinated read-modify-writes: they run at the slot's first live owner.

Running all changes of a key at one node, one after another, is what keeps INCR from losing counts
while topology and suspicion are unchanged. Elsewhere the request is forwarded, once. When that
owner knows nothing of the key it first reads like any client: N-W+1 owners must agree that it is
absent, otherwise a count would start from nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from nodecore.errors import Code
from nodecore.ids import NodeId, Now, Version
from nodecore.limits import KEY_BYTES_MAX
from nodecore.replication.changes import Changed, Current, run_change
from nodecore.replication.forwarding import Forwarder
from nodecore.replication.job import Claim, Job
from nodecore.replication.read_answers import done_reads
from nodecore.replication.reads import Reader
from nodecore.replication.replicator import Replicator
from nodecore.replication.versions import HybridClock
from nodecore.requests import Applied, Change, Done, Failed, Outcome, Read, Unknown, Update, Value
from nodecore.routing import Peers, Route, Routing
from nodecore.storage.memory import Store
from nodecore.table.interface import Kind

OnOutcome: TypeAlias = Callable[[Outcome, Now], None]


class Updater:
    """Read-modify-writes that come to this node."""

    def __init__(
        self,
        node: NodeId,
        store: Store,
        clock: HybridClock,
        peers: Peers,
        reader: Reader,
        replicator: Replicator,
        forwarder: Forwarder,
    ) -> None:
        self._node = node
        self._store = store
        self._clock = clock
        self._peers = peers
        self._reader = reader
        self._replicator = replicator
        self._forwarder = forwarder
        self.routing: Routing | None = None

    def update(
        self, request: Update, on_outcome: OnOutcome, now: Now, *, forwarded: bool
    ) -> Outcome | None:
        """Start an update; ``forwarded`` ones run here or nowhere."""
        if len(request.key) > KEY_BYTES_MAX:
            text = f"key of {len(request.key)} bytes exceeds the limit of {KEY_BYTES_MAX}"
            return Failed(Code.KEY_TOO_LARGE, text)
        assert self.routing is not None
        slot = self._store.table.slot_of(request.key)
        route = self.routing.route(request.key, slot)
        # Before anything is looked up: an update that changes nothing is no write, and no answer.
        refused = self._replicator.refusal(route)
        if refused is not None:
            return refused
        here = route.local and self._clock.may_coordinate(now)
        if forwarded:
            if not route.local:
                return Failed(Code.NOT_OWNER, f"{self._node} does not own this key")
            if not here:
                return Failed(Code.NOT_READY, f"the clock of {self._node} is not settled")
            return self._run(request, route, slot, on_outcome, now)
        if here and self._first_live(route, slot, {}) == self._node:
            return self._run(request, route, slot, on_outcome, now)
        next_target = partial(self._target, request.key, slot)
        return self._forwarder.forward(request, next_target, on_outcome, now)

    def _target(self, key: bytes, slot: int, tried: dict[NodeId, bool]) -> NodeId | None:
        assert self.routing is not None
        route = self.routing.route(key, slot)
        return self._first_live(route, slot, {**tried, self._node: True})

    def _first_live(self, route: Route, slot: int, tried: dict[NodeId, bool]) -> NodeId | None:
        """The breaker is not asked: where changes run must not depend on who asks."""
        for owner in route.owners:
            if owner in tried:
                continue
            if owner == self._node:
                # Until this node is refilled it would change values that it does not know.
                if self._reader.filled(slot) or route.n == 1:
                    return owner
            elif self._peers.live(owner):
                return owner
        return None

    def _run(
        self, request: Update, route: Route, slot: int, on_outcome: OnOutcome, now: Now
    ) -> Outcome | None:
        entry = self._store.get_for_change(request.key, now)
        if (entry is None and route.absences > 1) or not self._reader.filled(slot):
            on_read = partial(self._on_read, request, on_outcome)
            # The change is counted once, as a write.
            outcome = self._reader.read(Read((request.key,)), on_read, now, counts=False)
            if outcome is None:
                return None
            return self._after_read(request, on_outcome, outcome, now)
        return self._change(request, route, None, on_outcome, now)

    def _on_read(self, request: Update, on_outcome: OnOutcome, outcome: Outcome, now: Now) -> None:
        settled = self._after_read(request, on_outcome, outcome, now)
        if settled is not None:
            on_outcome(settled, now)

    def _after_read(
        self, request: Update, on_outcome: OnOutcome, outcome: Outcome, now: Now
    ) -> Outcome | None:
        found = done_reads(outcome)[0]
        if isinstance(found, Failed):
            return found
        assert self.routing is not None
        slot = self._store.table.slot_of(request.key)
        route = self.routing.route(request.key, slot)
        if not route.local:
            return Failed(Code.NOT_OWNER, f"{self._node} no longer owns this key")
        return self._change(request, route, found, on_outcome, now)

    def _change(
        self,
        request: Update,
        route: Route,
        found: Value | None,
        on_outcome: OnOutcome,
        now: Now,
    ) -> Outcome | None:
        """``found`` is what a read brought; the store has the last word unless it knows less."""
        current = None
        entry = self._store.get(request.key, now)
        if found is not None and entry is not None and found.version > (entry.hlc, entry.node):
            entry = None
        if entry is not None:
            if entry.kind != Kind.TOMBSTONE and not 0 < entry.expires_ms <= now.wall_ms:
                version = Version(entry.hlc, entry.node)
                current = Current(entry.value, version, entry.expires_ms, entry.kind)
        elif found is not None:
            current = Current(found.value, found.version, found.expires_ms, found.kind)
        result = run_change(request.change, current, request.arguments, now)
        if isinstance(result, Failed):
            return result
        stored = result.stored
        if stored is None:
            return Done(result.applied)
        expires_ms = stored.expires_ms
        ttl_ms = route.keyspace.ttl_ms
        lives_on = current is not None and not _replaces(request)
        if ttl_ms and not expires_ms and stored.kind != Kind.TOMBSTONE and not lives_on:
            expires_ms = now.wall_ms + ttl_ms
        version = self._clock.next(now)
        on_settled = partial(self._on_settled, result, version, on_outcome)
        job = Job(
            (request.key,), (stored.value,), stored.kind, version, expires_ms, request.level,
            [Claim((0,), on_settled)],
        )  # fmt: skip
        outcome = self._replicator.replicate(job, {route: [0]}, now)
        return None if outcome is None else _answer(result, version, outcome)

    def _on_settled(
        self,
        changed: Changed,
        version: Version,
        on_outcome: OnOutcome,
        outcome: Outcome,
        now: Now,
    ) -> None:
        on_outcome(_answer(changed, version, outcome), now)


def _replaces(request: Update) -> bool:
    """Whether the change puts a new value in place of what was there and names no expiry.

    Such a write gets the keyspace's default time to live, as a blind write does. Changes that work on
    a value (INCR, APPEND, SETRANGE) and KEEPTTL leave its expiry as it is, PERSIST removes it.
    """
    match request.change, request.arguments:
        case Change.SET, (_, 0, *_):
            return True
        case Change.COMPARE_AND_SET, (_, _, _, 0):
            return True
    return False


def _answer(changed: Changed, version: Version, outcome: Outcome) -> Outcome:
    if not isinstance(outcome, Done):
        return outcome
    assert isinstance(outcome.result, list)
    first = outcome.result[0]
    if isinstance(first, Failed):
        return Unknown(first.code, first.text) if outcome.copies else first
    applied: Applied = replace(changed.applied, version=version)
    return Done(applied, outcome.flags, outcome.copies)
