"""Numbers and foreign text as short words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.formatting import (
    clip,
    clock,
    duration,
    escape_text,
    milliseconds,
    number,
    percent,
    size,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (7, "7"), (0.4, "0.4"), (412, "412"), (999.7, "1.0k"), (3100, "3.1k"),
     (12_400, "12k"), (1.2e6, "1.2M"), (-5, "-5")],
)  # fmt: skip
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


@given(st.floats(0, 1e17))
def test_numbers_are_short(value: float) -> None:
    assert len(number(value)) <= 5


def test_units() -> None:
    assert (size(41 * 1024 * 1024), size(3 * 1024 + 100), size(None)) == ("41M", "3.1K", "-")
    assert (percent(0.004), percent(0.931, 1), percent(1.0)) == ("0.4%", "93.1%", "100%")
    assert (milliseconds(0.43), milliseconds(41.2), milliseconds(1200)) == ("0.4ms", "41ms", "1.2s")
    assert (duration(3.21), duration(166), duration(11_100)) == ("3.2s", "2m46s", "3h05m")
    assert clock(1_700_000_000_000) == "22:13:20"
    assert clock(1_700_000_000_000, 3600) == "23:13:20"


@given(st.one_of(st.text(), st.binary()), st.integers(1, 80))
def test_escaped_text_is_one_printable_line(text: str | bytes, width: int) -> None:
    shown = escape_text(text, width)
    assert len(shown) <= width + 1
    assert shown.isprintable()


def test_controls_become_visible() -> None:
    assert escape_text("a\x1b\x00\x9b\u202e\n") == "a\\x1b\\x00\\x9b\\u202e\\x0a"
    assert escape_text(b"\xff\xfe") == "\\xff\\xfe"
    assert clip("abcdef", 4) == "abc~"
