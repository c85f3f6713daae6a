"""Questions of one node to its peers: a verb over the control lane, answers until a deadline.

What has not answered within ``ANSWER_S`` (no link, an error, a newer shape) is missing from the
result; the asker decides what that means. Rounds are bounded: more are refused at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import Final, TypeAlias, final

from nodecore.ids import NodeId, Now
from nodecore.request_numbers import RequestNumbers
from nodecore.timers import Timer, Timers
from nodecore.verb_arguments import Arguments
from transport.messages import Admin, AdminReply, ErrorReply, Lane, Message

ANSWER_S: Final = 1.0
ROUNDS_MAX: Final = 64
STREAM_FIRST: Final = 2**30
_STREAMS: Final = 2**28
"""Streams of this room on the control lane, above those of ``cluster_figures``."""

OnAnswers: TypeAlias = Callable[[dict[NodeId, object], Now], None]
"""(results by peer, now); called exactly once."""


class _Round:
    __slots__ = ("answers", "on_answers", "pending", "timer")

    def __init__(self, on_answers: OnAnswers) -> None:
        self.on_answers = on_answers
        self.answers: dict[NodeId, object] = {}
        self.pending: dict[int, NodeId] = {}
        self.timer: Timer | None = None


@final
class PeerQuestions:
    """All rounds of one node that are under way.

    Args:
        send: of the node.
        timers: its deadlines.
        rng: numbers the questions.
    """

    def __init__(
        self, send: Callable[[NodeId, Lane, int, Message], None], timers: Timers, rng: Random
    ) -> None:
        self._send = send
        self._timers = timers
        self._streams = RequestNumbers(STREAM_FIRST, _STREAMS, rng)
        self._asked: dict[int, _Round] = {}
        self._rounds = 0

    def ask(
        self,
        peers: Iterable[NodeId],
        verb: str,
        arguments: Arguments,
        on_answers: OnAnswers,
        now: Now,
    ) -> bool:
        """Ask every peer; False when too many rounds are under way, and nothing was asked."""
        if self._rounds >= ROUNDS_MAX:
            return False
        self._rounds += 1
        begun = _Round(on_answers)
        for peer in peers:
            stream = self._streams.take(self._asked)
            self._asked[stream] = begun
            begun.pending[stream] = peer
            self._send(peer, Lane.CONTROL, stream, Admin(verb, dict(arguments)))
        if begun.pending:
            begun.timer = self._timers.schedule(now.mono_s + ANSWER_S, partial(self._end, begun))
        else:
            self._end(begun, now)
        return True

    def on_reply(self, peer: NodeId, stream: int, message: Message, now: Now) -> bool:
        """A message on the control lane; False when it answers no question of this room."""
        begun = self._asked.get(stream)
        if begun is None or begun.pending.get(stream) != peer:
            return False
        if not isinstance(message, AdminReply | ErrorReply):
            return False
        if isinstance(message, AdminReply):
            begun.answers[peer] = message.result
        self._settle(begun, stream, now)
        return True

    def on_undelivered(self, stream: int, now: Now) -> None:
        """A question found no link."""
        begun = self._asked.get(stream)
        if begun is not None:
            self._settle(begun, stream, now)

    def _settle(self, begun: _Round, stream: int, now: Now) -> None:
        del self._asked[stream]
        del begun.pending[stream]
        if not begun.pending:
            self._end(begun, now)

    def _end(self, begun: _Round, now: Now) -> None:
        self._timers.cancel(begun.timer)
        for stream in begun.pending:
            del self._asked[stream]
        begun.pending.clear()
        self._rounds -= 1
        begun.on_answers(begun.answers, now)
