"""Requests of this node that peers have not answered yet.

A call is one message on the data lane with a stream number, one reply, and one time-out. Whatever
happens, its callback comes exactly once: with the reply, or with a :class:`CallFailed` that says
whether the message can have been executed. Every end that the link or the peer brought about is told
to the link's breaker. A suspicion is not one: it may have gossip's word alone, while it lasts
membership keeps requests away, and when it is refuted the peer serves again at once.

Stream numbers below ``STREAMS_MAX`` belong to this module; other rooms that number their own
requests on the data lane start there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

from nodecore.errors import Code
from nodecore.ids import NodeId, Now
from nodecore.replication.deadlines import Deadlines, Expiring
from nodecore.request_numbers import RequestNumbers
from nodecore.resilience.breakers import LinkBreakers
from nodecore.timers import Timers
from transport.messages import ErrorReply, Lane, Message

STREAMS_MAX: Final = 2**30

SendMessage: TypeAlias = Callable[[NodeId, Lane, int, Message], None]

_PEER_AT_FAULT: Final = frozenset({int(Code.INTERNAL), int(Code.OVERLOADED), int(Code.TIMED_OUT)})
"""Error replies that speak against the peer; all others are about the request."""


@dataclass(frozen=True, slots=True)
class CallFailed:
    """No usable reply."""

    code: Code
    text: str
    sent: bool
    """False: the peer certainly did not execute it."""
    retry_after_s: float = 0.0


CallEnd: TypeAlias = Message | CallFailed
OnEnd: TypeAlias = Callable[[CallEnd, Now], None]


class _Call:
    __slots__ = ("calls", "generation", "on_end", "patient", "peer", "sent_s", "settled", "stream")

    def __init__(
        self, calls: Calls, stream: int, peer: NodeId, generation: int, sent_s: float, on_end: OnEnd
    ) -> None:
        self.calls = calls
        self.stream = stream
        self.peer = peer
        self.generation = generation
        self.sent_s = sent_s
        self.on_end = on_end
        self.settled = False
        self.patient = False

    def on_deadline(self, now: Now) -> None:
        waited_ms = (now.mono_s - self.sent_s) * 1000.0
        self.calls.fail(
            self,
            CallFailed(Code.TIMED_OUT, f"{self.peer}: no answer in {waited_ms:.0f} ms", True),
            now,
        )


class Calls:
    """All outstanding calls of one node."""

    def __init__(
        self,
        send: SendMessage,
        breakers: LinkBreakers,
        timers: Timers,
        timeout_s: float,
        rng: Random,
    ) -> None:
        self._send = send
        self._breakers = breakers
        self._deadlines = Deadlines(timers, timeout_s)
        self._calls: dict[int, _Call] = {}
        self._streams = RequestNumbers(1, STREAMS_MAX - 1, rng)
        self.timed_out = 0

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def timeout_s(self) -> float:
        """How long a call may take."""
        return self._deadlines.timeout_s

    def add_deadline(self, item: Expiring, now: Now) -> None:
        """Let something else expire as a call would."""
        self._deadlines.add(item, now)

    def request(
        self, peer: NodeId, message: Message, on_end: OnEnd, now: Now, *, patient: bool = False
    ) -> None:
        """Send ``message``; ``on_end`` comes later, exactly once, never from within this call.

        A ``patient`` call waits on while its peer is merely suspected: giving it up would turn an
        answer that may still come into an unknown outcome.
        """
        stream = self._streams.take(self._calls)
        call = _Call(self, stream, peer, self._breakers.generation(peer), now.mono_s, on_end)
        call.patient = patient
        self._calls[stream] = call
        self._deadlines.add(call, now)
        self._send(peer, Lane.DATA, stream, message)

    def on_reply(self, peer: NodeId, stream: int, message: Message, now: Now) -> bool:
        """A reply has come; False when nobody waits for it (late, or not ours)."""
        call = self._calls.get(stream)
        if call is None or call.peer != peer:
            return False
        if isinstance(message, ErrorReply):
            code = _code_of(message.code)
            at_fault = message.text if message.code in _PEER_AT_FAULT else ""
            self._end(call, at_fault, now)
            failed = CallFailed(code, message.text, message.unknown, message.retry_after_ms / 1000)
            call.on_end(failed, now)
        else:
            self._end(call, "", now)
            call.on_end(message, now)
        return True

    def on_undelivered(self, peer: NodeId, stream: int, now: Now) -> None:
        """There was no link: the message never left."""
        call = self._calls.get(stream)
        if call is not None and call.peer == peer:
            self.fail(call, CallFailed(Code.UNREACHABLE, f"{peer}: no link", False), now)

    def on_link_down(self, peer: NodeId, reason: str, now: Now) -> None:
        """The link is gone: whatever waits for an answer on it gets none."""
        failed = CallFailed(Code.UNREACHABLE, f"{peer}: {reason or 'link lost'}", True)
        for call in [call for call in self._calls.values() if call.peer == peer]:
            if not call.settled:
                self.fail(call, failed, now)

    def on_suspect(self, peer: NodeId, now: Now) -> None:
        """The peer does not answer probes: what can be asked elsewhere must not wait for it."""
        failed = CallFailed(Code.UNREACHABLE, f"{peer}: suspected to have failed", True)
        for call in [call for call in self._calls.values() if call.peer == peer]:
            if not call.settled and not call.patient:
                self._forget(call)
                call.on_end(failed, now)

    def fail(self, call: _Call, failed: CallFailed, now: Now) -> None:
        """End a call without a reply."""
        if failed.code is Code.TIMED_OUT:
            self.timed_out += 1
        self._end(call, failed.text, now)
        call.on_end(failed, now)

    def _end(self, call: _Call, error: str, now: Now) -> None:
        self._forget(call)
        self._breakers.record(call.peer, call.generation, now.mono_s - call.sent_s, error, now)

    def _forget(self, call: _Call) -> None:
        call.settled = True
        del self._calls[call.stream]


def _code_of(number: int) -> Code:
    try:
        return Code(number)
    except ValueError:
        return Code.INTERNAL
