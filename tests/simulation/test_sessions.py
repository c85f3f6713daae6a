"""The judgements of swarm runs can fail, and excuse what they must."""

from __future__ import annotations

from nodecore.simulation.history import FOREVER, History, Operation, Result
from nodecore.simulation.nemesis import FlushAttempt
from nodecore.simulation.sessions import Rules, check_sessions
from nodecore.simulation.workload import value_of

KEY = b"key:1"
RULES = Rules(inversion_s=0.0)


def write(
    history: History,
    sequence: int,
    at_s: float,
    *,
    delete: bool = False,
    result: Result = Result.OK,
    strict: bool = True,
    client: str = "w",
) -> Operation:
    value = None if delete else value_of(KEY, sequence)
    operation = Operation(client, "write", KEY, value, at_s, result=result)
    operation.sequence, operation.strict, operation.connection = sequence, strict, 1
    operation.end_s = FOREVER if result is Result.INFO else at_s + 0.01
    return history.begin(operation)


def read(history: History, sequence: int, at_s: float, *, strict: bool = True) -> Operation:
    """Of write ``sequence``; 0: a miss."""
    value = value_of(KEY, sequence) if sequence else None
    operation = Operation("r", "read", KEY, value, at_s, result=Result.OK)
    operation.end_s, operation.strict, operation.connection = at_s + 0.01, strict, 1
    return history.begin(operation)


def test_a_binding_read_finds_every_binding_write() -> None:
    history = History()
    write(history, 1, 1.0)
    write(history, 2, 2.0)
    read(history, 2, 3.0)
    assert check_sessions(history, RULES) == []
    read(history, 1, 4.0)
    read(history, 0, 5.0)
    assert len(check_sessions(history, RULES)) == 2


def test_a_default_read_may_lag_until_all_is_settled() -> None:
    history = History()
    write(history, 1, 1.0)
    write(history, 2, 2.0)
    read(history, 1, 3.0, strict=False)
    assert check_sessions(history, RULES) == []
    assert len(check_sessions(history, Rules(inversion_s=0.0, settled_s=2.5))) == 1


def test_what_was_said_to_have_failed_may_not_be_seen() -> None:
    history = History()
    write(history, 1, 1.0, result=Result.FAIL)
    read(history, 1, 3.0, strict=False)
    assert "said to have failed" in check_sessions(history, RULES)[0]


def test_an_unknown_write_may_come_about_late() -> None:
    history = History()
    write(history, 1, 1.0, result=Result.INFO)
    write(history, 2, 2.0)
    read(history, 1, 3.0)
    assert check_sessions(history, RULES) == []


def test_a_late_delete_explains_a_miss() -> None:
    history = History()
    write(history, 1, 1.0, delete=True, result=Result.INFO)
    write(history, 2, 2.0)
    read(history, 0, 3.0)
    assert check_sessions(history, RULES) == []


def test_clocks_may_turn_close_writes_of_two_connections_around() -> None:
    history = History()
    write(history, 1, 1.0, client="a")
    write(history, 2, 1.1, client="b")
    read(history, 1, 3.0)
    assert check_sessions(history, Rules(inversion_s=0.5)) == []
    assert len(check_sessions(history, Rules(inversion_s=0.05))) == 1


def test_what_a_node_with_a_jumped_clock_acknowledged_alone_may_stand_above_later_writes() -> None:
    for alone in (True, False):
        history = History()
        write(history, 1, 1.0, delete=True, strict=not alone)
        write(history, 2, 2.0)
        read(history, 0, 3.0)
        found = check_sessions(history, Rules(inversion_s=0.1, ahead_s=2.0))
        assert bool(found) is not alone


def test_the_writes_of_one_connection_stay_in_order() -> None:
    history = History()
    write(history, 1, 1.0)
    write(history, 2, 1.1)
    read(history, 1, 3.0)
    assert len(check_sessions(history, Rules(inversion_s=0.5))) == 1
    assert check_sessions(history, Rules(inversion_s=0.5, ordered=False)) == []


def test_a_connection_reads_its_own_writes_while_nothing_has_changed() -> None:
    history = History()
    write(history, 1, 1.0, strict=False, client="r").conditions_begin = (1, 7)
    write(history, 2, 2.0, strict=False, client="r").conditions_begin = (1, 7)
    seen = read(history, 1, 3.0, strict=False)
    seen.conditions_end = (1, 8)
    assert check_sessions(history, RULES) == []
    seen.conditions_end = (1, 7)
    assert "write 1, but write 2" in check_sessions(history, RULES)[0]


def test_values_from_nowhere_and_from_the_future_are_found() -> None:
    history = History()
    write(history, 1, 5.0)
    read(history, 1, 1.0, strict=False)
    read(history, 9, 6.0, strict=False)
    found = check_sessions(history, RULES)
    assert "had not begun" in found[0]
    assert "was never written" in found[1]


def test_a_flush_takes_what_was_and_keeps_it_away() -> None:
    history = History()
    write(history, 1, 1.0)
    read(history, 0, 3.0)
    flushed = Rules(inversion_s=0.0, flushes=[FlushAttempt(2.0, 2.1)])
    assert check_sessions(history, flushed) == []
    assert len(check_sessions(history, RULES)) == 1
    read(history, 1, 4.0)
    assert check_sessions(history, flushed) == [], "owners that are cut off can't know"
    settled = Rules(inversion_s=0.0, flushes=flushed.flushes, settled_s=3.5)
    assert "was flushed" in check_sessions(history, settled)[0]


def test_what_a_failed_owner_alone_may_hold_binds_only_once_it_is_back() -> None:
    history = History()
    write(history, 1, 1.0)
    write(history, 2, 2.0)
    read(history, 1, 4.0)
    assert len(check_sessions(history, RULES)) == 1
    lapsed = Rules(inversion_s=0.0, lapses=[3.0])
    assert check_sessions(history, lapsed) == []
    assert len(check_sessions(history, Rules(inversion_s=0.0, lapses=[1.5]))) == 1
    assert len(check_sessions(history, Rules(inversion_s=0.0, lapses=[3.0], settled_s=3.5))) == 1


def test_a_write_after_a_flush_binds_again() -> None:
    history = History()
    write(history, 1, 3.0)
    read(history, 0, 4.0)
    assert len(check_sessions(history, Rules(0.0, flushes=[FlushAttempt(2.0, 2.1)]))) == 1
    assert check_sessions(history, Rules(0.0, flushes=[FlushAttempt(2.0)])) == []
