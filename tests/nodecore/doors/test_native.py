"""The native session: bulk reads through the gate, failures, verbs, subscriptions."""

from __future__ import annotations

import pytest

from nodecore.doors.native import NativeSession
from nodecore.errors import Code
from nodecore.ids import Now
from nodecore.replication.wire import outcome_from_plain, request_to_plain
from nodecore.requests import Applied, Change, Done, Failed, KeyCount, Read, Unknown, Update
from nodecore.statistics import EventRecord
from tests.nodecore.doors.fakes import START, FakeBackend
from transport.errors import LocalProtocolError
from transport.messages import (
    Admin,
    AdminReply,
    ClientExecute,
    ClientGet,
    ClientOutcome,
    ClientRoutes,
    ClientRouteTable,
    ClientSet,
    ClientValues,
    ClientWritten,
    ErrorReply,
    EventReport,
    Message,
    Role,
    StatisticsReport,
    Subscribe,
)


class FakeLink:
    def __init__(self) -> None:
        self.sent: list[tuple[int, Message]] = []
        self.refuse: type[Message] | None = None

    def last(self) -> Message:
        return self.sent[-1][1]

    def send(self, message: Message, stream: int = 0) -> bytes:
        if self.refuse is not None and isinstance(message, self.refuse):
            raise LocalProtocolError("too large")
        self.sent.append((stream, message))
        return b"frame"


def connect(
    backend: FakeBackend, role: Role = Role.CLIENT
) -> tuple[NativeSession, FakeLink, list[int]]:
    link, woken = FakeLink(), [0]

    def wake() -> None:
        woken[0] += 1

    return NativeSession(backend, link, role, wake), link, woken


def test_reads_and_writes() -> None:
    session, link, _ = connect(FakeBackend())
    session.on_message(1, ClientSet([b"a", b"b"], [b"1", b"2"]), START)
    session.on_message(3, ClientGet([b"b", b"none", b"a"]), START)
    assert link.sent == [
        (1, ClientWritten(7, 0, 2, [])),
        (3, ClientValues(7, 0, [b"2", None, b"1"])),
    ]
    assert session.take_output() == b"frameframe"


def test_only_what_the_gate_does_not_hold_is_submitted() -> None:
    backend = FakeBackend()
    table = backend.table_
    table.set_slots(b"\x01" * 16384)
    table.open_gate(1)
    table.readmit(b"held", table.put(b"held", 0, b"H", 1, 1, 0))
    session, link, _ = connect(backend)
    session.on_message(1, ClientGet([b"held", b"other"]), START)
    assert link.last() == ClientValues(7, 0, [b"H", None])
    assert backend.submitted == [Read((b"other",))]
    session.on_message(1, ClientGet([b"held"], 2), START)
    assert len(backend.submitted) == 2, "a strict level never uses the gate"


def test_answers_leave_in_any_order() -> None:
    backend = FakeBackend(deferred=True)
    session, link, woken = connect(backend)
    session.on_message(1, ClientGet([b"a"]), START)
    session.on_message(3, ClientGet([b"b"]), START)
    assert session.outstanding == 2
    backend.release(index=1)
    backend.release()
    assert [stream for stream, _ in link.sent] == [3, 1]
    assert woken == [2]
    assert session.outstanding == 0


def test_failures_are_told_by_key_and_by_request() -> None:
    backend = FakeBackend()
    session, link, _ = connect(backend)
    backend.fail = lambda request: Done([Failed(Code.OVERLOADED, "x"), None])
    session.on_message(1, ClientGet([b"a", b"b"]), START)
    assert link.last() == ClientValues(7, 0, [[12, "x"], None])
    session.on_message(1, ClientSet([b"a", b"b"], [b"", b""]), START)
    assert link.last() == ClientWritten(7, 0, 0, [[0, 12, "x", False]])
    backend.fail = lambda request: Unknown(Code.TIMED_OUT, "late")
    session.on_message(1, ClientSet([b"a"], [b""]), START)
    assert link.last() == ErrorReply(9, "late", True, 0)


