"""Read-modify-write functions against the words and figures of Redis."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecore.errors import Code
from nodecore.ids import Now, Version
from nodecore.limits import VALUE_BYTES_MAX
from nodecore.replication.changes import (
    INTEGER_MAX,
    INTEGER_MIN,
    Arguments,
    Changed,
    Current,
    run_change,
)
from nodecore.requests import Change, Failed
from nodecore.table.interface import Kind

NOW = Now(10.0, 1_000_000)
VERSION = Version(5 << 16, 9)


def live(value: bytes, expires_ms: int = 0, kind: int = Kind.STRING) -> Current:
    return Current(value, VERSION, expires_ms, kind)


def changed(change: Change, current: Current | None, *arguments: bytes | int) -> Changed:
    result = run_change(change, current, arguments, NOW)
    assert isinstance(result, Changed), result
    return result


def code(change: Change, current: Current | None, *arguments: bytes | int) -> Code:
    result = run_change(change, current, arguments, NOW)
    assert isinstance(result, Failed), result
    return result.code


@pytest.mark.parametrize(
    ("condition", "current", "writes"),
    [
        (0, None, True),
        (0, b"x", True),
        (1, None, True),
        (1, b"x", False),
        (2, None, False),
        (2, b"x", True),
    ],
)
def test_set_obeys_its_condition(condition: int, current: bytes | None, writes: bool) -> None:
    found = None if current is None else live(current)
    result = changed(Change.SET, found, b"new", 0, condition, 1)
    assert (result.stored is not None) == writes
    assert result.applied.changed == writes
    assert result.applied.previous == current


def test_set_keeps_or_clears_the_expiry() -> None:
    kept = changed(Change.SET, live(b"x", 2_000_000), b"y", -1, 0, 0)
    assert kept.stored is not None
    assert kept.stored.expires_ms == 2_000_000
    cleared = changed(Change.SET, live(b"x", 2_000_000), b"y", 0, 0, 0)
    assert cleared.stored is not None
    assert cleared.stored.expires_ms == 0


@pytest.mark.parametrize(
    "stored",
    [b"", b" 1", b"1 ", b"+1", b"01", b"-0", b"1.0", b"abc", b"9223372036854775808", b"1\n"],
)
def test_only_canonical_integers_are_incremented(stored: bytes) -> None:
    assert code(Change.INCREMENT, live(stored), 1) is Code.NOT_AN_INTEGER


@given(st.integers(INTEGER_MIN, INTEGER_MAX), st.integers(INTEGER_MIN, INTEGER_MAX))
def test_increment_adds_or_says_that_it_would_overflow(base: int, delta: int) -> None:
    result = run_change(Change.INCREMENT, live(b"%d" % base, 77), (delta,), NOW)
    if INTEGER_MIN <= base + delta <= INTEGER_MAX:
        assert isinstance(result, Changed)
        assert result.applied.number == base + delta
        assert result.stored is not None
        assert (result.stored.value, result.stored.expires_ms) == (b"%d" % (base + delta), 77)
    else:
        assert isinstance(result, Failed)
        assert result.code is Code.OVERFLOW


@pytest.mark.parametrize(
    ("base", "delta", "total"),
    [
        (b"10.50", b"0.1", b"10.6"),
        (b"5.0e3", b"2.0e2", b"5200"),
        (None, b"-1.5", b"-1.5"),
        (b"0.1", b"0.2", b"0.3"),
        (b"3", b"-3", b"0"),
        (b"1e20", b"0", b"100000000000000000000"),
    ],
)
def test_floats_are_written_as_redis_writes_them(
    base: bytes | None, delta: bytes, total: bytes
) -> None:
    result = changed(Change.INCREMENT_FLOAT, None if base is None else live(base), delta)
    assert result.applied.previous == total


@pytest.mark.parametrize("text", [b"", b"nan", b"inf", b"1e9999", b"0x1", b"1 ", b"1" * 300, b"."])
def test_what_is_no_float_is_refused(text: bytes) -> None:
    assert code(Change.INCREMENT_FLOAT, live(b"1"), text) is Code.NOT_A_FLOAT
    assert code(Change.INCREMENT_FLOAT, live(text), b"1") is Code.NOT_A_FLOAT


LATER, SOONER, LATEST = 2_000_000, 1_500_000, 3_000_000


@pytest.mark.parametrize(
    ("current_ms", "wanted_ms", "condition", "number"),
    [
        (0, LATER, 0, 1),
        (0, LATER, 1, 1),
        (LATER, LATEST, 1, 0),
        (0, LATER, 2, 0),
        (LATER, LATEST, 2, 1),
        (LATER, LATEST, 3, 1),
        (LATER, SOONER, 3, 0),
        (0, LATER, 3, 0),
        (LATER, SOONER, 4, 1),
        (0, LATER, 4, 1),
        (LATER, LATEST, 4, 0),
        (0, 0, 0, 0),
        (LATER, 0, 0, 1),
    ],
)
def test_expire_conditions(current_ms: int, wanted_ms: int, condition: int, number: int) -> None:
    result = changed(Change.EXPIRE, live(b"x", current_ms), wanted_ms, condition)
    assert result.applied.number == number
    assert (result.stored is not None) == bool(number)


def test_an_expiry_in_the_past_deletes() -> None:
    result = changed(Change.EXPIRE, live(b"x"), NOW.wall_ms - 1, 0)
    assert result.applied.number == 1
    assert result.stored is not None
    assert result.stored.kind == Kind.TOMBSTONE


@given(st.binary(max_size=40), st.integers(0, 60), st.binary(max_size=20))
def test_set_range_pads_with_zeros(base: bytes, offset: int, patch: bytes) -> None:
    result = changed(Change.SET_RANGE, live(base), offset, patch)
    if not patch:
        assert result.stored is None
        assert result.applied.number == len(base)
        return
    expected = bytearray(base.ljust(offset + len(patch), b"\0"))
    expected[offset : offset + len(patch)] = patch
    assert result.stored is not None
    assert result.stored.value == bytes(expected)
    assert result.applied.number == len(expected)


def test_values_stay_within_the_limit() -> None:
    full = live(b"x" * VALUE_BYTES_MAX)
    assert code(Change.APPEND, full, b"y") is Code.VALUE_TOO_LARGE
    assert code(Change.SET_RANGE, full, VALUE_BYTES_MAX, b"y") is Code.VALUE_TOO_LARGE
    assert code(Change.SET, None, b"x" * (VALUE_BYTES_MAX + 1), 0, 0, 0) is Code.VALUE_TOO_LARGE


def test_compare_and_set_needs_the_version_that_is_there() -> None:
    match = changed(Change.COMPARE_AND_SET, live(b"x"), VERSION.hlc, VERSION.node, b"y", 0)
    assert match.applied.number == 1
    assert match.stored is not None
    stale = changed(Change.COMPARE_AND_SET, live(b"x"), VERSION.hlc - 1, VERSION.node, b"y", 0)
    assert (stale.applied.number, stale.applied.version, stale.stored) == (0, VERSION, None)
    absent = changed(Change.COMPARE_AND_SET, None, 0, 0, b"y", 0)
    assert absent.applied.number == 1


@pytest.mark.parametrize(
    ("change", "arguments"),
    [
        (Change.INCREMENT, (1,)),
        (Change.INCREMENT_FLOAT, (b"1",)),
        (Change.APPEND, (b"x",)),
        (Change.SET_RANGE, (0, b"x")),
        (Change.GET_DELETE, ()),
        (Change.GET_EXPIRE, (0,)),
        (Change.SET, (b"x", 0, 0, 1)),
    ],
)
def test_a_value_of_another_type_is_refused(change: Change, arguments: Arguments) -> None:
    assert code(change, live(b"x", kind=Kind.HASH), *arguments) is Code.WRONG_TYPE


_ARGUMENTS = st.lists(st.one_of(st.integers(-(2**70), 2**70), st.binary(max_size=30)), max_size=5)


@given(st.sampled_from(list(Change)), st.one_of(st.none(), st.binary(max_size=20)), _ARGUMENTS)
def test_any_arguments_end_in_a_result(
    change: Change, value: bytes | None, arguments: list[bytes | int]
) -> None:
    result = run_change(change, None if value is None else live(value), tuple(arguments), NOW)
    assert isinstance(result, Changed | Failed)
