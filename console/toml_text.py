"""Writes small TOML documents: the standard library reads TOML and does not write it.

Covers what node configurations hold: scalars, arrays of scalars, tables, arrays of tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

_DELETE = "\x7f"


def to_toml(mapping: Mapping[str, object]) -> str:
    """The document for ``mapping``: scalars first, then tables, as TOML demands.

    Raises:
        TypeError: a value has no TOML form (None, bytes, ...).
    """
    scalars: list[str] = []
    tables: list[str] = []
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            tables.append(f"\n[{_key(key)}]\n" + _lines(value))
        elif isinstance(value, list | tuple) and any(isinstance(part, Mapping) for part in value):
            for part in value:
                if not isinstance(part, Mapping):
                    raise TypeError(f"{key}: tables and other values in one array")
                tables.append(f"\n[[{_key(key)}]]\n" + _lines(part))
        else:
            scalars.append(f"{_key(key)} = {_scalar(value)}\n")
    return "".join(scalars) + "".join(tables)


def _lines(table: Mapping[str, object]) -> str:
    return "".join(f"{_key(key)} = {_scalar(value)}\n" for key, value in table.items())


def _key(key: str) -> str:
    bare = key.replace("_", "").replace("-", "")
    return key if bare.isascii() and bare.isalnum() else _text(key)


def _text(value: str) -> str:
    # A JSON string is a TOML basic string, save that TOML wants DEL escaped as well.
    return json.dumps(value, ensure_ascii=False).replace(_DELETE, "\\u007f")


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = repr(value)
        return text if any(mark in text for mark in ".en") else f"{text}.0"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_scalar(part) for part in value) + "]"
    raise TypeError(f"no TOML form for {value!r}")
