"""The simulated world: virtual time, one queue of events, named randomness, and a digest of it all.

Everything that happens is an event on one heap, run in order of (time, order of scheduling) in one
thread. The same seed gives the same events, payload bytes included, in any process; the digest
proves it. Nothing here knows nodes or networks.

Determinism traps, for everything that runs in this world: never iterate a set of str or bytes
(their order depends on PYTHONHASHSEED; sort, or use a dict); never use hash() or id() for a
decision; never rely on the order of a dict that was filled from a set; take floats from this clock
only; take randomness from :meth:`World.rng` by a name of your own, so that a draw in one place does
not shift another.

Sources: TigerBeetle's VOPR and FoundationDB's simulation, for the idea; no code of theirs.
"""

from __future__ import annotations

import hashlib
import heapq
import random
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, TypeAlias, final

Action: TypeAlias = Callable[[], None]

_MOMENT: Final = struct.Struct(">dI").pack
_LENGTH: Final = struct.Struct(">I").pack

EVENTS_MAX: Final = 50_000_000
"""A run that needs more is looping."""


class EventBudgetSpent(Exception):  # noqa: N818 - the name says what it is
    """The world ran more events than it was allowed to: something loops without advancing time."""


@final
class Event:
    """Handle of something that is going to happen."""

    __slots__ = ("action",)

    def __init__(self, action: Action | None) -> None:
        self.action = action

    def cancel(self) -> None:
        """It does not happen; harmless afterwards."""
        self.action = None


@final
class World:
    """Time, chance and memory of one run.

    Args:
        seed: decides everything.
        trace: called with one line for each noted happening; None: only the digest is kept.
        events_max: bound on the events of the run.
    """

    def __init__(
        self,
        seed: int,
        trace: Callable[[str], None] | None = None,
        events_max: int = EVENTS_MAX,
    ) -> None:
        self.seed = seed
        self.now_s = 0.0
        """Virtual seconds since the beginning of the world."""
        self.events = 0
        self.tell: Callable[[float, str, Sequence[str | float | bytes]], str | None] = _tell
        """Words the lines of the trace; None leaves one out."""
        self._events_max = events_max
        self._heap: list[tuple[float, int, Event]] = []
        """Tuples: they are compared millions of times, in C."""
        self._sequence = 0
        self._digest = hashlib.blake2b(digest_size=16)
        self._trace = trace

    def rng(self, name: str) -> random.Random:
        """A fresh stream of random numbers that depends on the seed and this name alone."""
        material = hashlib.blake2b(f"{self.seed}:{name}".encode(), digest_size=16).digest()
        return random.Random(int.from_bytes(material, "big"))

    def at(self, at_s: float, action: Action) -> Event:
        """Run ``action`` at a virtual time; one in the past runs next."""
        self._sequence += 1
        event = Event(action)
        if at_s < self.now_s:
            at_s = self.now_s
        heapq.heappush(self._heap, (at_s, self._sequence, event))
        return event

    def after(self, delay_s: float, action: Action) -> Event:
        """Run ``action`` that much later."""
        return self.at(self.now_s + delay_s, action)

    def note(self, kind: str, *parts: str | float | bytes) -> None:
        """Take a happening into the digest (and the trace)."""
        pieces = [_MOMENT(self.now_s, len(parts)), kind.encode()]
        for part in parts:
            if isinstance(part, bytes):
                pieces += _LENGTH(len(part)), part
            else:
                pieces.append(_noted(part))
        self._digest.update(b"".join(pieces))
        if self._trace is not None:
            line = self.tell(self.now_s, kind, parts)
            if line is not None:
                self._trace(line)

    @property
    def digest(self) -> str:
        """Of everything noted so far, in hexadecimal."""
        return self._digest.hexdigest()

    def run_until(self, at_s: float) -> None:
        """Run every event up to this time, and let it be that time.

        Raises:
            EventBudgetSpent: see there.
        """
        while self._step(at_s):
            pass
        self.now_s = max(self.now_s, at_s)

    def run_for(self, duration_s: float) -> None:
        """Run the events of the next ``duration_s`` seconds."""
        self.run_until(self.now_s + duration_s)

    def run_while(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Run as long as ``condition`` holds, at most ``timeout_s``; True when it ceased to hold."""
        until_s = self.now_s + timeout_s
        while condition():
            if not self._step(until_s):
                self.now_s = max(self.now_s, until_s)
                return not condition()
        return True

    def _step(self, until_s: float) -> bool:
        heap = self._heap
        while heap and heap[0][0] <= until_s:
            at_s, _sequence, event = heapq.heappop(heap)
            if event.action is None:
                continue
            self.events += 1
            if self.events > self._events_max:
                raise EventBudgetSpent(f"{self.events} events by {self.now_s:.3f} s")
            self.now_s = at_s
            action, event.action = event.action, None
            action()
            return True
        return False


@lru_cache(maxsize=1024, typed=True)
def _noted(part: str | float) -> bytes:
    """A part as the digest takes it in; most are names of nodes and lanes, time and again."""
    encoded = repr(part).encode()
    return _LENGTH(len(encoded)) + encoded


def _tell(now_s: float, kind: str, parts: Sequence[str | float | bytes]) -> str:
    return f"{now_s:12.6f} {kind:<10} {' '.join(_show(part) for part in parts)}"


def _show(part: str | float | bytes) -> str:
    if isinstance(part, bytes):
        return f"{len(part)}B:{part[:48].hex()}"
    return str(part)
