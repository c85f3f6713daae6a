"""The circuit breaker of one link: decides whether a call may go to a peer.

It counts the calls of the last ten seconds in one-second buckets and opens on

* five errors in a row,
* errors: the Wilson lower bound (95 %) of the error rate over at least 20 calls lies above 5 %,
  twice the learned baseline, and the baseline plus three of its deviations,
* slowness: half of at least 20 calls within ten seconds took longer than ``slow_call_ms``.

The shortest recent span of at least two seconds that holds 20 calls is judged as well as the whole
window, so that a link which has just turned slow does not hide behind the fast calls before.

*Open* ends after 1 s x 2^k +-50 %, at most 60 s. A *half-open* breaker lets no client's call
through: background probes decide, so that no client waits for an experiment. While open, probes go
out too, at most ``PROBE_INTERVAL_S_MAX`` apart: a healed link closes within seconds however long
the open time has grown. Calls carry the generation in which they were admitted; a late reply from
an earlier generation moves nothing. ``now`` is an argument; nothing here waits or sends.

Sources: Wilson score interval (1927); the shape follows resilience4j and Envoy's outlier detection.
"""

from __future__ import annotations

import math
from collections import deque
from enum import StrEnum
from random import Random
from typing import Final

from nodecore.ids import Now
from nodecore.statistics import BreakerState

WINDOW_S: Final = 10
RECENT_SPAN_S: Final = 2
CALLS_MIN: Final = 20
ERRORS_IN_A_ROW: Final = 5
ERROR_RATE_MIN: Final = 0.05
SLOW_SHARE: Final = 0.5
OPEN_S_BASE: Final = 1.0
OPEN_S_MAX: Final = 60.0
PROBE_INTERVAL_S_MAX: Final = 2.0
PROBE_SPACING_S: Final = 0.5
"""Between two probes of a half-open breaker."""
PROBES_NEEDED: Final = 3
_LATENCY_WEIGHT: Final = 0.2
_BASELINE_WEIGHT: Final = 1.0 / 60.0
"""Per window of ten seconds: a memory of about ten minutes."""
_Z: Final = 1.96


