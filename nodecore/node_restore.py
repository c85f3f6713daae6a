"""A node's share in a restore: entries of a backup are offered to their owners like any write.

Entries of eventual keyspaces keep version and expiry and are replicated as W of their keyspace asks;
whatever is newer, a deletion too, stays. Versions of strong keys count the rounds of one cluster, so
they are compared only where the backup is of this cluster; elsewhere, and with ``renew``, a key is
written if it holds nothing, in a version of now, through the protocol of its keyspace. An entry may
be offered again: nothing happens twice.

Outcomes are tallied by entry: applied, same (this version was here), kept (newer, or live), expired,
flushed (older than a flush), failed with a reason. It reads no file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, final

from nodecore.doors.session import OnOutcome
from nodecore.errors import Code
from nodecore.ids import Now, Version
from nodecore.limits import KEY_BYTES_MAX, VALUE_BYTES_MAX
from nodecore.replication.job import Claim, Job
from nodecore.requests import (
    Applied,
    Change,
    Done,
    Failed,
    Flag,
    Level,
    Outcome,
    Read,
    Unknown,
    Update,
    Value,
)
from nodecore.routing import Routing
from nodecore.table.interface import HLC_MAX, Kind
from nodecore.verb_arguments import Arguments, BadArgument, number_argument, text_argument

if TYPE_CHECKING:
    from nodecore.node import Node

ENTRIES_MAX: Final = 256
"""Of one call: so many replications or rounds are begun within one wake-up."""
_EXPIRY_MAX: Final = 2**53
_NODE_MAX: Final = 2**32 - 1


class Entry(NamedTuple):
    """One entry of a backup."""

    key: bytes
    kind: int
    value: bytes
    hlc: int
    node: int
    expires_ms: int
    strong: bool
    """Its keyspace was strong when it was backed up."""


@final
class _Batch:
    """The entries of one call until all are settled."""

    def __init__(self, node: Node, arguments: Arguments, on_outcome: OnOutcome) -> None:
        self.node = node
        self.entries = _entries(arguments)
        self.dry_run = arguments.get("dry_run", False) is True
        self.renew = arguments.get("renew", False) is True
        self.same_cluster = text_argument(arguments, "cluster_id") == node.cluster_id
        self.created_hlc = int(number_argument(arguments, "created_hlc", 0, 0, HLC_MAX))
        self.counts = dict.fromkeys(("applied", "same", "kept", "expired", "flushed", "sloppy"), 0)
        self.failed: list[list[object]] = []
        self._on_outcome = on_outcome
        self._open = 1

    def wait(self) -> None:
        """One more entry is under way."""
        self._open += 1

    def count(self, name: str) -> None:
        """An entry is settled."""
        self.counts[name] += 1

    def fail(self, row: int, outcome: Failed | Unknown) -> None:
        """An entry was not taken, or nobody knows."""
        self.failed.append([row, int(outcome.code), outcome.text])

    def settle(self, now: Now) -> None:
        """An entry that was under way is settled."""
        self._open -= 1
        if self._open == 0:
            self._on_outcome(self._outcome(), now)

    def begun(self) -> Outcome | None:
        """All entries were begun; the outcome if all are settled."""
        self._open -= 1
        return self._outcome() if self._open == 0 else None

    def _outcome(self) -> Outcome:
        return Done({**self.counts, "failed": sorted(self.failed, key=lambda row: str(row[0]))})


def restore_entries(
    node: Node, arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """Offer ``entries`` of a backup of ``cluster_id``; ``dry_run`` only looks, as far as it can.

    ``{"applied", "same", "kept", "expired", "flushed", "sloppy", "failed": [[row, code, text]]}``;
    ``sloppy`` of those applied have fewer copies than W.
    """
    routing = node.standing.routing
    if routing is None or not node.ready():
        return Failed(Code.NOT_READY, "this node takes no writes yet", 0.5)
    batch = _Batch(node, arguments, on_outcome)
    looked_up: list[int] = []
    for row, entry in enumerate(batch.entries):
        if 0 < entry.expires_ms <= now.wall_ms:
            batch.count("expired")
        elif batch.renew or routing.is_strong(entry.key):
            looked_up.append(row)
        else:
            _offer(batch, routing, row, now)
    if looked_up:
        keys = tuple(batch.entries[row].key for row in looked_up)
        batch.wait()
        on_read = partial(_on_read, batch, looked_up)
        outcome = node.submit(Read(keys, Level.QUORUM), on_read, now)
        if outcome is not None:
            on_read(outcome, now)
    return batch.begun()


# -- eventual keyspaces --------------------------------------------------------------------------


def _offer(batch: _Batch, routing: Routing, row: int, now: Now) -> None:
    """Replicate an entry in its own version, unless something newer is here."""
    node, entry = batch.node, batch.entries[row]
    version = Version(entry.hlc, entry.node)
    if entry.strong:
        # A round's number would be older than everything; the walk began after it was written.
        version = Version(max(1, batch.created_hlc), 0)
    if version.hlc <= node.store.flushed_hlc:
        batch.count("flushed")
        return
    if not node.clock.believes(version.hlc, now):
        text = "the version lies in the future: is the clock of this machine right?"
        batch.fail(row, Failed(Code.CLOCK_SKEW, text))
        return
    held = node.store.get(entry.key, now)
    if held is not None and (held.hlc, held.node) > version:
        batch.count("kept")
        return
    same = held is not None and (held.hlc, held.node) == version
    if batch.dry_run:
        batch.count("same" if same else "applied")
        return
    # What is here in this version may be here alone: it is offered all the same.
    batch.wait()
    on_settled = partial(_on_offered, batch, row, same)
    job = Job(
        (entry.key,), (entry.value,), entry.kind, version, entry.expires_ms, Level.DEFAULT,
        [Claim((0,), on_settled)],
    )  # fmt: skip
    slot = node.table.slot_of(entry.key)
    outcome = node.coordinator.replicator.replicate(job, routing.group((entry.key,), (slot,)), now)
    if outcome is not None:
        on_settled(outcome, now)


def _on_offered(batch: _Batch, row: int, same: bool, outcome: Outcome, now: Now) -> None:
    if isinstance(outcome, Done):
        assert isinstance(outcome.result, list)
        first = outcome.result[0]
        if isinstance(first, Failed | Unknown):
            batch.fail(row, first)
        else:
            batch.count("same" if same else "applied")
            batch.counts["sloppy"] += bool(outcome.flags & Flag.SLOPPY)
    else:
        batch.fail(row, outcome)
    batch.settle(now)


# -- through the protocol of the keyspace --------------------------------------------------------


def _on_read(batch: _Batch, rows: list[int], outcome: Outcome, now: Now) -> None:
    """What the keys hold is known: write where nothing is, or where it is older."""
    if isinstance(outcome, Done):
        assert isinstance(outcome.result, list)
        for row, found in zip(rows, outcome.result, strict=True):
            _decide(batch, row, found, now)
    else:
        for row in rows:
            batch.fail(row, outcome)
    batch.settle(now)


def _decide(batch: _Batch, row: int, found: object, now: Now) -> None:
    entry = batch.entries[row]
    version = Version(entry.hlc, entry.node)
    comparable = entry.strong and batch.same_cluster and not batch.renew
    if isinstance(found, Failed | Unknown):
        batch.fail(row, found)
        return
    if entry.kind != Kind.STRING:
        batch.fail(row, Failed(Code.WRONG_TYPE, "only strings are written anew"))
        return
    if isinstance(found, Value):
        if comparable and found.version == version:
            batch.count("same")
            return
        if not comparable or found.version > version:
            batch.count("kept")
            return
        arguments = (*found.version, entry.value, entry.expires_ms)
        update = Update(entry.key, Change.COMPARE_AND_SET, arguments)
    else:
        # NX: what is written meanwhile stays.
        update = Update(entry.key, Change.SET, (entry.value, entry.expires_ms, 1, 0))
    if batch.dry_run:
        batch.count("applied")
        return
    batch.wait()
    on_written = partial(_on_written, batch, row)
    outcome = batch.node.submit(update, on_written, now)
    if outcome is not None:
        on_written(outcome, now)


def _on_written(batch: _Batch, row: int, outcome: Outcome, now: Now) -> None:
    if isinstance(outcome, Done):
        assert isinstance(outcome.result, Applied)
        batch.count("applied" if outcome.result.number else "kept")
    else:
        batch.fail(row, outcome)
    batch.settle(now)


# -- arguments -----------------------------------------------------------------------------------


def _entries(arguments: Arguments) -> list[Entry]:
    plain = arguments.get("entries")
    if not isinstance(plain, list) or not 0 < len(plain) <= ENTRIES_MAX:
        raise BadArgument(f"entries must be a list of 1 to {ENTRIES_MAX}")
    keys: dict[bytes, None] = {}
    for row, fields in enumerate(plain):
        if not _is_entry(fields):
            raise BadArgument(f"entry {row} is malformed")
        keys[fields[0]] = None
    if len(keys) < len(plain):
        raise BadArgument("a key is given twice")
    return [Entry(*fields) for fields in plain]


def _is_entry(fields: object) -> bool:
    match fields:
        case [bytes(key), int(kind), bytes(value), int(hlc), int(node), int(expires_ms), bool()]:
            return (
                kind in (Kind.STRING, Kind.HASH)
                and len(key) <= KEY_BYTES_MAX
                and len(value) <= VALUE_BYTES_MAX
                and 0 < hlc <= HLC_MAX
                and 0 <= node <= _NODE_MAX
                and 0 <= expires_ms <= _EXPIRY_MAX
            )
    return False
