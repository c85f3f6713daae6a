"""The acceptor's side of strong keys: answers looks, prepares, accepts and collections, row by row.

A row is granted only where this node votes for the slot: it owns it (or is to own it in a joint
epoch) and has lost nothing of it. A ballot at or below the slot's floor is refused like one below the
promise. An answer leaves when every row of it is durable. Copies of a slot (``copy_in``) are taken as
Accepts are: only if their ballot is not below what was promised here.

It decides no round and moves no data by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias, final

from nodecore.consensus.acceptor import Acceptor, AcceptorState
from nodecore.consensus.ballot import COUNTER_MAX, NO_BALLOT, Ballot
from nodecore.errors import Code
from nodecore.ids import NodeId, Now
from nodecore.limits import KEY_BYTES_MAX
from nodecore.strong.ballots import INDEX_BITS
from nodecore.strong.ports import ANSWER_BYTES_MAX, ROWS_MAX
from nodecore.strong.record import MalformedRecord, Record, record_from_plain
from nodecore.strong.register_format import unpack_state
from nodecore.strong.registers import Registers
from transport.errors import TransportError

GRANTED: Final = 0
OUTRANKED: Final = -1
"""A higher promise, or the slot's floor, stands in the way."""


class Kind(IntEnum):
    """Of a row. Numeric values are part of the peer protocol: append only."""

    LOOK = 0
    """Which ballot was accepted? Promises nothing."""
    PREPARE = 1
    ACCEPT = 2
    COLLECT = 3
    """Forget the tombstone of this ballot: every owner holds it."""


class Row(NamedTuple):
    """One question."""

    kind: Kind
    key: bytes
    ballot: Ballot
    """Of the asking round; NO_BALLOT for a look."""
    record: object
    """See ``StrongAsk.records``."""


class Told(NamedTuple):
    """One answer."""

    code: int
    """GRANTED, OUTRANKED or a Code."""
    promised: Ballot = NO_BALLOT
    accepted: Ballot = NO_BALLOT
    record: Record | None = None
    """The accepted value; None also where the asker has it already."""


OnTold: TypeAlias = Callable[[list[Told], Now], None]


class _Answer:
    """The rows of one frame, until all of them are durable."""

    __slots__ = ("_on_told", "_open", "_rows")

    def __init__(self, on_told: OnTold) -> None:
        self._rows: list[Told] = []
        self._open = 1
        self._on_told = on_told

    def add(self, told: Told) -> None:
        self._rows.append(told)

    def wait(self) -> Callable[[Now], None]:
        self._open += 1
        return self.done

    def done(self, now: Now) -> None:
        self._open -= 1
        if self._open == 0:
            self._on_told(self._rows, now)


