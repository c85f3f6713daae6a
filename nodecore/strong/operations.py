"""Operations on one strong key as change functions, and what a round makes of several of them.

A round runs every operation that waits for its key, in order of arrival, each on what the one before
left, and has the result accepted once. What a change means is ``replication.changes``: one meaning of
INCR for all keyspaces. Each change has a version of its own.

It asks nobody; see ``instance`` for when the results count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, TypeAlias, final

from nodecore.consensus.ballot import Ballot
from nodecore.errors import Code
from nodecore.ids import Now, Version
from nodecore.replication.changes import Changed, Current, Stored, run_change
from nodecore.requests import Change, Failed, Unknown, Value
from nodecore.strong.ballots import CHANGES_MAX, version_of
from nodecore.strong.record import Record, current_of, following
from nodecore.table.interface import Kind

_DELETED: Final = Stored(Kind.TOMBSTONE, b"", 0)

Evaluate: TypeAlias = "Callable[[Current | None, Version, Now], tuple[object, Stored | None]]"
"""(what the key holds, the version of a change, now) -> (result, what is to be stored or None)."""
OnSettled: TypeAlias = Callable[[object, Now], None]
"""Takes the result, a Failed or an Unknown."""


@final
class Operation:
    """One operation on one key; settles exactly once."""

    __slots__ = ("_on_settled", "evaluate", "force", "proposed", "reason", "settled")

    def __init__(self, evaluate: Evaluate, on_settled: OnSettled, *, force: bool = False) -> None:
        self.evaluate = evaluate
        self._on_settled = on_settled
        self.force = force
        """A round must be accepted even if nothing changes."""
        self.proposed = False
        """Acceptors were asked to accept its change: it may happen from now on."""
        self.settled = False
        self.reason = Failed(Code.TIMED_OUT, "no majority of the owners answered in time")
        """Why it has not come about so far."""

    def settle(self, result: object, now: Now) -> None:
        """Tell the result, unless something was told before."""
        if not self.settled:
            self.settled = True
            self._on_settled(result, now)

    def give_up(self, now: Now) -> None:
        """It has not come about: failed while nobody can have accepted it, else unknown."""
        if self.proposed:
            self.settle(Unknown(self.reason.code, f"{self.reason.text}; it may have happened"), now)
        else:
            self.settle(self.reason, now)

    def on_deadline(self, now: Now) -> None:
        """Its time is over."""
        self.give_up(now)


def read() -> Evaluate:
    """Result: Value or None."""
    return _read


def _read(current: Current | None, _version: Version, _now: Now) -> tuple[object, Stored | None]:
    if current is None:
        return None, None
    return Value(current.value, current.version, current.expires_ms, current.kind), None


def write(value: bytes, expires_ms: int, ttl_ms: int) -> Evaluate:
    """A blind write. Result: its Version."""

    def evaluate(
        _current: Current | None, version: Version, now: Now
    ) -> tuple[object, Stored | None]:
        until_ms = expires_ms or (now.wall_ms + ttl_ms if ttl_ms else 0)
        return version, Stored(Kind.STRING, value, until_ms)

    return evaluate


def update(change: Change, arguments: tuple[bytes | int, ...], ttl_ms: int) -> Evaluate:
    """A read-modify-write. Result: Applied, or Failed when the change can't be made."""

    def evaluate(
        current: Current | None, version: Version, now: Now
    ) -> tuple[object, Stored | None]:
        found = run_change(change, current, arguments, now)
        if not isinstance(found, Changed):
            return found, None
        stored, applied = found.stored, found.applied
        if stored is None:
            return applied, None
        born = current is None and stored.kind != Kind.TOMBSTONE
        if born and ttl_ms and not stored.expires_ms:
            stored = stored._replace(expires_ms=now.wall_ms + ttl_ms)
            applied = replace(applied, expires_ms=stored.expires_ms)
        return replace(applied, version=version), stored

    return evaluate


def bury() -> Evaluate:
    """Make sure that an absent key has a tombstone. Result: whether it is absent."""
    return _bury


def _bury(current: Current | None, _version: Version, _now: Now) -> tuple[object, Stored | None]:
    return current is None, None


class Batch(NamedTuple):
    """What a round makes of its operations."""

    record: Record | None
    """To be accepted; None: there is nothing, and nothing changes."""
    results: list[tuple[Operation, object]]
    changes: list[Operation]
    """Those that change something."""
    must_accept: bool


def run_batch(
    operations: Sequence[Operation],
    record: Record | None,
    ballot: Ballot,
    flushed_epoch: int,
    now: Now,
) -> Batch:
    """Run the operations in order on an accepted value."""
    assert len(operations) <= CHANGES_MAX, len(operations)
    current = current_of(record, flushed_epoch, now)
    stored: Stored | None = None
    version = version_of(ballot)
    results: list[tuple[Operation, object]] = []
    changes: list[Operation] = []
    forced = False
    for operation in operations:
        mine = version_of(ballot, len(changes))
        result, found = operation.evaluate(current, mine, now)
        results.append((operation, result))
        forced = forced or operation.force
        if found is not None:
            stored, version = found, mine
            changes.append(operation)
            dead = found.kind == Kind.TOMBSTONE
            current = None if dead else Current(found.value, mine, found.expires_ms, found.kind)
    expired = record is not None and record.expired(now)
    if stored is None and (expired or (forced and current is None and _has_no_tombstone(record))):
        # Whoever first sees the expiry makes it a fact, before it answers that the key is missing.
        stored = _DELETED
    if stored is not None:
        record = following(record, stored, version, ballot)
    return Batch(record, results, changes, stored is not None or forced)


def _has_no_tombstone(record: Record | None) -> bool:
    return record is None or not record.dead
