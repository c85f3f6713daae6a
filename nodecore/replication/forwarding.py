"""Forwarding: running a request at another node, at most once.

A request is handed to one node after another only while it certainly did not run: undelivered,
refused with a definite error. Once it may have run, the answer is :class:`Unknown`. All nodes that
are tried share the time of one call: a client does not wait longer because the first one was slow to
refuse.

The highest version that clients of this node have been shown travels along, so that a write that
another node dates comes after whatever its client knows. This node's own clock would not do: requests
are handed on just because it is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from nodecore.errors import Code
from nodecore.ids import Epoch, NodeId, Now, Version
from nodecore.replication.calls import CallEnd, CallFailed, Calls
from nodecore.replication.epochs import OnStale
from nodecore.replication.versions import HybridClock
from nodecore.replication.wire import MalformedPlain, outcome_from_plain, request_to_plain
from nodecore.requests import Applied, Done, Failed, Outcome, Request, Unknown, Update
from nodecore.routing import Routing
from transport.messages import Forward, Forwarded

OnOutcome: TypeAlias = Callable[[Outcome, Now], None]
NextTarget: TypeAlias = Callable[[dict[NodeId, bool]], NodeId | None]
"""The next node to try, given those that were tried."""

ATTEMPTS_MAX: Final = 3
_ELSEWHERE: Final = frozenset(
    {Code.NOT_OWNER, Code.NOT_READY, Code.UNREACHABLE, Code.OVERLOADED, Code.BREAKER_OPEN}
)
"""Definite refusals after which another node may do better."""


class _Attempt:
    """One request on its way to whoever takes it; expires as a call does."""

    __slots__ = (
        "begin_s", "key", "next_target", "on_outcome", "plain", "settled", "tried", "under_way",
    )  # fmt: skip

    def __init__(
        self, request: Request, next_target: NextTarget, on_outcome: OnOutcome, now: Now
    ) -> None:
        self.plain = request_to_plain(request)
        self.key = request.key if isinstance(request, Update) else None
        self.next_target = next_target
        self.on_outcome = on_outcome
        self.begin_s = now.mono_s
        self.tried: dict[NodeId, bool] = {}
        self.settled = False
        self.under_way = False
        """Somebody has it and may run it."""

    def settle(self, outcome: Outcome, now: Now) -> None:
        """Answer, unless that has been done."""
        if not self.settled:
            self.settled = True
            self.on_outcome(outcome, now)

    def on_deadline(self, now: Now) -> None:
        """Whoever was tried last has not answered in what the others had left of the time."""
        text = f"no answer in {(now.mono_s - self.begin_s) * 1000.0:.0f} ms"
        if self.under_way:
            self.settle(Unknown(Code.TIMED_OUT, text), now)
        else:
            self.settle(Failed(Code.TIMED_OUT, text), now)


class Forwarder:
    """Requests that this node hands to others."""

    def __init__(
        self,
        calls: Calls,
        on_stale: OnStale,
        clock: HybridClock,
        on_entry: Callable[[object, Now], None],
        bring_up: Callable[[NodeId, bytes, Epoch, Now], None],
    ) -> None:
        self._calls = calls
        self._on_entry = on_entry
        self._bring_up = bring_up
        self._on_stale = on_stale
        self._clock = clock
        self.routing: Routing | None = None
        self.forwarded = 0
        self.seen_hlc = 0
        """Highest clock value in an answer of another node."""

    def note_version(self, hlc: int, now: Now) -> None:
        """A client of this node is shown a version of another one."""
        self.seen_hlc = max(self.seen_hlc, hlc)
        self._clock.believes(hlc, now)

    def forward(
        self, request: Request, next_target: NextTarget, on_outcome: OnOutcome, now: Now
    ) -> Outcome | None:
        """Run ``request`` at the first of ``next_target`` that takes it."""
        attempt = _Attempt(request, next_target, on_outcome, now)
        outcome = self._try(attempt, Failed(Code.UNREACHABLE, "no owner can be reached"), now)
        if outcome is None:
            # After the call itself: when both expire at once, the call tells more.
            self._calls.add_deadline(attempt, now)
        return outcome

    def _try(self, attempt: _Attempt, otherwise: Failed, now: Now) -> Outcome | None:
        if len(attempt.tried) >= ATTEMPTS_MAX:
            return otherwise
        peer = attempt.next_target(attempt.tried)
        if peer is None:
            return otherwise
        attempt.tried[peer] = True
        assert self.routing is not None
        message = Forward(
            epoch=self.routing.epoch,
            request=attempt.plain,
            deadline_ms=int(self._calls.timeout_s * 1000),
            seen=self.seen_hlc,
        )
        self.forwarded += 1
        if attempt.key is not None:
            # An owner that missed a write of ours must not compute from what was before it.
            self._bring_up(peer, attempt.key, self.routing.epoch, now)
        on_end = partial(self._on_end, peer, message, attempt)
        attempt.under_way = True
        self._calls.request(peer, message, on_end, now, patient=True)
        return None

    def _on_end(
        self, peer: NodeId, message: Forward, attempt: _Attempt, end: CallEnd, now: Now
    ) -> None:
        attempt.under_way = False
        if attempt.settled:
            return
        if isinstance(end, Forwarded):
            try:
                outcome = outcome_from_plain(end.outcome)
            except MalformedPlain as error:
                outcome = Unknown(Code.INTERNAL, f"{peer}: {error}")
            if isinstance(outcome, Done):
                # What this client writes next through this node must come after.
                for version in _versions(outcome.result):
                    self.note_version(version.hlc, now)
                if isinstance(outcome.result, Applied):
                    self._on_entry(end.entry, now)
            attempt.settle(outcome, now)
            return
        if not isinstance(end, CallFailed):
            attempt.settle(Unknown(Code.INTERNAL, f"{peer}: not an answer"), now)
            return
        if end.sent:
            attempt.settle(Unknown(end.code, end.text), now)
            return
        failed = Failed(end.code, end.text, end.retry_after_s)
        if end.code is Code.STALE_EPOCH:
            retry = partial(self._retry, peer, attempt, failed)
            self._on_stale(peer, Epoch(message.epoch), retry, now)
        elif end.code in _ELSEWHERE:
            self._answer(attempt, self._try(attempt, failed, now), now)
        else:
            attempt.settle(failed, now)

    def _retry(
        self, peer: NodeId, attempt: _Attempt, failed: Failed, newer: bool, now: Now
    ) -> None:
        if attempt.settled:
            return
        if newer:
            # The same peer may well be the right one at the new epoch; the bound on attempts holds.
            attempt.tried.pop(peer, None)
            attempt.tried[NodeId(f"{peer}@{len(attempt.tried)}")] = True
            self._answer(attempt, self._try(attempt, failed, now), now)
        else:
            attempt.settle(failed, now)

    def _answer(self, attempt: _Attempt, outcome: Outcome | None, now: Now) -> None:
        if outcome is not None:
            attempt.settle(outcome, now)


def _versions(result: object) -> list[Version]:
    """Versions in the result of a forwarded request."""
    if isinstance(result, Applied):
        return [result.version]
    return (
        [item for item in result if isinstance(item, Version)] if isinstance(result, list) else []
    )
