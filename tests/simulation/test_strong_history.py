from __future__ import annotations

import math
from random import Random

from nodecore.simulation.clients import LostConnection, RespError
from nodecore.simulation.history import Operation, Result
from nodecore.simulation.linearizability import Verdict
from nodecore.simulation.strong_history import ZONES_FROM, judge_key, judge_strong
from nodecore.simulation.strong_load import note_reply

KEY = b"strong:r0"


def done(
    kind: str,
    value: bytes | None,
    begin_s: float,
    end_s: float,
    *,
    expected: bytes | None = None,
    swapped: bool | None = None,
) -> Operation:
    operation = Operation("c", kind, KEY, value, begin_s, expected, swapped, end_s, Result.OK)
    if end_s == math.inf:
        operation.result = Result.INFO
    return operation


def test_a_counter_that_counts_is_right() -> None:
    calls = [done("incr", b"1", 0, 1), done("incr", b"2", 0.5, 2), done("read", b"2", 3, 4)]
    assert judge_key(calls) is Verdict.LINEARIZABLE


def test_an_increment_that_counted_twice_is_found() -> None:
    calls = [done("incr", b"1", 0, 1), done("incr", b"3", 2, 3)]
    assert judge_key(calls) is Verdict.VIOLATION


def test_a_lost_increment_is_found() -> None:
    calls = [done("incr", b"1", 0, 1), done("incr", b"1", 2, 3)]
    assert judge_key(calls) is Verdict.VIOLATION


def test_an_unknown_increment_may_count_once() -> None:
    unknown = done("incr", None, 0, math.inf)
    assert judge_key([unknown, done("incr", b"1", 2, 3)]) is Verdict.LINEARIZABLE
    assert judge_key([unknown, done("incr", b"2", 2, 3)]) is Verdict.LINEARIZABLE
    assert judge_key([unknown, done("incr", b"3", 2, 3)]) is Verdict.VIOLATION


def test_two_that_both_found_nothing_there_are_found() -> None:
    calls = [done("cas", b"a", 0, 1, swapped=True), done("cas", b"b", 2, 3, swapped=True)]
    assert judge_key(calls) is Verdict.VIOLATION


def test_a_failed_operation_that_was_seen_is_found() -> None:
    failed = done("write", b"a", 0, 1)
    failed.result = Result.FAIL
    assert judge_key([failed, done("read", b"a", 2, 3)]) is Verdict.VIOLATION


def long_history(*, stale: bool) -> list[Operation]:
    rng, calls, at_s, value = Random(3), [], 0.0, None
    for number in range(ZONES_FROM + 10):
        at_s += 1.0
        if rng.random() < 0.5:
            value = b"%d" % number
            calls.append(done("write", value, at_s, at_s + 0.5))
        else:
            calls.append(done("read", value, at_s, at_s + 0.5))
    if stale:
        calls.append(done("read", None, at_s + 1.0, at_s + 1.5))
    return calls


def test_long_histories_are_judged_by_zones() -> None:
    assert judge_key(long_history(stale=False), steps_max=1) is Verdict.LINEARIZABLE
    assert judge_key(long_history(stale=True), steps_max=1) is Verdict.VIOLATION


def test_a_spent_budget_is_counted_and_is_no_verdict() -> None:
    calls = [done("incr", None, 0, math.inf) for _number in range(12)]
    calls.append(done("read", b"no number", 1, 2))
    found = judge_strong({KEY: calls}, steps_max=50)
    assert (found.judged, found.inconclusive, found.violations) == (1, 1, [])


def test_replies_become_results() -> None:
    swap = done("cas", b"a", 0, math.inf)
    note_reply(swap, None, 1.0)
    assert (swap.result, swap.swapped) == (Result.OK, False)
    count = done("incr", None, 0, math.inf)
    note_reply(count, 7, 1.0)
    assert count.value == b"7"
    doubtful = done("write", b"a", 0, math.inf)
    note_reply(doubtful, RespError("UNKNOWN no answer"), 1.0)
    assert (doubtful.result, doubtful.end_s) == (Result.INFO, math.inf)
    note_reply(doubtful, LostConnection("gone"), 1.0)
    assert doubtful.result is Result.INFO
    refused = done("incr", None, 0, math.inf)
    note_reply(refused, RespError("CLUSTERDOWN no majority"), 1.0)
    assert (refused.result, refused.end_s) == (Result.FAIL, 1.0)
