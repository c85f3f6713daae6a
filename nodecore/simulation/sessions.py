"""What histories of eventual keys must show, whatever happened: judgements that need no quiet times.

* A value that was read was written by somebody, and not later than it was read.
* A *binding* write (acknowledged at a level of at least W copies) is found by every binding read that
  begins later, and by every read once all faults are over: nothing older is answered, no key
  vanishes, no delete comes undone, nothing returns that a FLUSHALL took.
* A connection reads its own acknowledged writes, as long as nothing has changed by which its node
  chooses owners (topology, suspicion, links, breakers).

Each key has one writer (see ``workload``). Versions are ordered by clocks: a write of another node may
stand above a later one by as much as their clocks differ (``inversion_s``). What was sent and never
answered may take effect at any later time. After a FLUSHALL nothing written before it is promised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from nodecore.simulation.history import History, Operation, Result
from nodecore.simulation.workload import sequence_of

VIOLATIONS_SHOWN_MAX: Final = 20


class Span(Protocol):
    """A FLUSHALL: when it was asked for, and when it was acknowledged (never: infinite)."""

    @property
    def begin_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What a run promises."""

    inversion_s: float = 0.1
    """By how much the clocks of two nodes may disagree about which write was later."""
    ahead_s: float = 0.0
    """By how much more a node may date what it alone acknowledges, while nobody can refuse it. A flush
    leaves that, and it stands above what others write meanwhile."""
    ordered: bool = True
    """Whether the writes of one connection get versions in their order, too: not when its node may
    find its clock unsound, and lets others make versions for it."""
    settled_s: float = math.inf
    """From here on all faults are over and all owners agree."""
    flushes: Sequence[Span] = ()
    lapses: Sequence[float] = ()
    """When owners that had lost their memory were filled without one that had failed: what only that one
    holds is found again when it is back, and until then by no quorum."""


def check_sessions(history: History, rules: Rules) -> list[str]:
    """Everything that the module promises, over all keys; lines for a person."""
    found: list[str] = []
    for key, operations in history.by_key().items():
        writes = [op for op in operations if op.kind == "write"]
        by_sequence = {op.sequence: op for op in writes}
        reads = [op for op in operations if op.kind == "read" and op.result is Result.OK]
        for read in reads:
            problem = _judge(key, read, writes, by_sequence, rules)
            if problem:
                found.append(problem)
    return found[:VIOLATIONS_SHOWN_MAX]


def _judge(
    key: bytes,
    read: Operation,
    writes: list[Operation],
    by_sequence: dict[int, Operation],
    rules: Rules,
) -> str:
    where = f"{key.decode()} read by {read.client} at {read.node} at {read.begin_s:.4f}"
    if read.value is None:
        sources = [
            write
            for write in writes
            if write.value is None
            and write.result is not Result.FAIL
            and write.begin_s <= read.end_s
        ]
    else:
        sequence = sequence_of(key, read.value)
        source = None if sequence is None else by_sequence.get(sequence)
        if source is None or source.value != read.value:
            return f"{where}: {read.value[:40]!r} was never written"
        if source.begin_s > read.end_s:
            return f"{where}: write {source.sequence} had not begun"
        if source.result is Result.FAIL:
            return f"{where}: write {source.sequence} was said to have failed ({source.text})"
        # A flush waits for the voters, not for the owners: those that are cut off answer from before,
        # to binding reads as well when there are enough of them.
        told = read.begin_s >= rules.settled_s
        for flush in rules.flushes if told else ():
            # The moment of a flush is a version, too.
            dated_s = source.end_s + rules.inversion_s + (0.0 if source.strict else rules.ahead_s)
            if flush.end_s < read.begin_s and dated_s < flush.begin_s:
                return f"{where}: write {source.sequence} was flushed at {flush.begin_s:.4f}"
        sources = [source]
    own = [write for write in writes if _is_own(write, read)]
    problem = _overruled(sources, own, read, rules)
    if not problem and (read.strict or read.begin_s >= rules.settled_s):
        binding = [
            write
            for write in writes
            if write.strict and write.result is Result.OK and not _lapsed(write, read, rules)
        ]
        problem = _overruled(sources, binding, read, rules)
    return f"{where}: {problem}" if problem else ""


def _lapsed(write: Operation, read: Operation, rules: Rules) -> bool:
    """Whether what the write left may be where nobody can ask."""
    settled = read.begin_s >= rules.settled_s
    return not settled and any(write.begin_s < at_s <= read.end_s for at_s in rules.lapses)


def _is_own(write: Operation, read: Operation) -> bool:
    return (
        write.result is Result.OK
        and (write.client, write.connection) == (read.client, read.connection)
        and write.conditions_begin == read.conditions_end
    )


def _overruled(
    sources: list[Operation], promised: list[Operation], read: Operation, rules: Rules
) -> str:
    """Why none of ``sources`` can be what the read saw, when all ``promised`` writes hold."""
    begun_s = max(
        (flush.begin_s for flush in rules.flushes if flush.begin_s < read.end_s), default=0.0
    )
    open_end = any(flush.end_s == math.inf for flush in rules.flushes if flush.begin_s < read.end_s)
    standing = [
        write
        for write in promised
        # A flush that overlaps, or follows, a write may have taken it.
        if write.end_s < read.begin_s
        and not (rules.flushes and (open_end or write.begin_s < _last_end(rules, begun_s)))
    ]
    if not standing:
        return ""
    for source in sources:
        if not any(_comes_after(write, source, rules) for write in standing):
            return ""
    last = max(standing, key=lambda write: write.sequence)
    seen = "a miss" if read.value is None else f"write {sources[0].sequence}"
    return f"{seen}, but write {last.sequence} was acknowledged at {last.end_s:.4f}"


def _last_end(rules: Rules, begun_s: float) -> float:
    return (
        max(flush.end_s for flush in rules.flushes if flush.begin_s <= begun_s) if begun_s else 0.0
    )


def _comes_after(write: Operation, source: Operation, rules: Rules) -> bool:
    """Whether ``write`` certainly overrules ``source``."""
    if write.sequence <= source.sequence:
        return False
    same = (write.client, write.connection) == (source.client, source.connection)
    apart_s = 0.0 if same and rules.ordered else rules.inversion_s
    return source.end_s + apart_s + (0.0 if source.strict else rules.ahead_s) < write.begin_s
