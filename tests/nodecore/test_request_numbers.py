"""Numbers of requests: all of a range, none twice at a time, and others after a restart."""

from __future__ import annotations

from random import Random

from nodecore.request_numbers import RequestNumbers


def test_numbers_go_round_and_leave_out_what_is_taken() -> None:
    numbers = RequestNumbers(3, 4, Random(1))
    assert sorted(numbers.take({}) for _ in range(4)) == [3, 4, 5, 6]
    taken = {3: None, 5: None}
    assert {numbers.take(taken) for _ in range(8)} == {4, 6}


def test_lives_begin_at_different_numbers() -> None:
    firsts = {RequestNumbers(1, 2**30 - 1, Random(seed)).take({}) for seed in range(100)}
    assert len(firsts) == 100
    assert min(abs(one - other) for one in firsts for other in firsts - {one}) > 1_000
