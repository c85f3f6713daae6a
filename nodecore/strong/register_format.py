"""Registers as bytes: for the disk, where a checksum covers the name too, and for copies of slots.

It knows neither files nor frames.
"""

from __future__ import annotations

from typing import Final

import xxhash

from nodecore.consensus.acceptor import AcceptorState
from nodecore.consensus.ballot import COUNTER_MAX, NO_BALLOT, Ballot
from nodecore.strong.record import MalformedRecord, Record, record_from_plain
from transport.codec import pack_plain, unpack_plain

_SEAL_BYTES: Final = 8


def record_of(state: AcceptorState) -> Record | None:
    """The accepted value; None: nothing was accepted."""
    accepted = state.accepted
    return accepted if isinstance(accepted, Record) else None


def seal(name: bytes, packed: bytes) -> bytes:
    """For the disk: a checksum over a record and the name that it is kept under, then the record."""
    return xxhash.xxh3_64_digest(name + packed) + packed


def unseal(name: bytes, sealed: bytes) -> bytes:
    """What :func:`seal` took.

    Raises:
        MalformedRecord: the record, or its name, is not what was written.
    """
    packed = sealed[_SEAL_BYTES:]
    if sealed[:_SEAL_BYTES] != xxhash.xxh3_64_digest(name + packed):
        raise MalformedRecord("the checksum is wrong")
    return packed


def pack_state(state: AcceptorState, name: bytes = b"") -> bytes:
    """For the disk, under a name, and for copies, which travel beside their keys: sealed plain data."""
    record = record_of(state)
    plain = None if record is None else record.to_plain()
    return seal(name, pack_plain([*state.promised, *state.accepted_ballot, plain]))


def unpack_state(sealed: bytes, name: bytes = b"") -> AcceptorState:
    """Parse what :func:`pack_state` gave.

    Raises:
        MalformedRecord: the checksum or the shape is wrong.
        TransportError: the bytes are no plain data.
    """
    match unpack_plain(unseal(name, sealed)):
        case [int(counter), str(proposer), int(accepted), str(accepted_proposer), plain]:
            promised, ballot = Ballot(counter, proposer), Ballot(accepted, accepted_proposer)
            if NO_BALLOT <= ballot <= promised and counter <= COUNTER_MAX:
                record = None if ballot == NO_BALLOT else record_from_plain(plain)
                return AcceptorState(promised, ballot, record)
    raise MalformedRecord("not an acceptor's state")
