"""All link breakers of one node, and the rule that joins them.

Never more than half of the peers are shut out at once: when everything looks slow, the fault is
most likely here, and routing around everybody would leave nobody. A breaker that would break the
rule stays closed; that is counted. Breakers that an operator forced count as shut out too, but are
never refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from nodecore.effects import Emit, Severity
from nodecore.ids import NodeId, Now
from nodecore.resilience.breaker import Breaker, State
from nodecore.resilience.latency import LatencyWindow
from nodecore.statistics import BreakerState

_WORDS = {
    "closed": State.CLOSED,
    "forced-open": State.FORCED_OPEN,
    "disabled": State.DISABLED,
}


class LinkBreakers:
    """One breaker and one latency window for each peer."""

    def __init__(self, slow_call_ms: float, rng: Random, emit: Callable[[Emit], None]) -> None:
        self._slow_call_ms = slow_call_ms
        self._rng = rng
        self._emit = emit
        self._breakers: dict[NodeId, Breaker] = {}
        self._latencies: dict[NodeId, LatencyWindow] = {}
        self.refused_to_open = 0

    def set_peers(self, peers: Sequence[NodeId]) -> None:
        """The peers of this epoch; breakers of others are forgotten."""
        kept = self._breakers
        latencies = self._latencies
        self._breakers = {
            peer: kept.get(peer) or Breaker(peer, self._slow_call_ms, self._rng) for peer in peers
        }
        self._latencies = {peer: latencies.get(peer) or LatencyWindow() for peer in peers}

    def allows(self, peer: NodeId) -> bool:
        """Whether a client's call may go to ``peer``; unknown peers are allowed."""
        breaker = self._breakers.get(peer)
        return breaker is None or breaker.closed

    def state(self, peer: NodeId) -> State | None:
        """State of one breaker, None for a stranger."""
        breaker = self._breakers.get(peer)
        return None if breaker is None else breaker.state

    def generation(self, peer: NodeId) -> int:
        """To be handed back with the result of a call that is sent now."""
        breaker = self._breakers.get(peer)
        return 0 if breaker is None else breaker.generation

    def hedge_delay_s(self, peer: NodeId) -> float:
        """See :class:`LatencyWindow`."""
        window = self._latencies.get(peer)
        return (window or LatencyWindow()).hedge_delay_s

    def record(self, peer: NodeId, generation: int, latency_s: float, error: str, now: Now) -> None:
        """A call to ``peer`` has ended; ``error`` is empty when it succeeded."""
        breaker = self._breakers.get(peer)
        if breaker is None:
            return
        if not error:
            self._latencies[peer].record(latency_s)
        before = breaker.state
        reason = breaker.record(generation, latency_s * 1000.0, error, now)
        if reason:
            shut = sum(1 for other in self._breakers.values() if not other.closed)
            if 2 * (shut + 1) > max(2, len(self._breakers)):
                self.refused_to_open += 1
            else:
                breaker.open(reason, now)
        if breaker.state is not before:
            self._report(breaker, before)

    def probes_due(self, now: Now) -> list[NodeId]:
        """Peers that a background probe should be sent to now."""
        due: list[NodeId] = []
        for peer, breaker in self._breakers.items():
            before = breaker.state
            if breaker.probe_due(now):
                due.append(peer)
            if breaker.state is not before:
                self._report(breaker, before)
        return due

    def force(self, peer: NodeId, word: str, now: Now) -> str:
        """Apply an operator's word; returns a complaint, or an empty string."""
        breaker = self._breakers.get(peer)
        if breaker is None:
            return f"no peer {peer!r}: peers are {', '.join(self._breakers) or 'none'}"
        state = _WORDS.get(word)
        if state is None:
            return f"state {word!r} is none of {', '.join(_WORDS)}"
        before = breaker.state
        breaker.force(state, now)
        if breaker.state is not before:
            self._report(breaker, before)
        return ""

    def peer_restarted(self, peer: NodeId, now: Now) -> None:
        """A new incarnation of the peer: its breaker starts afresh."""
        breaker = self._breakers.get(peer)
        if breaker is not None:
            before = breaker.state
            breaker.reset(now)
            if breaker.state is not before:
                self._report(breaker, before)

    def reports(self, now: Now) -> tuple[BreakerState, ...]:
        """For statistics, in order of the peers."""
        return tuple(breaker.report(now) for breaker in self._breakers.values())

    def _report(self, breaker: Breaker, before: State) -> None:
        opened = breaker.state in (State.OPEN, State.FORCED_OPEN)
        detail = f": {breaker.reason}" if breaker.reason else ""
        self._emit(
            Emit(
                kind=f"breaker.{breaker.state}",
                text=f"breaker to {breaker.peer} {before} -> {breaker.state}{detail}",
                severity=Severity.WARNING if opened else Severity.NOTICE,
                fields=(("peer", breaker.peer), ("reason", breaker.reason)),
            )
        )
