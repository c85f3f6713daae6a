from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

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
from tests.shared_data import shared_data

EMPTY: Register = (None,)


def reg(begin: float, end: float, apply: Callable[[Register], Register | None]) -> Call[Register]:
    return Call(begin, end, apply)


def test_a_read_of_the_last_write_is_linearizable() -> None:
    calls = [reg(0, 1, write_of(b"a")), reg(2, 3, read_of(b"a"))]
    assert check(calls, EMPTY) is Verdict.LINEARIZABLE


def test_a_stale_read_is_a_violation() -> None:
    calls = [reg(0, 1, write_of(b"a")), reg(2, 3, write_of(b"b")), reg(4, 5, read_of(b"a"))]
    assert check(calls, EMPTY) is Verdict.VIOLATION


def test_overlapping_operations_may_take_either_order() -> None:
    calls = [reg(0, 3, write_of(b"a")), reg(1, 4, write_of(b"b")), reg(5, 6, read_of(b"a"))]
    assert check(calls, EMPTY) is Verdict.LINEARIZABLE


def test_an_unknown_write_may_take_effect_late_or_never() -> None:
    unknown = reg(0, math.inf, write_of(b"a"))
    assert check([unknown, reg(5, 6, read_of(b"a"))], EMPTY) is Verdict.LINEARIZABLE
    assert check([unknown, reg(5, 6, read_of(None))], EMPTY) is Verdict.LINEARIZABLE
    seen_and_gone = [unknown, reg(1, 2, read_of(b"a")), reg(5, 6, read_of(None))]
    assert check(seen_and_gone, EMPTY) is Verdict.VIOLATION


def test_two_swaps_from_one_value_are_a_violation() -> None:
    calls = [
        reg(0, 1, write_of(b"a")),
        reg(2, 5, cas_of(b"a", b"b", True)),
        reg(2, 5, cas_of(b"a", b"c", True)),
    ]
    assert check(calls, EMPTY) is Verdict.VIOLATION


def test_a_spent_budget_is_said() -> None:
    calls = [reg(0, 100, write_of(b"%d" % number)) for number in range(12)]
    calls.append(reg(101, 102, read_of(b"none of them")))
    assert check(calls, EMPTY, steps_max=1000) is Verdict.UNKNOWN


def test_zones_refuse_values_that_are_not_unique() -> None:
    with pytest.raises(ValueError, match="written twice"):
        check_zones([Access(0, 1, b"a", True), Access(2, 3, b"a", True)])


def random_history(rng: Random) -> list[Access]:
    """Reads and writes around a register that sometimes lies."""
    accesses: list[Access] = []
    written: list[bytes | None] = [None]
    for number in range(rng.randrange(3, 9)):
        begin = rng.uniform(0, 6)
        end = begin + rng.uniform(0.1, 3)
        if rng.random() < 0.5:
            value = b"%d" % number
            written.append(value)
            if rng.random() < 0.15:
                end = math.inf
            accesses.append(Access(begin, end, value, True))
        else:
            accesses.append(Access(begin, end, rng.choice(written), False))
    return accesses


def test_both_judges_agree_on_random_histories() -> None:
    rng = Random(20)
    verdicts = {Verdict.LINEARIZABLE: 0, Verdict.VIOLATION: 0}
    for _history in range(10_000):
        accesses = random_history(rng)
        calls = [
            reg(a.begin_s, a.end_s, (write_of if a.is_write else read_of)(a.value))
            for a in accesses
        ]
        found = check(calls, EMPTY)
        assert found is check_zones(accesses), accesses
        verdicts[found] += 1
    assert min(verdicts.values()) > 1000, verdicts


LINE = re.compile(r"(\d+)\s+:(invoke|ok|fail|info)\s+:(read|write|cas)\s+(.*)")


def etcd_calls(path: Path) -> Iterator[Call[Register]]:
    """One register; results are matched by process."""
    begun: dict[str, tuple[float, str, str]] = {}
    for moment, line in enumerate(path.read_text().splitlines()):
        found = LINE.search(line)
        if found is None:
            continue
        process, word, kind, rest = found.groups()
        if word == "invoke":
            begun[process] = (moment, kind, rest)
            continue
        begin, kind, asked = begun.pop(process)
        unknown = word == "info" or "timed-out" in rest
        if kind == "read":
            if not unknown and word == "ok":
                yield Call(begin, moment, read_of(register_value(rest)))
        elif kind == "write":
            yield Call(begin, math.inf if unknown else moment, write_of(asked.strip().encode()))
        else:
            expected, value = re.findall(r"\d+", asked)
            swapped = None if unknown else word == "ok"
            apply = cas_of(expected.encode(), value.encode(), swapped)
            yield Call(begin, math.inf if unknown else moment, apply)
    for begin, kind, asked in begun.values():
        if kind == "write":
            yield Call(begin, math.inf, write_of(asked.strip().encode()))
        elif kind == "cas":
            expected, value = re.findall(r"\d+", asked)
            yield Call(begin, math.inf, cas_of(expected.encode(), value.encode(), None))


def register_value(text: str) -> bytes | None:
    return None if text.strip() == "nil" else text.strip().encode()


@pytest.mark.slow
def test_recorded_register_histories_are_judged_as_published() -> None:
    folder = shared_data("linearizability")
    verdicts = json.loads((folder / "verdicts.json").read_text())
    assert len(verdicts) > 100
    wrong = [
        name
        for name, expected in verdicts.items()
        if check(list(etcd_calls(folder / name)), EMPTY)
        is not (Verdict.LINEARIZABLE if expected else Verdict.VIOLATION)
    ]
    assert not wrong


KV = re.compile(r':process (\d+), :type :(\w+), :f :(\w+), :key "(.*?)", :value (?:"(.*)"|nil)')


def get_of(value: str) -> Callable[[str], str | None]:
    return lambda state: state if state == value else None


def put_of(value: str) -> Callable[[str], str | None]:
    return lambda _state: value


def append_of(value: str) -> Callable[[str], str | None]:
    return lambda state: state + value


def kv_calls(path: Path) -> dict[str, list[Call[str]]]:
    """Strings by key: get, put, append."""
    keys: dict[str, list[Call[str]]] = {}
    begun: dict[str, int] = {}
    for moment, line in enumerate(path.read_text().splitlines()):
        found = KV.search(line)
        assert found is not None, line
        process, word, kind, key, value = found.groups()
        if word == "invoke":
            begun[process] = moment
            continue
        make = {"get": get_of, "put": put_of, "append": append_of}[kind]
        keys.setdefault(key, []).append(Call(begun.pop(process), moment, make(value or "")))
    return keys


@pytest.mark.slow
@pytest.mark.parametrize("name", ["c01-ok", "c01-bad", "c10-ok", "c10-bad", "c50-ok", "c50-bad"])
def test_recorded_key_value_histories_are_judged_as_published(name: str) -> None:
    folder = shared_data("linearizability")
    verdict = Verdict.LINEARIZABLE
    # Short histories first: one violation settles it, and long ones may exceed the budget.
    for calls in sorted(kv_calls(folder / f"kv_{name}.txt").values(), key=len):
        verdict = check(calls, "")
        if verdict is not Verdict.LINEARIZABLE:
            break
    assert verdict is (Verdict.LINEARIZABLE if name.endswith("-ok") else Verdict.VIOLATION)
