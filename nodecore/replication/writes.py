"""Coordinated blind writes: one version for what arrives in one wake-up, one frame for each owner.

Writes of all connections are gathered until the end of the wake-up and become one job, in order of
arrival: of a repeated key the last value counts, for nobody has been told of the earlier ones yet.
Requests that can't share a job (a refusal, an expiry by keyspace, a size) run alone. Where this node
has no peers a write runs at once.

It validates, settles repeated keys, and cuts a request into jobs where expiry or frame size demand
it. Copies, tallies and hints are the replicator's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

from nodecore.errors import Code
from nodecore.ids import Now, Version
from nodecore.limits import BATCH_KEYS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX
from nodecore.replication.job import Claim, Job
from nodecore.replication.replicator import Replicator
from nodecore.replication.versions import HybridClock
from nodecore.requests import Done, Failed, Flag, Level, Outcome, Unknown, Write
from nodecore.routing import Route, Routing
from nodecore.table.interface import Kind, Table

OnOutcome: TypeAlias = Callable[[Outcome, Now], None]

JOB_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of keys and values in one job: a quarter of a frame, since one value may be half of it."""


class _Gathered:
    """Writes of one wake-up with one level and one expiry."""

    __slots__ = ("keys", "requests", "size_bytes", "values")

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.values: list[bytes] = []
        self.requests: list[tuple[Write, OnOutcome]] = []
        self.size_bytes = 0

    def takes(self, count: int, size_bytes: int) -> bool:
        """Whether so much more still makes one job."""
        return not self.requests or (
            len(self.keys) + count <= BATCH_KEYS_MAX
            and self.size_bytes + size_bytes <= JOB_BYTES_MAX
        )


