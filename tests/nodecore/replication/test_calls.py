"""Calls: every one ends once, and only what the link did is held against the link."""

from __future__ import annotations

from random import Random

from nodecore.errors import Code
from nodecore.ids import NodeId
from nodecore.replication.calls import CallEnd, CallFailed, Calls
from nodecore.resilience.breaker import ERRORS_IN_A_ROW
from nodecore.resilience.breakers import LinkBreakers
from nodecore.timers import Timers
from tests.nodecore.replication.change_fakes import moment
from transport.messages import PeerRead, PeerWritten

PEER = NodeId("n2")


class Caller:
    """Calls to one peer, whose ends it keeps."""

    def __init__(self) -> None:
        self.breakers = LinkBreakers(100.0, Random(1), lambda _event: None)
        self.breakers.set_peers([PEER, NodeId("n3"), NodeId("n4")])
        self.calls = Calls(lambda *_: None, self.breakers, Timers(), 2.0, Random(1))
        self.ends: list[CallEnd] = []

    def ask(self, count: int, *, patient: bool = False) -> None:
        for _call in range(count):
            self.calls.request(
                PEER,
                PeerRead(epoch=1, keys=[]),
                lambda end, _now: self.ends.append(end),
                moment(),
                patient=patient,
            )


def test_a_suspicion_ends_calls_and_leaves_the_breaker_alone() -> None:
    caller = Caller()
    caller.ask(2 * ERRORS_IN_A_ROW)
    caller.calls.on_suspect(PEER, moment(0.1))
    assert len(caller.ends) == 2 * ERRORS_IN_A_ROW
    assert all(isinstance(end, CallFailed) and end.sent for end in caller.ends)
    assert len(caller.calls) == 0
    assert caller.breakers.allows(PEER), "a refuted suspicion costs nothing"


def test_a_patient_call_outlives_a_suspicion() -> None:
    caller = Caller()
    caller.ask(1, patient=True)
    caller.calls.on_suspect(PEER, moment(0.1))
    assert caller.ends == []
    assert len(caller.calls) == 1


def test_a_lost_link_ends_calls_and_opens_the_breaker() -> None:
    caller = Caller()
    caller.ask(ERRORS_IN_A_ROW)
    caller.calls.on_link_down(PEER, "connection reset", moment(0.1))
    codes = [end.code for end in caller.ends if isinstance(end, CallFailed)]
    assert codes == [Code.UNREACHABLE] * ERRORS_IN_A_ROW
    assert not caller.breakers.allows(PEER)


def test_an_answer_to_an_earlier_life_answers_nothing() -> None:
    asked: list[int] = []
    ends: list[CallEnd] = []

    def begin_life(seed: int) -> Calls:
        breakers = LinkBreakers(100.0, Random(1), lambda _event: None)
        breakers.set_peers([PEER])
        calls = Calls(
            lambda _peer, _lane, stream, _message: asked.append(stream),
            breakers,
            Timers(),
            2.0,
            Random(seed),
        )
        for _call in range(10):
            calls.request(PEER, PeerRead(1, []), lambda end, _now: ends.append(end), moment())
        return calls

    begin_life(1)
    again = begin_life(2)
    for stream in asked[:10]:
        assert not again.on_reply(PEER, stream, PeerWritten(1, 1, []), moment())
    assert not ends
    assert again.on_reply(PEER, asked[10], PeerWritten(1, 1, []), moment())
    assert len(ends) == 1
