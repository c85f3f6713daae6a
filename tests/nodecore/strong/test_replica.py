"""The acceptor: what it grants, what it refuses, and what it lets nobody forget."""

from __future__ import annotations

import pytest

from nodecore.consensus.ballot import COUNTER_MAX, NO_BALLOT, Ballot
from nodecore.errors import Code
from nodecore.ids import NodeId
from nodecore.replication.changes import Stored
from nodecore.storage.disk import Durability
from nodecore.strong.ballots import ballot_above, version_of
from nodecore.strong.record import Record, following
from nodecore.strong.register_format import pack_state
from nodecore.strong.replica import (
    GRANTED,
    OUTRANKED,
    Kind,
    Row,
    StrongReplica,
    Told,
    rows_from_plain,
    told_from_columns,
    told_to_columns,
)
from nodecore.table.interface import Kind as EntryKind
from tests.nodecore.strong.fakes import NOW, Acceptors

N1, N2 = NodeId("n1"), NodeId("n2")
KEY = b"strong:k"
B1 = ballot_above(NO_BALLOT, 0, 1, N1)
B2 = ballot_above(B1, 0, 1, N2)
B3 = ballot_above(B2, 0, 1, N1)


def record(ballot: Ballot, value: bytes | None = b"v") -> Record:
    kind = EntryKind.TOMBSTONE if value is None else EntryKind.STRING
    return following(None, Stored(kind, value or b"", 0), version_of(ballot), ballot)


class Acceptor:
    def __init__(self, bytes_max: int = 1 << 20) -> None:
        self.node = Acceptors(bytes_max)
        self.votes = True
        self.replica = StrongReplica(
            self.node.registers, self.node.slot, lambda _key, _slot: self.votes
        )

    def ask(self, *rows: Row) -> list[Told]:
        answers: list[list[Told]] = []
        self.replica.handle(rows, lambda told, _now: answers.append(told), NOW)
        (told,) = answers
        return told

    def one(self, kind: Kind, ballot: Ballot, value: object = None) -> Told:
        return self.ask(Row(kind, KEY, ballot, value))[0]


def test_a_look_promises_nothing() -> None:
    acceptor = Acceptor()
    assert acceptor.one(Kind.LOOK, NO_BALLOT) == Told(GRANTED)
    assert acceptor.node.registers.count == 0


def test_prepare_then_accept_then_a_higher_prepare_tells_the_value() -> None:
    acceptor = Acceptor()
    assert acceptor.one(Kind.PREPARE, B1) == Told(GRANTED, B1)
    assert acceptor.one(Kind.ACCEPT, B1, record(B1)) == Told(GRANTED, B1, B1)
    assert acceptor.one(Kind.PREPARE, B2) == Told(GRANTED, B2, B1, record(B1))
    assert acceptor.one(Kind.PREPARE, B3, list(B1)) == Told(GRANTED, B3, B1), "known already"


@pytest.mark.parametrize("again", [Kind.LOOK, Kind.ACCEPT])
def test_what_a_loss_of_power_would_take_back_is_told_to_nobody(again: Kind) -> None:
    acceptor = Acceptor()
    acceptor.node.registers.durability = Durability.POWER
    told: list[list[Told]] = []
    ballot = NO_BALLOT if again is Kind.LOOK else B1
    for row in (Row(Kind.ACCEPT, KEY, B1, record(B1)), Row(again, KEY, ballot, record(B1))):
        acceptor.replica.handle([row], lambda answer, _now: told.append(answer), NOW)
    assert told == []
    acceptor.node.write_down()
    assert told == [[Told(GRANTED, B1, B1)]] * 2
    assert acceptor.one(Kind.LOOK, NO_BALLOT) == Told(GRANTED, B1, B1)


def test_lower_ballots_are_refused_and_told_what_stands_in_the_way() -> None:
    acceptor = Acceptor()
    acceptor.one(Kind.PREPARE, B2)
    assert acceptor.one(Kind.PREPARE, B1) == Told(OUTRANKED, B2)
    assert acceptor.one(Kind.ACCEPT, B1, record(B1)) == Told(OUTRANKED, B2)
    assert acceptor.one(Kind.PREPARE, B2) == Told(OUTRANKED, B2), "a ballot is granted once"


def test_who_may_not_vote_says_so_and_remembers_nothing() -> None:
    acceptor = Acceptor()
    acceptor.votes = False
    for kind, value in ((Kind.LOOK, None), (Kind.PREPARE, None), (Kind.ACCEPT, record(B1))):
        ballot = NO_BALLOT if kind is Kind.LOOK else B1
        assert acceptor.one(kind, ballot, value) == Told(int(Code.NOT_READY))
    assert acceptor.node.registers.count == 0
    assert acceptor.replica.refused_learning == 3


