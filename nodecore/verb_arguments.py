"""Checked arguments of operators' verbs: each getter returns a value of its type or names the mistake."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

from nodecore.limits import KEY_BYTES_MAX

Arguments: TypeAlias = Mapping[str, object]


class BadArgument(ValueError):  # noqa: N818 - the name says what it is
    """An argument is missing or wrong; the text names it."""


def text_argument(arguments: Arguments, name: str, default: str | None = None) -> str:
    """A text argument; required without a default."""
    value = arguments.get(name, default)
    if not isinstance(value, str) or (default is None and not value):
        raise BadArgument(f"{name} must be a text")
    return value


def number_argument(
    arguments: Arguments, name: str, default: float, low: float, high: float
) -> float:
    """A number within bounds."""
    value = arguments.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadArgument(f"{name} must be a number")
    if not low <= value <= high:
        raise BadArgument(f"{name} must lie between {low:g} and {high:g}, not {value:g}")
    return float(value)


def key_argument(arguments: Arguments) -> bytes:
    """``key`` as bytes or text."""
    value = arguments.get("key")
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, bytes) or len(value) > KEY_BYTES_MAX:
        raise BadArgument(f"key must be bytes or a text of at most {KEY_BYTES_MAX} bytes")
    return value


def table_argument(arguments: Arguments, name: str) -> dict[str, object]:
    """A table by name; empty when it is not given."""
    value = arguments.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise BadArgument(f"{name} must be a table")
    return value