class Writer:
    """Writes that this node coordinates."""

    def __init__(self, table: Table, clock: HybridClock, replicator: Replicator) -> None:
        self._table = table
        self._clock = clock
        self._replicator = replicator
        self._open: dict[tuple[Level, int], _Gathered] = {}
        self._gathered: list[tuple[tuple[Level, int], _Gathered]] = []
        """In order of arrival; the last one of each kind is open."""
        self.routing: Routing | None = None

    def write(self, request: Write, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        """Start a write; returns its outcome when it is settled at once."""
        complaint = check_sizes(request.keys, request.values)
        if complaint is not None:
            return complaint
        assert self.routing is not None
        if len(self.routing.topology.members) == 1:
            return self._write_alone(request, on_outcome, now)
        self._gather(request, on_outcome)
        return None

    def _gather(self, request: Write, on_outcome: OnOutcome) -> None:
        kind = (request.level, request.expires_ms)
        keys, values = request.keys, request.values
        size_bytes = sum(map(len, keys)) + sum(map(len, values))
        open_ = self._open.get(kind)
        if open_ is None or not open_.takes(len(keys), size_bytes):
            open_ = self._open[kind] = _Gathered()
            self._gathered.append((kind, open_))
        open_.keys += keys
        open_.values += values
        open_.size_bytes += size_bytes
        open_.requests.append((request, on_outcome))

    def flush(self, now: Now) -> None:
        """The end of a wake-up: start what was gathered, and what follows from its outcomes."""
        while self._gathered:
            gathered, self._gathered = self._gathered, []
            self._open.clear()
            for (level, expires_ms), writes in gathered:
                if not self._write_together(writes, level, expires_ms, now):
                    for request, on_outcome in writes.requests:
                        outcome = self._write_alone(request, on_outcome, now)
                        if outcome is not None:
                            on_outcome(outcome, now)

    def _write_together(self, writes: _Gathered, level: Level, expires_ms: int, now: Now) -> bool:
        """One job for all; False when they can't share one."""
        routing = self.routing
        assert routing is not None
        if writes.size_bytes > JOB_BYTES_MAX:
            return False
        keys, values = writes.keys, writes.values
        last = dict(zip(keys, values, strict=True))
        repeated = len(last) < len(keys)
        if repeated:
            keys, values = list(last), list(last.values())
        groups = routing.group(keys, self._table.slots_of(keys))
        if any(route.keyspace.ttl_ms for route in groups) and not expires_ms:
            return False
        claims = _claims(writes, keys if repeated else None)
        version = self._clock.next(now)
        job = Job(keys, values, Kind.STRING, version, expires_ms, level, claims)
        if self._replicator.complaint(job, groups) is not None:
            return False
        self._replicator.replicate_shared(job, groups, now)
        return True

    def _write_alone(self, request: Write, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        keys, values = request.keys, request.values
        repeated = len(keys) > 1 and len(set(keys)) != len(keys)
        version = self._clock.next(now)
        if not repeated:
            routing = self.routing
            assert routing is not None
            groups = routing.group(keys, self._table.slots_of(keys))
            ttl_ms = next(iter(groups)).keyspace.ttl_ms
            alike = len(groups) == 1 or all(route.keyspace.ttl_ms == ttl_ms for route in groups)
            if alike and (len(keys) == 1 or _size(keys, values) <= JOB_BYTES_MAX):
                expires_ms = request.expires_ms or (now.wall_ms + ttl_ms if ttl_ms else 0)
                claim = Claim(range(len(keys)), on_outcome)
                job = Job(keys, values, Kind.STRING, version, expires_ms, request.level, [claim])
                return self._replicator.replicate(job, groups, now)
        return self._write_in_pieces(request, version, on_outcome, now)

    def _write_in_pieces(
        self, request: Write, version: Version, on_outcome: OnOutcome, now: Now
    ) -> Outcome | None:
        routing = self.routing
        assert routing is not None
        last = {key: index for index, key in enumerate(request.keys)}
        keys = list(last)
        values = [request.values[index] for index in last.values()]
        groups = routing.group(keys, self._table.slots_of(keys))
        by_expiry: dict[int, list[int]] = {}
        for route, indexes in groups.items():
            ttl_ms = route.keyspace.ttl_ms
            expires_ms = request.expires_ms or (now.wall_ms + ttl_ms if ttl_ms else 0)
            by_expiry.setdefault(expires_ms, []).extend(indexes)
        pieces: list[tuple[int, list[int]]] = []
        for expires_ms, indexes in by_expiry.items():
            pieces.extend((expires_ms, piece) for piece in _cut(indexes, keys, values))
        gather = _Gather(request.keys, len(pieces), on_outcome)
        for expires_ms, piece in pieces:
            piece_keys = [keys[index] for index in piece]
            job = Job(
                piece_keys,
                [values[index] for index in piece],
                Kind.STRING,
                version,
                expires_ms,
                request.level,
                [Claim(range(len(piece)), partial(gather.on_piece, piece_keys))],
            )
            job_groups: dict[Route, list[int]] = routing.group(
                piece_keys, self._table.slots_of(piece_keys)
            )
            outcome = self._replicator.replicate(job, job_groups, now)
            if outcome is not None:
                gather.take(piece_keys, outcome)
        return gather.begin()


class _Gather:
    """Joins the outcomes of the pieces of one request."""

    def __init__(self, keys: Sequence[bytes], pieces: int, on_outcome: OnOutcome) -> None:
        self._keys = keys
        self._open = pieces
        self._on_outcome = on_outcome
        self._results: dict[bytes, object] = {}
        self._flags = Flag.NONE
        self._copies: list[int] = []
        self._unknown: Unknown | None = None
        self._begun = False

    def take(self, keys: Sequence[bytes], outcome: Outcome) -> None:
        """One piece has settled."""
        self._open -= 1
        match outcome:
            case Done(result, flags, copies):
                assert isinstance(result, list)
                self._results.update(zip(keys, result, strict=True))
                self._flags |= flags
                self._copies.append(copies)
            case Failed():
                self._results.update(dict.fromkeys(keys, outcome))
            case Unknown():
                self._unknown = outcome

    def on_piece(self, keys: Sequence[bytes], outcome: Outcome, now: Now) -> None:
        """One piece has settled later."""
        self.take(keys, outcome)
        if self._begun and self._open == 0:
            self._on_outcome(self._outcome(), now)

    def begin(self) -> Outcome | None:
        """All pieces have started; the outcome if all have settled too."""
        self._begun = True
        return self._outcome() if self._open == 0 else None

    def _outcome(self) -> Outcome:
        if self._unknown is not None:
            return self._unknown
        results = [self._results[key] for key in self._keys]
        first = results[0]
        if isinstance(first, Failed) and all(isinstance(item, Failed) for item in results):
            return first
        return Done(results, self._flags, min(self._copies, default=0))


def _claims(writes: _Gathered, rows: list[bytes] | None) -> list[Claim]:
    """The claims of gathered requests; ``rows`` are the keys of the job when some were repeated."""
    claims: list[Claim] = []
    if rows is not None:
        row_of = dict(zip(rows, range(len(rows)), strict=True))
        for request, on_outcome in writes.requests:
            claims.append(Claim([row_of[key] for key in request.keys], on_outcome))
        return claims
    start = 0
    for request, on_outcome in writes.requests:
        end = start + len(request.keys)
        claims.append(Claim(range(start, end), on_outcome))
        start = end
    return claims


def check_sizes(keys: Sequence[bytes], values: Sequence[bytes]) -> Failed | None:
    """Why this batch can't be written, None when it can."""
    if not keys or len(keys) != len(values):
        return Failed(Code.BAD_REQUEST, f"{len(keys)} keys and {len(values)} values")
    if len(keys) > BATCH_KEYS_MAX:
        text = f"batch of {len(keys)} keys exceeds the limit of {BATCH_KEYS_MAX}"
        return Failed(Code.BAD_REQUEST, text)
    longest = max(map(len, keys))
    if longest > KEY_BYTES_MAX:
        text = f"key of {longest} bytes exceeds the limit of {KEY_BYTES_MAX}"
        return Failed(Code.KEY_TOO_LARGE, text)
    longest = max(map(len, values))
    if longest > VALUE_BYTES_MAX:
        text = f"value of {longest} bytes exceeds the limit of {VALUE_BYTES_MAX}"
        return Failed(Code.VALUE_TOO_LARGE, text)
    return None


def _size(keys: Sequence[bytes], values: Sequence[bytes]) -> int:
    return sum(map(len, keys)) + sum(map(len, values))


def _cut(indexes: list[int], keys: Sequence[bytes], values: Sequence[bytes]) -> list[list[int]]:
    pieces: list[list[int]] = []
    size = 0
    for index in indexes:
        size += len(keys[index]) + len(values[index])
        if not pieces or size > JOB_BYTES_MAX:
            pieces.append([])
            size = len(keys[index]) + len(values[index])
        pieces[-1].append(index)
    return pieces
