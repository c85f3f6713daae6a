from __future__ import annotations

from nodecore.ids import NodeId
from nodecore.simulation.stalls import COPY, END_OF_COPIES, Stalls
from nodecore.strong.learning import STREAMED
from nodecore.strong.replica import Kind
from nodecore.strong.room import COPY_CAUSE
from transport.messages import ChangeStep, PeerApply, Ping, StrongAsk

A, B = NodeId("a"), NodeId("b")


def ask(key: bytes, *kinds: int) -> StrongAsk:
    count = len(kinds)
    return StrongAsk(1, bytes(kinds), [key] * count, [64] * count, [None] * count)


def test_only_messages_of_that_kind_key_and_way_are_stuck() -> None:
    stalls = Stalls(b"k")
    stalls.stall(A, B, Kind.ACCEPT, 2.0)
    assert stalls.stalled_s(A, B, ask(b"k", Kind.PREPARE, Kind.ACCEPT)) == 2.0
    assert stalls.stalled_s(A, B, ask(b"k", Kind.PREPARE)) == 0.0
    assert stalls.stalled_s(A, B, ask(b"other", Kind.ACCEPT)) == 0.0
    assert stalls.stalled_s(B, A, ask(b"k", Kind.ACCEPT)) == 0.0
    assert stalls.stalled_s(A, B, Ping()) == 0.0


def test_copies_and_their_end_can_be_stuck() -> None:
    stalls = Stalls(b"k")
    stalls.stall(A, B, COPY, 1.0)
    stalls.stall(A, B, END_OF_COPIES, 3.0)
    assert stalls.stalled_s(A, B, PeerApply(1, COPY_CAUSE, [[b"k", 0, b"", 1, 0, 0]])) == 1.0
    assert stalls.stalled_s(A, B, PeerApply(1, COPY_CAUSE, [[b"j", 0, b"", 1, 0, 0]])) == 0.0
    assert stalls.stalled_s(A, B, PeerApply(1, "repair", [[b"k", 0, b"", 1, 0, 0]])) == 0.0
    assert stalls.stalled_s(A, B, ChangeStep(1, STREAMED, {})) == 3.0
    assert stalls.stalled_s(A, B, ChangeStep(1, "filled", {})) == 0.0


def test_who_waits_for_a_message_is_told_once() -> None:
    stalls, seen = Stalls(b"k"), list[str]()
    stalls.expect(A, B, Kind.ACCEPT, lambda: seen.append("accept"))
    for _time in range(2):
        stalls.stalled_s(A, B, ask(b"k", Kind.ACCEPT))
    assert seen == ["accept"]