class State(StrEnum):
    """Words of ``BreakerState.state``."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    FORCED_OPEN = "forced-open"
    DISABLED = "disabled"


class _Bucket:
    __slots__ = ("calls", "errors", "second", "slow")

    def __init__(self, second: int) -> None:
        self.second = second
        self.calls = self.errors = self.slow = 0


def wilson_lower_bound(successes: int, trials: int, z: float = _Z) -> float:
    """Lower end of the score interval of a rate; 0 without trials."""
    if trials == 0:
        return 0.0
    rate = successes / trials
    centre = rate + z * z / (2 * trials)
    margin = z * math.sqrt((rate * (1 - rate) + z * z / (4 * trials)) / trials)
    return max(0.0, (centre - margin) / (1 + z * z / trials))


class Breaker:
    """One link's breaker.

    Args:
        peer: whom the link leads to, for the report.
        slow_call_ms: a call that takes longer is slow.
        rng: jitter of the open time.
    """

    def __init__(self, peer: str, slow_call_ms: float, rng: Random) -> None:
        self.peer = peer
        self.slow_call_ms = slow_call_ms
        self.state = State.CLOSED
        self.generation = 0
        self.reason = ""
        self.trips = 0
        self.latency_ms = 0.0
        self._rng = rng
        self._buckets: deque[_Bucket] = deque()
        self._row = 0
        self._row_reason = ""
        self._baseline = 0.0
        self._deviation = 0.0
        self._baseline_next_s = -math.inf
        self._backoff = 0
        self._closed_at_s = -math.inf
        self._opened_wall_ms = 0
        self._open_until_s = 0.0
        self._probe_at_s = 0.0
        self._probes_ok = 0

    @property
    def closed(self) -> bool:
        """Whether client calls are admitted."""
        return self.state is State.CLOSED or self.state is State.DISABLED

    def record(self, generation: int, latency_ms: float, error: str, now: Now) -> str:
        """A call or probe has ended.

        Args:
            generation: of this breaker when the call was sent.
            latency_ms: how long it took.
            error: empty when it succeeded.
            now: when it ended.

        Returns:
            Why the breaker should open, or an empty string. The caller opens it with :meth:`open`
            if it may (see ``LinkBreakers``).
        """
        slow = latency_ms > self.slow_call_ms
        if not error:
            weight = _LATENCY_WEIGHT if self.latency_ms else 1.0
            self.latency_ms += weight * (latency_ms - self.latency_ms)
        if generation != self.generation:
            return ""
        if self.state is State.OPEN or self.state is State.HALF_OPEN:
            self._record_probe(slow or bool(error), error or "slow", now)
            return ""
        bucket = self._bucket(now)
        bucket.calls += 1
        if slow:
            bucket.slow += 1
        if error:
            bucket.errors += 1
            self._row += 1
            self._row_reason = error
        else:
            self._row = 0
        if self.state is not State.CLOSED:
            return ""
        return self._verdict(now, failed=bool(error)) if (slow or error) else ""

    def open(self, reason: str, now: Now) -> None:
        """Open (again): the open time doubles while trips follow each other closely."""
        if self.state is State.CLOSED:
            self.trips += 1
            if now.mono_s - self._closed_at_s > OPEN_S_MAX:
                self._backoff = 0
            self._opened_wall_ms = now.wall_ms
        self._to(State.OPEN)
        self.reason = reason
        jitter = self._rng.uniform(0.5, 1.5)
        open_s = min(OPEN_S_MAX, OPEN_S_BASE * 2.0**self._backoff * jitter)
        self._backoff = min(self._backoff + 1, 7)
        self._open_until_s = now.mono_s + open_s
        self._probe_at_s = now.mono_s + min(open_s, PROBE_INTERVAL_S_MAX * jitter)
        self._probes_ok = 0

    def force(self, state: State, now: Now) -> None:
        """An operator's word: FORCED_OPEN, DISABLED, or CLOSED to give control back."""
        assert state in (State.FORCED_OPEN, State.DISABLED, State.CLOSED), state
        self._to(state)
        self.reason = "" if state is State.CLOSED else "set by an operator"
        self._opened_wall_ms = now.wall_ms if state is State.FORCED_OPEN else 0
        self._forget(now)

    def probe_due(self, now: Now) -> bool:
        """Whether a background probe should be sent now; the next is then due later."""
        if self.state not in (State.OPEN, State.HALF_OPEN) or now.mono_s < self._probe_at_s:
            return False
        if self.state is State.OPEN and now.mono_s >= self._open_until_s:
            self._to(State.HALF_OPEN)
        self._probe_at_s = now.mono_s + (
            PROBE_SPACING_S if self.state is State.HALF_OPEN else PROBE_INTERVAL_S_MAX
        )
        return True

    def reset(self, now: Now) -> None:
        """The peer has begun a new life: what was learned about the old one is void."""
        if self.state is State.OPEN or self.state is State.HALF_OPEN:
            self._close(now)
        self._row = 0

    def report(self, now: Now) -> BreakerState:
        """For statistics."""
        calls, errors, slow = self._counts(now)
        opened = self.state in (State.OPEN, State.HALF_OPEN)
        return BreakerState(
            peer=self.peer,
            state=str(self.state),
            trips=self.trips,
            errors_ratio=errors / calls if calls else 0.0,
            slow_ratio=slow / calls if calls else 0.0,
            calls=calls,
            reason=self.reason,
            opened_wall_ms=0 if self.closed else self._opened_wall_ms,
            probe_in_s=max(0.0, self._probe_at_s - now.mono_s) if opened else 0.0,
            probes_ok=self._probes_ok if opened else 0,
            probes_needed=PROBES_NEEDED if opened else 0,
            latency_ms=self.latency_ms,
        )

    def _record_probe(self, failed: bool, why: str, now: Now) -> None:
        if failed:
            if self.state is State.HALF_OPEN:
                self.open(f"probe failed: {why}; before: {self._first_reason()}", now)
            return
        if self.state is State.OPEN:
            generation = self.generation
            self._to(State.HALF_OPEN)
            self._probes_ok = 0
            assert self.generation > generation
        self._probes_ok += 1
        self._probe_at_s = min(self._probe_at_s, now.mono_s + PROBE_SPACING_S)
        if self._probes_ok >= PROBES_NEEDED:
            self._close(now)

    def _first_reason(self) -> str:
        return self.reason.rpartition("; before: ")[2]

    def _close(self, now: Now) -> None:
        self._to(State.CLOSED)
        self.reason = ""
        self._closed_at_s = now.mono_s
        self._forget(now)

    def _forget(self, now: Now) -> None:
        self._buckets.clear()
        self._row = 0
        self._probes_ok = 0
        self._baseline_next_s = now.mono_s + WINDOW_S

    def _to(self, state: State) -> None:
        self.state = state
        self.generation += 1

    def _bucket(self, now: Now) -> _Bucket:
        second = int(now.mono_s)
        buckets = self._buckets
        if buckets and buckets[-1].second == second:
            return buckets[-1]
        while buckets and buckets[0].second <= second - WINDOW_S:
            buckets.popleft()
        if now.mono_s >= self._baseline_next_s:
            self._learn(now)
        bucket = _Bucket(second)
        buckets.append(bucket)
        return bucket

    def _learn(self, now: Now) -> None:
        calls, errors, _slow = self._counts(now)
        self._baseline_next_s = now.mono_s + WINDOW_S
        if calls >= CALLS_MIN:
            difference = errors / calls - self._baseline
            self._baseline += _BASELINE_WEIGHT * difference
            self._deviation += _BASELINE_WEIGHT * (abs(difference) - self._deviation)

    def _counts(self, now: Now, span_s: int = WINDOW_S) -> tuple[int, int, int]:
        oldest = int(now.mono_s) - span_s
        calls = errors = slow = 0
        for bucket in self._buckets:
            if bucket.second > oldest:
                calls += bucket.calls
                errors += bucket.errors
                slow += bucket.slow
        return calls, errors, slow

    def _verdict(self, now: Now, *, failed: bool) -> str:
        """``failed``: the call that asks for it has. Errors that are over open nothing afterwards."""
        if self._row >= ERRORS_IN_A_ROW:
            return f"{self._row} errors in a row: {self._row_reason}"
        span_s = RECENT_SPAN_S
        calls = errors = slow = 0
        while span_s <= WINDOW_S:
            calls, errors, slow = self._counts(now, span_s)
            if calls >= CALLS_MIN:
                break
            span_s += 1
        if calls < CALLS_MIN:
            return ""
        if slow >= SLOW_SHARE * calls:
            return f"{slow} of {calls} calls slower than {self.slow_call_ms:g} ms in {span_s} s"
        limit = max(ERROR_RATE_MIN, 2 * self._baseline, self._baseline + 3 * self._deviation)
        if failed and wilson_lower_bound(errors, calls) > limit:
            return f"{errors} of {calls} calls failed in {span_s} s: {self._row_reason or 'errors'}"
        return ""
