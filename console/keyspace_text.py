"""Keyspaces in words: rows of tables, changes, and times to live as people type them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from console.errors import UsageError

_UNITS_MS: Final = {
    "ms": 1, "": 1000, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000,
}  # fmt: skip
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|)")
_NAMES: Final = {"ttl_ms": "ttl", "on_partition": "on partition", "write_through": "write-through"}


def ttl_ms_of(text: str) -> int:
    """Milliseconds of ``30s``, ``1.5h``, ``250ms``; a bare number is seconds, 0 means never.

    Raises:
        UsageError: it is none.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no time: 30s, 5m, 1h, 2d, 250ms, or 0 for none")
    return round(float(found[1]) * _UNITS_MS[found[2]])


def ttl_text(ttl_ms: int) -> str:
    """A default time to live, shortest exact form; ``-`` for none."""
    if ttl_ms <= 0:
        return "-"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if ttl_ms % size == 0:
            return f"{ttl_ms // size}{unit}"
    return f"{ttl_ms}ms"


def keyspace_row(keyspace: Mapping[str, Any]) -> tuple[object, ...]:
    """The cells of one policy, as ``ringdeck keyspace list`` prints them."""
    return (
        keyspace["pattern"],
        keyspace["mode"],
        keyspace["n"],
        keyspace["w"],
        keyspace["r"],
        ttl_text(keyspace["ttl_ms"]),
        keyspace["durability"],
        keyspace["on_partition"],
        "yes" if keyspace["write_through"] else "no",
    )


def plan_lines(planned: Mapping[str, Any]) -> list[str]:
    """What an edit changes and entails, a line each."""
    pattern, before, after = planned["pattern"], planned["before"], planned["after"]
    if before == after:
        return [f"{pattern}: nothing changes"]
    lines: list[str] = []
    if before is None:
        lines.append(f"{pattern}: gets a policy of its own")
    elif after is None:
        lines.append(f"{pattern}: loses its policy, its keys fall to the next shorter pattern")
    for change in planned["changes"]:
        name, past, now = change["setting"], change["from"], change["to"]
        lines.append(f"{_NAMES.get(name, name)}: {_shown(name, past)} -> {_shown(name, now)}")
    return lines + [f"note: {effect}" for effect in planned["effects"]]


def _shown(name: str, value: object) -> str:
    if name == "ttl_ms" and isinstance(value, int):
        return ttl_text(value)
    return str(value).lower() if isinstance(value, bool) else str(value) or "(default)"
