"""The value of a register: what a key holds, and which rounds made it so.

A record is what acceptors accept: kind, value, expiry, version, and the *history*, the first versions
of the last rounds that changed the key. A proposer whose Accept was lost looks for its own round
there before it runs the change again: present, it was applied; absent from a history that reaches
back far enough, it was not and never will be, for the new round outranks it.

It decides what a record looks like to a change function (absent when deleted, expired or flushed)
and what follows from its result. It knows neither quorums nor messages.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from nodecore.consensus.ballot import Ballot
from nodecore.ids import Now, Version
from nodecore.limits import VALUE_BYTES_MAX
from nodecore.replication.changes import Current, Stored
from nodecore.strong.ballots import epoch_of, version_of
from nodecore.table.interface import Kind

HISTORY_MAX: Final = 6
"""Rounds remembered: more rivals than that between two tries of one change, and its outcome is unknown."""
_ITEM_BYTES: Final = 12
_KINDS: Final = frozenset(int(kind) for kind in Kind)
_NUMBER_MAX: Final = 2**63 - 1


class MalformedRecord(ValueError):  # noqa: N818 - the name says what it is
    """Plain data that is no record."""


class Record(NamedTuple):
    """What an acceptor accepts."""

    kind: int
    """``Kind.TOMBSTONE``: deleted."""
    value: bytes
    expires_ms: int
    version: Version
    history: bytes
    """Versions of the last rounds, 12 bytes each, oldest first."""

    @property
    def dead(self) -> bool:
        """A tombstone."""
        return self.kind == Kind.TOMBSTONE

    def expired(self, now: Now) -> bool:
        """Past its expiry, and no tombstone yet."""
        return not self.dead and 0 < self.expires_ms <= now.wall_ms

    def flushed(self, flushed_epoch: int) -> bool:
        """Written before the last flush of the cluster."""
        return epoch_of(self.version) < flushed_epoch

    def to_plain(self) -> list[object]:
        """For the wire and the disk."""
        return [self.kind, self.value, self.expires_ms, *self.version, self.history]


def record_from_plain(plain: object) -> Record:
    """Parse what ``to_plain`` gave.

    Raises:
        MalformedRecord: the shape is wrong.
    """
    match plain:
        case [int(kind), bytes(value), int(expires_ms), int(hlc), int(node), bytes(history)]:
            numbers = (kind, expires_ms, hlc, node)
            sound = kind in _KINDS and all(0 <= number <= _NUMBER_MAX for number in numbers)
            short = len(value) <= VALUE_BYTES_MAX and len(history) <= HISTORY_MAX * _ITEM_BYTES
            if sound and short and len(history) % _ITEM_BYTES == 0:
                return Record(kind, value, expires_ms, Version(hlc, node), history)
    raise MalformedRecord("not a record of a strong key")


def current_of(record: Record | None, flushed_epoch: int, now: Now) -> Current | None:
    """What a change function finds."""
    if record is None or record.dead or record.expired(now) or record.flushed(flushed_epoch):
        return None
    return Current(record.value, record.version, record.expires_ms, record.kind)


def following(previous: Record | None, stored: Stored, version: Version, ballot: Ballot) -> Record:
    """The record that a round leaves, whose last change is ``stored`` at ``version``."""
    history = b"" if previous is None else previous.history
    history = (history + _item(ballot))[-HISTORY_MAX * _ITEM_BYTES :]
    return Record(int(stored.kind), stored.value, stored.expires_ms, version, history)


def was_applied(record: Record | None, ballot: Ballot) -> bool | None:
    """Whether the round of ``ballot`` made this record what it is; None: that can't be told."""
    if record is None:
        return False
    history, item = record.history, _item(ballot)
    found = [history[at : at + _ITEM_BYTES] for at in range(0, len(history), _ITEM_BYTES)]
    if item in found:
        return True
    # Counters are stored with the high byte first, so bytes compare as numbers do. Two proposers may
    # use one counter, and tags have no order: a round beside the oldest one may have been pushed out.
    forgotten = len(found) == HISTORY_MAX and found[0][:8] >= item[:8]
    return None if forgotten else False


def _item(ballot: Ballot) -> bytes:
    version = version_of(ballot)
    return version.hlc.to_bytes(8, "big") + version.node.to_bytes(4, "big")
