"""The gate is a short cut, never a difference: open and closed, clients read the same replies.

Two equal clusters get the same bytes, split at the same places; in one of them the gate is offered
the bytes first, as the data plane does, in the other everything takes the long way.
"""

from __future__ import annotations

from functools import cache
from itertools import count

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nodecore.doors.resp import RespDoor, RespSession
from tests.nodecore.node_pump import Pump

_numbers = count()


class Side:
    """One cluster and one client of its first node."""

    def __init__(self, members: int, *, gate: bool) -> None:
        self.pump = Pump(members)
        self.node = self.pump.nodes["n1"]
        self.door = RespDoor(self.node)
        self.gate = gate

    def connect(self) -> RespSession:
        return self.door.connect(lambda: None)

    def talk(self, session: RespSession, data: bytes) -> bytes:
        replies = b""
        if self.gate and session.gate_open:
            replies, consumed = self.node.table.serve(
                data, self.pump.now.wall_ms, session.nil, session.gate_bits
            )
            data = data[consumed:]
        session.receive(data, self.pump.now)
        self.pump.drain("n1")
        self.pump.run(0.02)
        return replies + session.take_output()


@cache
def sides(members: int) -> tuple[Side, Side]:
    return Side(members, gate=True), Side(members, gate=False)


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


KEYS = st.sampled_from([b"a", b"b", b"{a}c", b"strong:x"])
VALUES = st.sampled_from([b"", b"1", b"value", b"x" * 300])
COMMANDS = st.one_of(
    st.tuples(st.just(b"GET"), KEYS),
    st.tuples(st.just(b"get"), KEYS),
    st.tuples(st.just(b"SET"), KEYS, VALUES),
    st.tuples(st.just(b"SET"), KEYS, VALUES, st.just(b"PX"), st.sampled_from([b"10", b"60"])),
    st.tuples(st.just(b"SET"), KEYS, VALUES, st.sampled_from([b"NX", b"XX", b"GET", b"KEEPTTL"])),
    st.tuples(st.sampled_from([b"DEL", b"INCR", b"EXISTS", b"STRLEN", b"PERSIST"]), KEYS),
    st.tuples(st.just(b"APPEND"), KEYS, VALUES),
    st.tuples(st.just(b"PEXPIRE"), KEYS, st.sampled_from([b"10", b"-1", b"100000"])),
    st.tuples(st.just(b"PING")),
    st.tuples(st.just(b"HELLO"), st.sampled_from([b"2", b"3"])),
    st.tuples(st.sampled_from([b"MULTI", b"EXEC"])),
    st.tuples(st.sampled_from([b"READONLY", b"ASKING"])),
    st.tuples(st.just(b"CLUSTER"), st.just(b"SLOTS")),
    st.tuples(st.just(b"GET")),
)
PIPELINES = st.lists(st.lists(COMMANDS, min_size=1, max_size=6), min_size=1, max_size=6)


def pipeline(commands: list[tuple[bytes, ...]], prefix: bytes) -> bytes:
    """The commands, with keys that no earlier example has used."""
    own = []
    for words in commands:
        if len(words) > 1 and words[0] not in (b"HELLO", b"CLUSTER"):
            key = words[1]
            fresh = b"strong:" + prefix if key.startswith(b"strong") else prefix + key
            words = (words[0], fresh, *words[2:])
        own.append(command(*words))
    return b"".join(own)


MANY = [b"k%d" % number for number in range(12)]
REDIRECTED = [
    [(b"SET", key, b"v") for key in MANY],
    [(b"CLUSTER", b"SLOTS")],
    [(b"GET", key) for key in MANY],
    [(b"READONLY",), *((b"GET", key) for key in MANY)],
]


@pytest.mark.parametrize("members", [1, 3])
@example(pipelines=REDIRECTED, cut=0)
@settings(max_examples=60, deadline=None)
@given(pipelines=PIPELINES, cut=st.integers(0, 40))
def test_open_and_closed_give_equal_replies(
    members: int, pipelines: list[list[tuple[bytes, ...]]], cut: int
) -> None:
    opened, closed = sides(members)
    prefix = b"%d:" % next(_numbers)
    sessions = opened.connect(), closed.connect()
    for commands in pipelines:
        data = pipeline(commands, prefix)
        for piece in (data[:cut], data[cut:]):
            answers = [
                side.talk(session, piece)
                for side, session in zip((opened, closed), sessions, strict=True)
            ]
            if b"CLUSTER" not in data and b"HELLO" not in data:
                assert answers[0] == answers[1]
    for side, session in zip((opened, closed), sessions, strict=True):
        session.end(side.pump.now)