def test_any_request_can_be_executed() -> None:
    session, link, _ = connect(FakeBackend())
    plain = request_to_plain(Update(b"n", Change.INCREMENT, (5,)))
    session.on_message(1, ClientExecute(plain), START)
    reply = link.last()
    assert isinstance(reply, ClientOutcome)
    outcome = outcome_from_plain(reply.outcome)
    assert isinstance(outcome, Done)
    assert isinstance(outcome.result, Applied)
    assert outcome.result.number == 5
    session.on_message(1, ClientExecute(request_to_plain(KeyCount())), START)
    reply = link.last()
    assert isinstance(reply, ClientOutcome)
    assert outcome_from_plain(reply.outcome) == Done(1)


@pytest.mark.parametrize(
    "message",
    [
        ClientGet("a"),
        ClientGet([1]),
        ClientGet([b"k" * 70_000]),
        ClientGet([b"a"], 9),
        ClientGet([b"a"] * 10_001),
        ClientSet([b"a"], []),
        ClientSet([b"a"], [b"1"], -1),
        ClientExecute(["eat"]),
        Admin("status", {}),
        Subscribe(1000, -1),
    ],
)
def test_bad_messages_are_answered(message: Message) -> None:
    session, link, _ = connect(FakeBackend())
    session.on_message(5, message, START)
    stream, reply = link.sent[-1]
    assert stream == 5
    assert isinstance(reply, ErrorReply)
    assert not session.closing


def test_routes_cover_all_slots() -> None:
    session, link, _ = connect(FakeBackend())
    session.on_message(1, ClientRoutes(0), START)
    reply = link.last()
    assert isinstance(reply, ClientRouteTable)
    assert reply.members == [
        ["n1", "127.0.0.1:7101", True],
        ["n2", "127.0.0.1:7102", True],
        ["n3", "127.0.0.1:7103", True],
    ]
    assert reply.ranges == [[0, 5461, [0, 1]], [5462, 10922, [1, 2]], [10923, 16383, [2, 0]]]


def test_consoles_run_verbs_and_subscribe() -> None:
    backend = FakeBackend()
    backend.admin_results["status"] = Done({"epoch": 7})
    session, link, _ = connect(backend, Role.CONSOLE)
    session.on_message(1, Admin("status", {}), START)
    assert link.sent[-1] == (1, AdminReply({"epoch": 7}))
    session.on_message(1, Admin("nope", {}), START)
    assert isinstance(link.last(), ErrorReply)

    assert not session.statistics_due(START)
    session.on_message(9, Subscribe(1000, 3), START)
    assert session.statistics_due(START)
    session.push_statistics(backend.statistics(START), START)
    assert isinstance(link.last(), StatisticsReport)
    assert [stream for stream, _ in link.sent] == [1, 1, 9]
    assert not session.statistics_due(START)
    assert session.statistics_due(Now(START.mono_s + 1.0, 0))
    events = [EventRecord(number, 0, "n1", "k", "t") for number in (3, 4, 5)]
    session.push_events(events)
    report = link.last()
    assert isinstance(report, EventReport)
    assert isinstance(report.events, list)
    assert [event["sequence"] for event in report.events] == [4, 5]
    session.push_events(events)
    assert link.last() is report


def test_an_answer_that_cannot_be_sent_is_told() -> None:
    session, link, _ = connect(FakeBackend())
    link.refuse = ClientWritten
    session.on_message(1, ClientSet([b"a"], [b"1"]), START)
    reply = link.last()
    assert isinstance(reply, ErrorReply)
    assert reply.unknown


def test_ending_drops_outcomes() -> None:
    backend = FakeBackend(deferred=True)
    session, link, _ = connect(backend)
    session.on_message(1, ClientGet([b"a"]), START)
    session.end(START)
    backend.release_all()
    assert link.sent == []
    assert session.take_output() == b""
