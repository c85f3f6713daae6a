"""Whether a history of one key could have happened one operation at a time.

Two judges. :func:`check` searches (Wing and Gong, with Lowe's memory of visited configurations) and
takes any sequential model; its time is exponential in the worst case, so it has a budget of steps
and may answer that it does not know. :func:`check_zones` (Gibbons and Korach) takes reads and
writes of unique values only and sorts; it suits histories of any length.

Linearizability is local: judge each key by itself. An operation whose outcome is unknown has
``end_s`` infinite: it may take effect at any later time, or never.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final, Generic, TypeAlias, TypeVar

State = TypeVar("State", bound=Hashable)

STEPS_MAX: Final = 5_000_000
"""Some seconds; beyond it a history is called inconclusive."""


class Verdict(Enum):
    """What a judge says."""

    LINEARIZABLE = "linearizable"
    VIOLATION = "violation"
    UNKNOWN = "unknown"
    """The budget ran out."""


@dataclass(frozen=True, slots=True)
class Call(Generic[State]):
    """One operation: when it began and ended, and what it does to a state.

    ``apply`` gives the next state, or None when the observed result can't come from this state.
    """

    begin_s: float
    end_s: float
    apply: Callable[[State], State | None]


Register: TypeAlias = tuple[bytes | None]
"""The value of a register, boxed so that the state is never None."""


def read_of(value: bytes | None) -> Callable[[Register], Register | None]:
    """A read that returned ``value``."""
    return lambda state: state if state[0] == value else None


def write_of(value: bytes | None) -> Callable[[Register], Register | None]:
    """A write (None: a delete)."""
    return lambda _state: (value,)


def cas_of(
    expected: bytes | None, value: bytes | None, swapped: bool | None
) -> Callable[[Register], Register | None]:
    """A compare-and-set; ``swapped`` None: its outcome is unknown."""

    def apply(state: Register) -> Register | None:
        matches = state[0] == expected
        if swapped is not None and matches is not swapped:
            return None
        return (value,) if matches else state

    return apply


class _Moment:
    """The call or the return of an operation in a doubly linked list, in order of time."""

    __slots__ = ("match", "next", "number", "previous")

    def __init__(self, number: int, match: _Moment | None) -> None:
        self.number = number
        self.match = match
        """Of a call: its return; None marks a return."""
        self.previous: _Moment | None = None
        self.next: _Moment | None = None


def _moments(calls: Sequence[Call[State]]) -> _Moment:
    """The head of the list; a call comes before a return of the same time."""
    times: list[tuple[float, int, int, _Moment]] = []
    for number, call in enumerate(calls):
        end = _Moment(number, None)
        times.append((call.begin_s, 0, number, _Moment(number, end)))
        times.append((call.end_s, 1, number, end))
    times.sort(key=lambda entry: entry[:3])
    head = previous = _Moment(-1, None)
    for *_key, moment in times:
        previous.next, moment.previous = moment, previous
        previous = moment
    return head


def _lift(call: _Moment) -> None:
    """Take a call and its return out of the list."""
    end, before, after = call.match, call.previous, call.next
    # A call is followed by its return at the latest, and preceded by the head.
    assert end is not None
    assert before is not None
    assert after is not None
    before.next, after.previous = after, before
    before_end, after_end = end.previous, end.next
    assert before_end is not None
    before_end.next = after_end
    if after_end is not None:
        after_end.previous = before_end


def _unlift(call: _Moment) -> None:
    """Put them back where they were."""
    end, before, after = call.match, call.previous, call.next
    assert end is not None
    assert before is not None
    assert after is not None
    before_end, after_end = end.previous, end.next
    assert before_end is not None
    before_end.next = end
    if after_end is not None:
        after_end.previous = end
    before.next = after.previous = call


def check(calls: Sequence[Call[State]], initial: State, steps_max: int = STEPS_MAX) -> Verdict:
    """Search for an order that explains every result."""
    head = _moments(calls)
    required = sum(1 for call in calls if call.end_s < math.inf)
    state, done, done_required = initial, 0, 0
    visited: dict[tuple[int, State], None] = {(0, initial): None}
    chosen: list[tuple[_Moment, State]] = []
    moment = head.next
    for _step in range(steps_max):
        if done_required == required:
            return Verdict.LINEARIZABLE
        if moment is not None and moment.match is not None:
            call = calls[moment.number]
            following = call.apply(state)
            configuration = (done | 1 << moment.number, following)
            if following is not None and configuration not in visited:
                visited[done | 1 << moment.number, following] = None
                chosen.append((moment, state))
                state, done = following, done | 1 << moment.number
                done_required += call.end_s < math.inf
                _lift(moment)
                moment = head.next
            else:
                moment = moment.next
            continue
        # A return that must come first (or the end): what was chosen last was wrong.
        if not chosen:
            return Verdict.VIOLATION
        moment, state = chosen.pop()
        done &= ~(1 << moment.number)
        done_required -= calls[moment.number].end_s < math.inf
        _unlift(moment)
        moment = moment.next
    return Verdict.UNKNOWN


@dataclass(frozen=True, slots=True)
class Access:
    """A read or a write of a register whose written values are unique."""

    begin_s: float
    end_s: float
    value: bytes | None
    """None: the initial value, which nobody writes."""
    is_write: bool


def check_zones(accesses: Sequence[Access]) -> Verdict:
    """Judge reads and writes of unique values; unknown reads must be left out."""
    clusters: dict[bytes | None, list[Access]] = {None: []}
    writes: dict[bytes | None, Access] = {None: Access(-math.inf, -math.inf, None, True)}
    for access in accesses:
        if access.is_write:
            if access.value in writes:
                raise ValueError(f"{access.value!r} is written twice")
            writes[access.value] = access
    for access in accesses:
        if not access.is_write:
            write = writes.get(access.value)
            if write is None or write.begin_s > access.end_s:
                return Verdict.VIOLATION
            clusters.setdefault(access.value, []).append(access)
    forward: list[tuple[float, float]] = []
    backward: list[tuple[float, float]] = []
    for value, write in writes.items():
        reads = clusters.get(value, [])
        if write.end_s == math.inf and not reads:
            continue
        members = [write, *reads]
        finish = min(member.end_s for member in members)
        start = max(member.begin_s for member in members)
        if finish < start:
            forward.append((finish, start))
        else:
            backward.append((start, finish))
    return _judge_zones(forward, backward)


def _judge_zones(
    forward: list[tuple[float, float]], backward: list[tuple[float, float]]
) -> Verdict:
    """No two forward zones overlap, and no backward zone lies inside a forward one."""
    forward.sort()
    for (_low, high), (low_next, _high_next) in pairwise(forward):
        if low_next < high:
            return Verdict.VIOLATION
    backward.sort()
    position = 0
    for low, high in backward:
        while position < len(forward) and forward[position][1] <= low:
            position += 1
        if position < len(forward):
            zone_low, zone_high = forward[position]
            if zone_low < low and high < zone_high:
                return Verdict.VIOLATION
    return Verdict.LINEARIZABLE
