"""What load to make: rate, mix, key population; checked, and changeable while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

from console.errors import UsageError

RATE_MAX: Final = 100_000.0
KEYS_MAX: Final = 1_000_000
VALUE_BYTES_MIN: Final = 64
"""Room for the header that proves a value."""
VALUE_BYTES_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """One stream of reads and writes."""

    rate: float = 1000.0
    """Operations a second, offered whatever the answers are."""
    zipf: float = 1.1
    """Exponent of the popularity of keys: 0 = all alike."""
    reads: float = 0.9
    """Share of reads."""
    keys: int = 10_000
    value_bytes: int = 100
    seed: int = 1
    running: bool = True


_RANGES: Final[dict[str, tuple[float, float]]] = {
    "rate": (0.1, RATE_MAX),
    "zipf": (0.0, 5.0),
    "reads": (0.0, 1.0),
    "keys": (1, KEYS_MAX),
    "value_bytes": (VALUE_BYTES_MIN, VALUE_BYTES_MAX),
    "seed": (0, 2**63),
}
_WHOLE: Final = frozenset({"keys", "value_bytes", "seed"})


def problems_of(given: Mapping[str, object]) -> list[str]:
    """Every mistake in settings given by name."""
    known = {entry.name for entry in fields(LoadSettings)}
    problems = []
    for name, value in given.items():
        if name not in known:
            problems.append(f"{name}: unknown load setting (known: {', '.join(sorted(known))})")
        elif name == "running":
            if not isinstance(value, bool):
                problems.append(f"running: expected true or false, got {value!r}")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            problems.append(f"{name}: expected a number, got {value!r}")
        elif name in _WHOLE and not isinstance(value, int):
            problems.append(f"{name}: expected a whole number, got {value!r}")
        else:
            low, high = _RANGES[name]
            if not low <= value <= high:
                problems.append(f"{name}: {value:g} is outside {low:g}..{high:g}")
    return problems


def changed(settings: LoadSettings, given: Mapping[str, object]) -> LoadSettings:
    """The settings with some of them replaced.

    Raises:
        UsageError: naming every mistake.
    """
    problems = problems_of(given)
    if problems:
        raise UsageError("; ".join(problems))
    return replace(settings, **given)  # type: ignore[arg-type]
