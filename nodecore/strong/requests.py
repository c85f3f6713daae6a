"""Requests that touch strong keys: cut into keys, run here or at the first live owner, joined again.

An operation runs where its key's first live owner is, so that rivals are few; safety never depends on
it. Reads run at any owner that votes, because a look disturbs nobody. Keys of eventual keyspaces in the
same request are handed back to the rooms that serve them. Levels are not asked for: every answer
about a strong key is a majority's.

An answer that never came from another node is unknown for a change and a failure for a read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias, final

from nodecore.errors import Code
from nodecore.ids import NodeId, Now
from nodecore.limits import KEY_BYTES_MAX, READ_BYTES_MAX
from nodecore.replication.forwarding import Forwarder
from nodecore.replication.read_answers import TOO_MUCH
from nodecore.replication.writes import check_sizes
from nodecore.requests import (
    Done,
    Failed,
    Flag,
    Outcome,
    Read,
    Request,
    Unknown,
    Update,
    Value,
    Write,
)
from nodecore.routing import Peers, Routing
from nodecore.strong.operations import Evaluate, Operation, read, update, write
from nodecore.strong.rounds import Rounds

OnOutcome: TypeAlias = Callable[[Outcome, Now], None]
Elsewhere: TypeAlias = Callable[[Request, OnOutcome, Now], Outcome | None]
"""Runs the eventual part of a request."""


class _Join:
    """The outcomes of the keys of one request, in their order."""

    __slots__ = ("_begun", "_flags", "_on_outcome", "_open", "_request", "_results", "_unknown")

    def __init__(self, request: Request, count: int, on_outcome: OnOutcome) -> None:
        self._request = request
        self._open = count
        self._results: list[object] = [None] * count
        self._flags = Flag.NONE
        self._unknown: Unknown | None = None
        self._on_outcome = on_outcome
        self._begun = False

    def begin(self) -> Outcome | None:
        """Everything has been started; the outcome if everything has settled, too."""
        self._begun = True
        return self._outcome() if self._open == 0 else None

    def take(self, index: int, result: object, now: Now) -> None:
        """One key has settled."""
        if isinstance(result, Unknown):
            self._unknown = result
            if type(self._request) is Read:
                result = Failed(result.code, result.text)
        self._results[index] = result
        self._open -= 1
        if self._open == 0 and self._begun:
            self._on_outcome(self._outcome(), now)

    def take_all(self, indexes: Sequence[int], outcome: Outcome, now: Now) -> None:
        """A part of the request that ran elsewhere has settled."""
        results: list[object] = [outcome] * len(indexes)
        if isinstance(outcome, Done):
            self._flags |= outcome.flags
            results = outcome.result if isinstance(outcome.result, list) else [outcome.result]
        for index, result in zip(indexes, results, strict=True):
            self.take(index, result, now)

    def _outcome(self) -> Outcome:
        results = self._results
        first = results[0]
        if type(self._request) is Read:
            _limit(results)
        elif self._unknown is not None:
            return self._unknown
        if isinstance(first, Failed) and all(isinstance(item, Failed) for item in results):
            return first
        return Done(first if type(self._request) is Update else results, self._flags)


@final
class StrongRequests:
    """See the module."""

    def __init__(
        self,
        rounds: Rounds,
        forwarder: Forwarder,
        peers: Peers,
        slots_of: Callable[[Sequence[bytes]], list[int]],
        votes: Callable[[bytes, int], bool],
    ) -> None:
        self._rounds = rounds
        self._forwarder = forwarder
        self._peers = peers
        self._slots_of = slots_of
        self._votes = votes
        self._routing: Routing | None = None
        self._prefixes: tuple[bytes, ...] = ()
        self.prefers_first = True
        """Operations run at the key's first live owner. Else every node runs what it is asked: slower,
        because of rivals, and not less safe; simulations do that to have rivals at all."""
        self.reads = 0
        self.writes = 0
        self.unknowns = 0

    def on_topology(self, routing: Routing) -> None:
        """A newer document is in force."""
        self._routing = routing
        self._prefixes = routing.strong_prefixes

    def concerns(self, request: Request) -> bool:
        """Whether any key of the request is strong."""
        return bool(self._prefixes) and bool(self.keys_of(request))

    def keys_of(self, request: Request) -> tuple[bytes, ...]:
        """The strong keys of a request."""
        prefixes, routing = self._prefixes, self._routing
        match request:
            case Read(keys) | Write(keys):
                candidates = [key for key in keys if key.startswith(prefixes)]
            case Update(key):
                candidates = [key] if key.startswith(prefixes) else []
            case _:
                candidates = []
        if not candidates or routing is None:
            return ()
        return tuple(filter(routing.is_strong, candidates))

    def run(
        self,
        request: Request,
        on_outcome: OnOutcome,
        now: Now,
        *,
        forwarded: bool,
        elsewhere: Elsewhere,
    ) -> Outcome | None:
        """Start a request that ``concerns`` has claimed."""
        assert isinstance(request, Read | Write | Update)
        keys = (request.key,) if isinstance(request, Update) else request.keys
        complaint = _complaint(request, keys)
        if complaint is not None:
            return complaint
        join = _Join(request, len(keys), partial(self._on_outcome, on_outcome))
        routing = self._routing
        assert routing is not None
        away: dict[NodeId, list[int]] = {}
        eventual: list[int] = []
        for index, slot in enumerate(self._slots_of(keys)):
            key = keys[index]
            if not routing.is_strong(key):
                eventual.append(index)
                continue
            target = None if forwarded else self._target(request, key, slot)
            if target is not None:
                away.setdefault(target, []).append(index)
                continue
            self._count(request)
            operation = Operation(
                self._evaluate(request, index, key, slot), partial(join.take, index)
            )
            self._rounds.start(key, slot, operation, now, forwarded=forwarded)
        for indexes in away.values():
            part = _part(request, indexes)
            on_part = partial(join.take_all, indexes)
            settled = self._forwarder.forward(part, partial(self._next, part), on_part, now)
            if settled is not None:
                on_part(settled, now)
        if eventual:
            on_part = partial(join.take_all, eventual)
            settled = elsewhere(_part(request, eventual), on_part, now)
            if settled is not None:
                on_part(settled, now)
        return join.begin()

    def _on_outcome(self, on_outcome: OnOutcome, outcome: Outcome, now: Now) -> None:
        self.unknowns += isinstance(outcome, Unknown)
        on_outcome(outcome, now)

    def _count(self, request: Request) -> None:
        if type(request) is Read:
            self.reads += 1
        else:
            self.writes += 1

    def _evaluate(self, request: Request, index: int, key: bytes, slot: int) -> Evaluate:
        assert self._routing is not None
        ttl_ms = self._routing.route(key, slot).keyspace.ttl_ms
        if isinstance(request, Write):
            return write(request.values[index], request.expires_ms, ttl_ms)
        if isinstance(request, Update):
            return update(request.change, request.arguments, ttl_ms)
        return read()

    def _target(self, request: Request, key: bytes, slot: int) -> NodeId | None:
        """Where the operation should run; None: here."""
        if not self.prefers_first or (type(request) is Read and self._votes(key, slot)):
            return None
        return self._first_live(key, slot, {})

    def _first_live(self, key: bytes, slot: int, tried: dict[NodeId, bool]) -> NodeId | None:
        """None: this node itself, or nobody else is left."""
        assert self._routing is not None
        for owner in self._routing.route(key, slot).owners:
            if owner in tried:
                continue
            if owner == self._peers.node:
                return None
            if self._peers.live(owner):
                return owner
        return None

    def _next(self, part: Request, tried: dict[NodeId, bool]) -> NodeId | None:
        assert isinstance(part, Read | Write | Update)
        key = part.key if isinstance(part, Update) else part.keys[0]
        return self._first_live(key, self._slots_of([key])[0], tried)


def _part(request: Request, indexes: Sequence[int]) -> Request:
    match request:
        case Read(keys, level):
            return Read(tuple(keys[index] for index in indexes), level)
        case Write(keys, values, expires_ms, level):
            mine = tuple(keys[index] for index in indexes)
            return Write(mine, tuple(values[index] for index in indexes), expires_ms, level)
    return request


def _complaint(request: Request, keys: Sequence[bytes]) -> Failed | None:
    if isinstance(request, Write):
        return check_sizes(keys, request.values)
    longest = max(map(len, keys), default=0)
    if longest > KEY_BYTES_MAX:
        text = f"key of {longest} bytes exceeds the limit of {KEY_BYTES_MAX}"
        return Failed(Code.KEY_TOO_LARGE, text)
    return None


def _limit(results: list[object]) -> None:
    """Values together stay within what one answer may hold."""
    room = READ_BYTES_MAX
    for index, result in enumerate(results):
        if isinstance(result, Value):
            room -= len(result.value)
            if room < 0:
                results[index] = TOO_MUCH
