"""Records: what a change finds in them, and what their history tells about a lost round."""

from __future__ import annotations

import pytest

from nodecore.consensus.ballot import NO_BALLOT, Ballot
from nodecore.ids import NodeId, Now
from nodecore.replication.changes import Stored
from nodecore.strong.ballots import ballot_above, version_of
from nodecore.strong.record import (
    HISTORY_MAX,
    MalformedRecord,
    Record,
    current_of,
    following,
    record_from_plain,
    was_applied,
)
from nodecore.table.interface import Kind

NOW = Now(1.0, 10_000)
N1 = NodeId("n1")


def rounds(count: int, epoch: int = 1) -> list[Ballot]:
    found: list[Ballot] = []
    for _number in range(count):
        found.append(ballot_above(found[-1] if found else NO_BALLOT, 0, epoch, N1))
    return found


def record_of(ballots: list[Ballot], value: bytes = b"v", expires_ms: int = 0) -> Record:
    record: Record | None = None
    for ballot in ballots:
        stored = Stored(Kind.STRING, value, expires_ms)
        record = following(record, stored, version_of(ballot), ballot)
    assert record is not None
    return record


def test_plain_form_survives_and_anything_else_is_refused() -> None:
    record = record_of(rounds(HISTORY_MAX + 2))
    assert record_from_plain(record.to_plain()) == record
    for index, wrong in enumerate([9, "v", -1, -1, -1, b"x"]):
        plain = record.to_plain()
        plain[index] = wrong
        with pytest.raises(MalformedRecord):
            record_from_plain(plain)
    shapes: list[object] = [None, [], record.to_plain()[:5], {}]
    for shape in shapes:
        with pytest.raises(MalformedRecord):
            record_from_plain(shape)


@pytest.mark.parametrize(
    ("record", "flushed_epoch", "found"),
    [
        (None, 0, False),
        (record_of(rounds(1)), 0, True),
        (record_of(rounds(1), expires_ms=10_000), 0, False),
        (record_of(rounds(1), expires_ms=10_001), 0, True),
        (record_of(rounds(1))._replace(kind=Kind.TOMBSTONE), 0, False),
        (record_of(rounds(1)), 1, True),
        (record_of(rounds(1)), 2, False),
    ],
)
def test_what_a_change_finds(record: Record | None, flushed_epoch: int, found: bool) -> None:
    assert (current_of(record, flushed_epoch, NOW) is not None) is found


def test_history_knows_rounds_that_were_applied_and_those_that_were_not() -> None:
    ballots = rounds(HISTORY_MAX + 3)
    record = record_of([ballots[0], ballots[2], ballots[3]])
    assert [was_applied(record, ballot) for ballot in ballots[:4]] == [True, False, True, True]
    assert was_applied(None, ballots[0]) is False


def test_a_history_that_has_forgotten_says_so() -> None:
    ballots = rounds(HISTORY_MAX + 3)
    record = record_of(ballots[1:])
    assert len(record.history) == HISTORY_MAX * 12
    assert was_applied(record, ballots[0]) is None
    assert was_applied(record, ballots[1]) is None, "applied, and pushed out since"
    assert was_applied(record, ballots[-1]) is True
    later = ballot_above(ballots[-1], 0, 1, N1)
    assert was_applied(record, later) is False


def test_a_rival_of_the_oldest_round_that_is_remembered_may_have_been_pushed_out() -> None:
    ballots = rounds(HISTORY_MAX)
    before = Ballot(ballots[0].counter, "n0")
    record = record_of([before, *ballots])
    assert was_applied(record, ballots[0]) is True
    assert was_applied(record, before) is None
