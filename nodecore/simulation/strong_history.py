"""Judges histories of strong keys: each key must have behaved as one register, or one counter.

A history of one key is searched by WGL with a budget of steps; one that only reads and writes unique
values, and is too long for that, is judged by zones. A search that spends its budget finds nothing out:
it is counted as inconclusive, never as right. Unknown outcomes may take effect at any later time.

Operations are ``read``, ``write`` (value None: delete), ``cas`` (set ``value`` if the key holds
``expected``; ``swapped`` says whether it did) and ``incr`` (by one; ``value`` is the number returned).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from nodecore.simulation.history import Operation, Result
from nodecore.simulation.linearizability import (
    Access,
    Call,
    Register,
    Verdict,
    cas_of,
    check,
    check_zones,
    read_of,
    write_of,
)

STEPS_MAX: Final = 300_000
"""Of one search: about half a second."""
ZONES_FROM: Final = 400
"""Histories of at least so many reads and writes are judged by zones."""
VIOLATIONS_SHOWN_MAX: Final = 10


@dataclass(slots=True)
class Judgement:
    """Of all keys of a run."""

    violations: list[str] = field(default_factory=list)
    judged: int = 0
    inconclusive: int = 0


def increment_of(result: bytes | None) -> Callable[[Register], Register | None]:
    """INCR that returned ``result``; None: its outcome is unknown."""

    def apply(state: Register) -> Register | None:
        held = state[0] or b"0"
        if not held.isdigit():
            return None if result is not None else state
        raised = b"%d" % (int(held) + 1)
        return (raised,) if result is None or raised == result else None

    return apply


def judge_strong(keys: dict[bytes, list[Operation]], steps_max: int = STEPS_MAX) -> Judgement:
    """Judge the operations of each key, in order of their beginning."""
    found = Judgement()
    for key, operations in keys.items():
        verdict = judge_key(operations, steps_max)
        found.judged += 1
        if verdict is Verdict.UNKNOWN:
            found.inconclusive += 1
        elif verdict is Verdict.VIOLATION:
            found.violations.append(
                f"{key.decode()}: {len(operations)} operations are not linearizable"
            )
    del found.violations[VIOLATIONS_SHOWN_MAX:]
    return found


def judge_key(operations: list[Operation], steps_max: int = STEPS_MAX) -> Verdict:
    """Whether the operations of one key could have happened one at a time."""
    accesses = _as_accesses(operations) if len(operations) >= ZONES_FROM else None
    if accesses is not None:
        return check_zones(accesses)
    return check(list(_calls(operations)), (None,), steps_max)


def _calls(operations: Iterable[Operation]) -> Iterable[Call[Register]]:
    for operation in operations:
        if operation.result is Result.FAIL:
            continue
        known = operation.result is Result.OK
        end_s = operation.end_s if known else math.inf
        match operation.kind:
            case "read":
                if known:
                    yield Call(operation.begin_s, end_s, read_of(operation.value))
            case "write":
                yield Call(operation.begin_s, end_s, write_of(operation.value))
            case "cas":
                swapped = operation.swapped if known else None
                apply = cas_of(operation.expected, operation.value, swapped)
                yield Call(operation.begin_s, end_s, apply)
            case "incr":
                number = operation.value if known else None
                yield Call(operation.begin_s, end_s, increment_of(number))
            case kind:
                raise ValueError(f"no model of {kind!r}")


def _as_accesses(operations: list[Operation]) -> list[Access] | None:
    """The history as reads and unique writes; None when it is not made of those."""
    accesses: list[Access] = []
    written: dict[bytes, None] = {}
    for operation in operations:
        if operation.result is Result.FAIL:
            continue
        known = operation.result is Result.OK
        if operation.kind == "write":
            if operation.value is None or operation.value in written:
                return None
            written[operation.value] = None
        elif operation.kind != "read":
            return None
        elif not known:
            continue
        end_s = operation.end_s if known else math.inf
        is_write = operation.kind == "write"
        accesses.append(Access(operation.begin_s, end_s, operation.value, is_write))
    return accesses
