"""The checkers can fail: histories with known faults are found out."""

from __future__ import annotations

from nodecore.simulation.checkers import check_progress, check_reads
from nodecore.simulation.history import History, Operation, Result
from nodecore.simulation.workload import sequence_of, value_of

KEY = b"key:1"


def write(
    history: History,
    sequence: int,
    at_s: float,
    *,
    delete: bool = False,
    result: Result = Result.OK,
    connection: int = 1,
) -> None:
    value = None if delete else value_of(KEY, sequence)
    operation = Operation("writer", "write", KEY, value, at_s, result=result)
    operation.sequence, operation.connection = sequence, connection
    if result is not Result.INFO:
        operation.end_s = at_s + 0.01
    history.begin(operation)


def read(
    history: History, value: bytes | None, at_s: float, client: str = "reader", flags: int = 0
) -> None:
    operation = Operation(client, "read", KEY, value, at_s, result=Result.OK, flags=flags)
    operation.end_s, operation.connection = at_s + 0.01, 1
    history.begin(operation)


def test_values_name_their_write() -> None:
    assert sequence_of(KEY, value_of(KEY, 12)) == 12
    assert sequence_of(KEY, value_of(b"key:2", 12)) is None
    assert sequence_of(KEY, value_of(KEY, 12)[:-1]) is None
    assert sequence_of(KEY, b"garbage") is None


def test_a_right_history_passes() -> None:
    history = History()
    write(history, 1, 1.0)
    read(history, value_of(KEY, 1), 2.0)
    write(history, 2, 3.0, delete=True)
    read(history, None, 20.0)
    assert check_reads(history) == []


def test_a_lost_write_is_found() -> None:
    history = History()
    write(history, 1, 1.0)
    write(history, 2, 2.0)
    read(history, value_of(KEY, 1), 20.0)
    assert "write 1, but write 2" in check_reads(history)[0]


def test_a_vanished_key_is_found() -> None:
    history = History()
    write(history, 1, 1.0)
    read(history, None, 20.0)
    assert "a miss, but write 1" in check_reads(history)[0]


def test_a_delete_that_comes_undone_is_found() -> None:
    history = History()
    write(history, 1, 1.0)
    write(history, 2, 2.0, delete=True)
    read(history, value_of(KEY, 1), 20.0)
    assert check_reads(history)


def test_a_value_from_nowhere_or_from_the_future_is_found() -> None:
    history = History()
    write(history, 1, 10.0)
    read(history, b"garbage", 2.0)
    read(history, value_of(KEY, 1), 3.0)
    found = check_reads(history)
    assert "never written" in found[0]
    assert "had not begun" in found[1]


def test_others_may_lag_but_the_writer_sees_its_own_write() -> None:
    history = History()
    write(history, 1, 1.0)
    read(history, None, 1.5)
    assert check_reads(history, lag_s=1.0) == []
    read(history, None, 1.5, client="writer")
    assert len(check_reads(history, lag_s=1.0)) == 1
    assert len(check_reads(history, lag_s=1.0, settled_s=1.2)) == 2


def test_unknown_writes_bind_nobody_and_may_be_seen() -> None:
    history = History()
    write(history, 1, 1.0)
    write(history, 2, 2.0, result=Result.INFO)
    read(history, value_of(KEY, 1), 20.0)
    read(history, value_of(KEY, 2), 21.0)
    read(history, value_of(KEY, 1), 22.0)
    assert check_reads(history) == []


def test_what_the_cluster_calls_stale_is_excused() -> None:
    history = History()
    write(history, 1, 1.0)
    write(history, 2, 2.0)
    read(history, value_of(KEY, 1), 20.0, flags=4)
    assert check_reads(history) == []


def test_too_many_failures_are_found() -> None:
    history = History()
    write(history, 1, 1.0)
    write(history, 2, 2.0, result=Result.FAIL)
    assert check_progress(history, share=0.5) == []
    assert "only 1 of 2" in check_progress(history, share=0.9)[0]