def test_without_memory_nothing_is_promised_or_accepted() -> None:
    acceptor = Acceptor(bytes_max=1_000)
    acceptor.one(Kind.PREPARE, B1)
    large = record(B1, b"v" * 2_000)
    assert acceptor.one(Kind.ACCEPT, B1, large) == Told(int(Code.OUT_OF_MEMORY))
    other = acceptor.ask(Row(Kind.PREPARE, b"strong:other", B1, None))
    assert other == [Told(int(Code.OUT_OF_MEMORY))]


def test_a_collected_tombstone_leaves_a_floor_that_late_messages_hit() -> None:
    acceptor = Acceptor()
    acceptor.one(Kind.ACCEPT, B2, record(B2, None))
    assert acceptor.one(Kind.COLLECT, B2) == Told(GRANTED)
    assert acceptor.node.registers.count == 0
    late = acceptor.one(Kind.ACCEPT, B1, record(B1))
    assert late.code == OUTRANKED
    assert late.promised > B2
    assert acceptor.one(Kind.PREPARE, B2).code == OUTRANKED
    above = ballot_above(late.promised, 0, 1, N1)
    assert acceptor.one(Kind.PREPARE, above) == Told(GRANTED, above)


@pytest.mark.parametrize("since", [Kind.PREPARE, Kind.ACCEPT])
def test_what_was_promised_since_is_not_collected(since: Kind) -> None:
    acceptor = Acceptor()
    acceptor.one(Kind.ACCEPT, B1, record(B1, None))
    acceptor.one(since, B2, record(B2) if since is Kind.ACCEPT else None)
    assert acceptor.one(Kind.COLLECT, B1).code == OUTRANKED
    assert acceptor.node.registers.count == 1
    assert not acceptor.node.registers.floors


def copy_of(ballot: Ballot) -> list[object]:
    source = Acceptor()
    source.one(Kind.ACCEPT, ballot, record(ballot))
    state = source.node.registers.get(KEY, source.node.slot(KEY))
    assert state is not None
    return [KEY, 0, pack_state(state), ballot.counter, 0, 0]


def test_a_copy_is_an_accept() -> None:
    acceptor = Acceptor()
    assert acceptor.replica.copy_in(copy_of(B2), NOW) == (KEY, GRANTED)
    assert acceptor.one(Kind.PREPARE, B1) == Told(OUTRANKED, B2, B2), "it raised the promise"
    assert acceptor.replica.copy_in(copy_of(B1), NOW) == (KEY, GRANTED), "more is held already"
    assert acceptor.one(Kind.LOOK, NO_BALLOT).accepted == B2


def test_a_copy_below_a_promise_is_not_taken() -> None:
    """Comparing accepted ballots alone would let a value in behind a round that saw none."""
    acceptor = Acceptor()
    acceptor.one(Kind.PREPARE, B2)
    assert acceptor.replica.copy_in(copy_of(B1), NOW) == (KEY, OUTRANKED)
    assert acceptor.one(Kind.LOOK, NO_BALLOT).accepted == NO_BALLOT


def test_a_copy_is_taken_below_the_floor_of_other_keys() -> None:
    acceptor = Acceptor()
    acceptor.node.registers.raise_floor(acceptor.node.slot(KEY), B3.counter, NOW)
    assert acceptor.replica.copy_in(copy_of(B1), NOW) == (KEY, GRANTED)
    assert acceptor.one(Kind.LOOK, NO_BALLOT).accepted == B1


@pytest.mark.parametrize("entry", [None, [], [KEY], [KEY, 0, b"x", 1, 0, 0], [1, 0, b"", 0, 0, 0]])
def test_copies_that_make_no_sense_are_refused(entry: object) -> None:
    _key, code = Acceptor().replica.copy_in(entry, NOW)
    assert code == int(Code.BAD_REQUEST)


@pytest.mark.parametrize(
    ("kinds", "keys", "counters", "records"),
    [
        (b"\x00", [KEY, KEY], [0], [None]),
        (b"\x09", [KEY], [64], [None]),
        (b"\x01", ["text"], [64], [None]),
        (b"\x01", [KEY], [0], [None]),
        (b"\x00", [KEY], [64], [None]),
        (b"\x01", [KEY], [COUNTER_MAX + 1], [None]),
        (b"\x02", [KEY], [64], [None]),
        (b"\x02", [KEY], [64], [[1, 2]]),
        (b"\x01", None, [64], [None]),
        (b"\x01" * 1001, [KEY] * 1001, [64] * 1001, [None] * 1001),
    ],
)
def test_questions_that_make_no_sense_are_refused(
    kinds: bytes, keys: object, counters: object, records: object
) -> None:
    assert rows_from_plain(N1, kinds, keys, counters, records) is None


def test_answers_survive_the_wire_and_nonsense_does_not() -> None:
    told = [Told(GRANTED, B2, B1, record(B1)), Told(OUTRANKED, B3), Told(int(Code.NOT_READY))]
    columns = told_to_columns(told)
    assert told_from_columns(3, *columns) == told
    assert told_from_columns(2, *columns) is None
    assert told_from_columns(3, *columns[:3], [None, [1], None]) is None
    assert told_from_columns(3, None, *columns[1:]) is None
