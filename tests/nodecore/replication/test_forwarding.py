"""Forwarded requests carry what their clients have seen."""

from __future__ import annotations

from random import Random

from nodecore.errors import Code
from nodecore.ids import Epoch, NodeId, Now, Version
from nodecore.replication.calls import Calls
from nodecore.replication.forwarding import Forwarder
from nodecore.replication.versions import HybridClock
from nodecore.replication.wire import outcome_to_plain, request_to_plain
from nodecore.requests import Done, Outcome, Unknown, Write
from nodecore.resilience.breakers import LinkBreakers
from nodecore.routing import Routing
from nodecore.table import make_table
from nodecore.timers import Timers
from tests.nodecore.node_pump import Pump
from tests.nodecore.replication.change_fakes import moment
from transport.messages import ErrorReply, Forward, Forwarded, Lane, Message

PEER = NodeId("n2")
LATER = (moment().wall_ms + 40) << 16


class Asker:
    """A node that hands its writes to one peer."""

    def __init__(self, routing: Routing) -> None:
        self.sent: list[tuple[int, Forward]] = []
        breakers = LinkBreakers(100.0, Random(1), lambda _event: None)
        self.timers = Timers()
        calls = Calls(self._send, breakers, self.timers, 2.0, Random(1))
        self.calls = calls
        clock = HybridClock(make_table("reference"), 7, lambda _name, _plain: None)
        self.forwarder = Forwarder(
            calls,
            lambda _peer, _epoch, _then, _now: None,
            clock,
            lambda _entry, _now: None,
            lambda _node, _key, _epoch, _now: None,
        )
        self.forwarder.routing = routing
        self.outcomes: list[Outcome] = []

    def _send(self, _peer: NodeId, _lane: Lane, stream: int, message: Message) -> None:
        assert isinstance(message, Forward)
        self.sent.append((stream, message))

    def write(self) -> tuple[int, Forward]:
        request = Write((b"k",), (b"v",))
        self.forwarder.forward(request, lambda _tried: PEER, self.on_outcome, moment())
        return self.sent[-1]

    def on_outcome(self, outcome: Outcome, _now: Now) -> None:
        self.outcomes.append(outcome)


def asker() -> Asker:
    routing = Pump(1).nodes["n1"].standing.routing
    assert routing is not None
    return Asker(routing)


def test_the_next_request_carries_the_version_that_the_last_one_brought() -> None:
    node = asker()
    stream, message = node.write()
    assert message.seen == 0
    outcome = outcome_to_plain(Done([Version(LATER, 3)]))
    node.calls.on_reply(PEER, stream, Forwarded(int(Epoch(1)), outcome, None), moment())
    assert isinstance(node.outcomes[0], Done)
    assert node.write()[1].seen == LATER


def test_a_version_that_a_read_showed_travels_along_even_when_the_own_clock_is_behind() -> None:
    node = asker()
    far = (moment().wall_ms + 60_000) << 16
    node.forwarder.note_version(far, moment())
    assert node.write()[1].seen == far


def test_who_runs_the_request_dates_it_after_what_was_seen() -> None:
    pump = Pump(3)
    node = pump.nodes["n1"]
    seen = (pump.now.wall_ms + 300) << 16
    plain = request_to_plain(Write((b"k",), (b"v",)))
    node.on_message(PEER, 9, Lane.DATA, Forward(1, plain, 2000, seen), pump.now)
    pump.drain("n1")
    pump.run(0.5)
    entry = node.table.get(b"k")
    assert entry is not None
    assert entry.hlc > seen


def test_all_who_are_tried_share_the_time_of_one_call() -> None:
    node = asker()
    begin, refused = moment(10.0), moment(11.6)
    request = Write((b"k",), (b"v",))
    node.forwarder.forward(request, lambda _tried: PEER, node.on_outcome, begin)
    not_ready = ErrorReply(code=int(Code.NOT_READY), text="not ready")
    node.calls.on_reply(PEER, node.sent[-1][0], not_ready, refused)
    assert len(node.sent) == 2, "the next one is tried"
    node.timers.fire(moment(11.9))
    assert not node.outcomes
    node.timers.fire(moment(12.1))
    (outcome,) = node.outcomes
    assert isinstance(outcome, Unknown), "the second one may run it"
    assert outcome.code is Code.TIMED_OUT
    done = outcome_to_plain(Done([Version(LATER, 3)]))
    node.calls.on_reply(PEER, node.sent[-1][0], Forwarded(1, done, None), moment(12.2))
    assert len(node.outcomes) == 1, "what comes later changes nothing"


def test_a_single_call_that_times_out_counts_against_its_peer() -> None:
    node = asker()
    node.forwarder.forward(
        Write((b"k",), (b"v",)), lambda _tried: PEER, node.on_outcome, moment(10.0)
    )
    node.timers.fire(moment(12.1))
    assert len(node.outcomes) == 1
    assert node.calls.timed_out == 1