@final
class StrongReplica:
    """See the module.

    Args:
        registers: what was promised and accepted here.
        slot_of: of a key.
        votes: whether this node may answer for a slot.
    """

    def __init__(
        self,
        registers: Registers,
        slot_of: Callable[[bytes], int],
        votes: Callable[[bytes, int], bool],
    ) -> None:
        self._registers = registers
        self._slot_of = slot_of
        self._votes = votes
        self.refused_learning = 0
        """Rows refused because this node may not vote for their slot."""
        self.refused_memory = 0
        self.refused_floor = 0
        self.collected = 0

    def handle(self, rows: Sequence[Row], on_told: OnTold, now: Now) -> None:
        """Answer the rows of one proposer; ``on_told`` comes once all are durable, mostly at once."""
        answer = _Answer(on_told)
        room = ANSWER_BYTES_MAX
        for row in rows:
            told = self._answer(row, answer, room, now)
            if told.record is not None:
                room -= len(told.record.value)
            answer.add(told)
        answer.done(now)

    def _answer(self, row: Row, answer: _Answer, room: int, now: Now) -> Told:
        slot = self._slot_of(row.key)
        if not self._votes(row.key, slot):
            self.refused_learning += 1
            return Told(int(Code.NOT_READY))
        state = self._registers.get(row.key, slot)
        if row.kind is Kind.LOOK:
            self._registers.when_durable(row.key, answer.wait(), now)
            return _told(GRANTED, state or AcceptorState())
        if row.kind is Kind.COLLECT:
            return self._collect(row, slot, state, now)
        floor = self._registers.floor(slot)
        if row.ballot.counter <= floor:
            self.refused_floor += 1
            above = Ballot(floor + (1 << INDEX_BITS), "")
            return _told(OUTRANKED, state or AcceptorState())._replace(promised=above)
        if row.kind is Kind.PREPARE:
            return self._prepare(row, slot, state, answer, room, now)
        return self._accept(row, slot, state, answer, now)

    def _prepare(
        self, row: Row, slot: int, state: AcceptorState | None, answer: _Answer, room: int, now: Now
    ) -> Told:
        record = None if state is None else state.accepted
        if not isinstance(record, Record) or row.record == list(_accepted(state)):
            record = None
        elif len(record.value) > room and room < ANSWER_BYTES_MAX:
            return Told(int(Code.OVERLOADED))
        if state is None and not self._registers.fits(row.key, slot, None):
            self.refused_memory += 1
            return Told(int(Code.OUT_OF_MEMORY))
        acceptor = Acceptor(state or AcceptorState())
        reply, changed = acceptor.prepare(row.ballot)
        if changed is None:
            return _told(OUTRANKED, acceptor.state)
        self._registers.put(row.key, slot, changed, now, answer.wait())
        return Told(GRANTED, reply.promised, reply.accepted_ballot, record)

    def _accept(
        self, row: Row, slot: int, state: AcceptorState | None, answer: _Answer, now: Now
    ) -> Told:
        record = row.record
        if not isinstance(record, Record):
            return Told(int(Code.BAD_REQUEST))
        if not self._registers.fits(row.key, slot, record):
            self.refused_memory += 1
            return Told(int(Code.OUT_OF_MEMORY))
        acceptor = Acceptor(state or AcceptorState())
        reply, changed = acceptor.accept(row.ballot, record)
        if changed is not None:
            self._registers.put(row.key, slot, changed, now, answer.wait())
        elif reply.granted:
            # Repeated while the first one is still on its way to the medium.
            self._registers.when_durable(row.key, answer.wait(), now)
        return _told(GRANTED if reply.granted else OUTRANKED, acceptor.state)

    def _collect(self, row: Row, slot: int, state: AcceptorState | None, now: Now) -> Told:
        """Only what was neither promised nor accepted anew goes; the floor remembers it."""
        if state is not None and state.accepted_ballot == row.ballot == state.promised:
            self._registers.raise_floor(slot, row.ballot.counter, now)
            self._registers.remove(row.key, slot, now)
            self.collected += 1
            return Told(GRANTED)
        return _told(OUTRANKED, state or AcceptorState())

    # -- copies ------------------------------------------------------------------------------

    def copy_in(self, entry: object, now: Now) -> tuple[bytes, int]:
        """Take one register of a slot's copy, as ``Registers.copies`` gave it.

        Floors have no say here: they rise above live values of other keys of the slot, which must be
        copied all the same. Returns (key, code): GRANTED, OUTRANKED (more was promised here), or a Code.
        """
        match entry:
            case [bytes(key), 0, bytes(packed), int(), *_] if len(key) <= KEY_BYTES_MAX:
                try:
                    return key, self._copy_register(key, unpack_state(packed), now)
                except (MalformedRecord, TransportError):
                    return key, int(Code.BAD_REQUEST)
        return b"", int(Code.BAD_REQUEST)

    def _copy_register(self, key: bytes, copied: AcceptorState, now: Now) -> int:
        slot = self._slot_of(key)
        ballot, record = copied.accepted_ballot, copied.accepted
        if not isinstance(record, Record) or not self._registers.fits(key, slot, record):
            self.refused_memory += 1
            return int(Code.OUT_OF_MEMORY)
        acceptor = Acceptor(self._registers.get(key, slot) or AcceptorState())
        _reply, changed = acceptor.accept(ballot, record)
        if changed is not None:
            self._registers.put(key, slot, changed, now, None)
        return GRANTED if acceptor.state.accepted_ballot >= ballot else OUTRANKED


def _accepted(state: AcceptorState | None) -> Ballot:
    return NO_BALLOT if state is None else state.accepted_ballot


def _told(code: int, state: AcceptorState) -> Told:
    return Told(code, state.promised, state.accepted_ballot)


# -- the wire --------------------------------------------------------------------------------


def rows_from_plain(
    proposer: NodeId, kinds: bytes, keys: object, counters: object, records: object
) -> list[Row] | None:
    """The rows of a ``StrongAsk``; None: they make no sense."""
    lists = (keys, counters, records)
    if not all(isinstance(column, list) and len(column) == len(kinds) for column in lists):
        return None
    assert isinstance(keys, list)
    assert isinstance(counters, list)
    assert isinstance(records, list)
    rows: list[Row] = []
    for kind, key, counter, record in zip(kinds, keys, counters, records, strict=True):
        sound = kind <= Kind.COLLECT and isinstance(key, bytes) and isinstance(counter, int)
        if not sound or len(key) > KEY_BYTES_MAX or not 0 <= counter <= COUNTER_MAX:
            return None
        ballot = Ballot(counter, proposer) if counter else NO_BALLOT
        if kind == Kind.ACCEPT:
            try:
                record = record_from_plain(record)
            except MalformedRecord:
                return None
        if (kind != Kind.LOOK) != (counter > 0):
            return None
        rows.append(Row(Kind(kind), key, ballot, record))
    return rows if len(rows) <= ROWS_MAX else None


def told_to_columns(told: Sequence[Told]) -> tuple[list[object], ...]:
    """Columns of a ``StrongTold``: codes, promised, accepted, records."""
    return (
        [row.code for row in told],
        [list(row.promised) for row in told],
        [list(row.accepted) for row in told],
        [None if row.record is None else row.record.to_plain() for row in told],
    )


def told_from_columns(count: int, *columns: object) -> list[Told] | None:
    """The reverse; None: they make no sense."""
    found: list[Told] = []
    lists = [column for column in columns if isinstance(column, list) and len(column) == count]
    if len(lists) != 4:
        return None
    try:
        for code, promised, accepted, plain in zip(*lists, strict=True):
            record = None if plain is None else record_from_plain(plain)
            found.append(Told(int(code), _ballot(promised), _ballot(accepted), record))
    except (MalformedRecord, TypeError, ValueError):
        return None
    return found


def _ballot(plain: object) -> Ballot:
    match plain:
        case [int(counter), str(proposer)] if 0 <= counter <= COUNTER_MAX:
            return Ballot(counter, proposer)
    raise MalformedRecord("not a ballot")
