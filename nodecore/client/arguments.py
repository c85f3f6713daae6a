"""Arguments of the client's calls, checked and in the form that messages carry.

Keys and values may be text or bytes. What is out of bounds is refused here, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias, cast

from nodecore import limits
from nodecore.client.errors import Refused
from nodecore.errors import Code
from nodecore.requests import Level

Text: TypeAlias = str | bytes
_LEVELS: Final = {level.name.lower(): level for level in Level}


def as_bytes(text: Text) -> bytes:
    """Text as UTF-8."""
    return text.encode() if isinstance(text, str) else text


def one_key(key: Text) -> bytes:
    """A key; raises Refused when it is too long."""
    encoded = as_bytes(key)
    if len(encoded) > limits.KEY_BYTES_MAX:
        raise Refused(Code.KEY_TOO_LARGE, f"key exceeds {limits.KEY_BYTES_MAX} bytes")
    return encoded


def one_value(value: Text) -> bytes:
    """A value; raises Refused when it is too long."""
    encoded = as_bytes(value)
    if len(encoded) > limits.VALUE_BYTES_MAX:
        raise Refused(Code.VALUE_TOO_LARGE, f"value exceeds {limits.VALUE_BYTES_MAX} bytes")
    return encoded


def many_keys(keys: Iterable[Text]) -> list[bytes]:
    """Many keys at once: what is plain bytes already is only measured."""
    listed = list(keys)
    if {bytes}.issuperset(map(type, listed)):
        plain = cast("list[bytes]", listed)
        if max(map(len, plain), default=0) <= limits.KEY_BYTES_MAX:
            return plain
    return [one_key(key) for key in listed]


def many_values(values: Iterable[Text]) -> list[bytes]:
    """Many values at once."""
    listed = list(values)
    if {bytes}.issuperset(map(type, listed)):
        plain = cast("list[bytes]", listed)
        if max(map(len, plain), default=0) <= limits.VALUE_BYTES_MAX:
            return plain
    return [one_value(value) for value in listed]


def level_of(consistency: str) -> Level:
    """The level of that name; raises ValueError when there is none."""
    level = _LEVELS.get(consistency)
    if level is None:
        raise ValueError(f"consistency must be one of {', '.join(_LEVELS)}, not {consistency!r}")
    return level
