"""From plain mappings to :class:`NodeConfig`: merging sources, checking shapes, naming every mistake.

Sources are merged weakest first (defaults, TOML, environment, typed flags) as plain mappings and
parsed once. Text is accepted wherever a number or a switch is expected, because environment
variables and flags are text. :func:`parse` reports all problems at once, with the nearest known
name for an unknown key. What values may mean together is in :mod:`nodecore.config_rules`; no file
is read here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Final

from nodecore.config import Addresses, NodeConfig
from nodecore.config_rules import problems_of
from nodecore.errors import InvalidConfig

ENVIRONMENT_PREFIX: Final = "RINGDECK_"

RESERVED_ENVIRONMENT: Final = frozenset(
    [
        "RINGDECK_HOME",
        "RINGDECK_NAME",
        "RINGDECK_PORT_BASE",
        "RINGDECK_READY_FILE",
        "RINGDECK_NO_EXTENSION",
        "RINGDECK_REQUIRE_EXTERNAL",
    ]
)
"""Variables with this prefix that are not settings of a node."""

DOORS: Final = ("native", "resp", "http")

_UNITS: Final = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_UNITS_SHORT: Final = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "k": 1 << 10, "m": 1 << 20}
_SIZE: Final = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*$")
_TRUE: Final = frozenset(["1", "true", "yes", "on"])
_FALSE: Final = frozenset(["0", "false", "no", "off", ""])


class _ShapeError(ValueError):
    """A value of the wrong shape; the message says what was expected."""


def merge(*sources: Mapping[str, object]) -> dict[str, object]:
    """One mapping out of several, later ones winning, sub-tables merged key by key."""
    merged: dict[str, object] = {}
    for source in sources:
        for key, value in source.items():
            known = merged.get(key)
            if isinstance(known, Mapping) and isinstance(value, Mapping):
                merged[key] = merge(known, value)
            else:
                merged[key] = dict(value) if isinstance(value, Mapping) else value
    return merged


def from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    """The settings among environment variables: ``RINGDECK_REPLICAS``, ``RINGDECK_BIND_RESP``.

    Raises:
        InvalidConfig: a variable looks like a misspelt setting. Other variables with the prefix
            are left alone: they belong to other programs of the product.
    """
    known = _environment_names()
    found: dict[str, object] = {}
    problems: list[str] = []
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in RESERVED_ENVIRONMENT:
            continue
        place = known.get(name)
        if place is None:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            if near:
                problems.append(f"environment variable {name}: did you mean {near[0]}?")
            continue
        _put(found, place, environment[name])
    if problems:
        raise InvalidConfig(problems)
    return found


def from_assignments(assignments: list[str]) -> dict[str, object]:
    """Typed flags of the form ``key=value`` or ``bind.resp=value``.

    Raises:
        InvalidConfig: an entry has no ``=`` or an empty key.
    """
    found: dict[str, object] = {}
    problems: list[str] = []
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            problems.append(f"{assignment!r}: expected KEY=VALUE")
            continue
        _put(found, tuple(key.strip().split(".", 1)), value)
    if problems:
        raise InvalidConfig(problems)
    return found


def parse(mapping: Mapping[str, object]) -> NodeConfig:
    """The configuration that a merged mapping describes.

    A node that is told of no other (neither ``bootstrap`` nor ``join``) begins a cluster of its own.

    Raises:
        InvalidConfig: with every problem.
    """
    known = list(_READERS)
    problems = [unknown_key(key, known) for key in mapping if key not in _READERS]
    values: dict[str, object] = {}
    unread = {name: True for name in _REQUIRED if name not in mapping}
    problems += [f"{name}: required" for name in unread]
    for key, reader in _READERS.items():
        if key not in mapping:
            continue
        try:
            values[key] = reader(key, mapping[key])
        except _ShapeError as bad:
            problems.append(str(bad))
            unread[key] = True
    # Rules that touch a setting which can't be read say nothing: its value is not known.
    config = NodeConfig(**{"node_id": "unnamed", **values})  # type: ignore[arg-type]
    problems += [text for text in problems_of(config) if not any(name in text for name in unread)]
    if problems:
        raise InvalidConfig(problems)
    return _begin_alone(config)


def unknown_key(key: str, known: list[str], prefix: str = "") -> str:
    """The sentence for a key that nobody knows, with the nearest name that somebody does."""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    hint = f", did you mean {prefix + near[0]!r}?" if near else ""
    return f"{prefix}{key}: unknown setting{hint}"


def to_plain(config: NodeConfig) -> dict[str, object]:
    """The mapping that :func:`parse` turns back into ``config``; settings at their default left out."""
    plain: dict[str, object] = {}
    for entry in fields(config):
        value = getattr(config, entry.name)
        default = entry.default_factory() if entry.default_factory is not MISSING else entry.default
        if value == default:
            continue
        if isinstance(value, Addresses):
            value = _addresses_plain(value)
        elif entry.name == "bootstrap":
            value = [{"id": name, **_addresses_plain(where)} for name, where in value]
        elif isinstance(value, tuple):
            value = list(value)
        plain[entry.name] = value
    return plain


def _addresses_plain(addresses: Addresses) -> dict[str, str]:
    return {door: str(getattr(addresses, door)) for door in DOORS}


def _begin_alone(config: NodeConfig) -> NodeConfig:
    if config.bootstrap or config.join:
        return config
    values = {entry.name: getattr(config, entry.name) for entry in fields(config)}
    values["bootstrap"] = ((config.node_id, config.advertise or config.bind),)
    values["cluster_id"] = config.cluster_id or f"alone-{config.node_id}"
    return NodeConfig(**values)


def _put(target: dict[str, object], place: tuple[str, ...], value: str) -> None:
    if len(place) == 1:
        target[place[0]] = value
        return
    table = target.setdefault(place[0], {})
    if isinstance(table, dict):
        table[place[1]] = value


def _environment_names() -> dict[str, tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = {}
    for key in _READERS:
        if key in {"bind", "advertise"}:
            for door in DOORS:
                names[f"{ENVIRONMENT_PREFIX}{key.upper()}_{door.upper()}"] = (key, door)
        elif key not in {"bootstrap", "extra"}:
            names[f"{ENVIRONMENT_PREFIX}{key.upper()}"] = (key,)
    return names


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise _ShapeError(f"{key}: expected text, got {value!r}")
    return value


def _integer(key: str, value: object) -> int:
    if isinstance(value, str):
        try:
            return int(value, 10)
        except ValueError:
            raise _ShapeError(f"{key}: expected a whole number, got {value!r}") from None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _ShapeError(f"{key}: expected a whole number, got {value!r}")
    return value


def _number(key: str, value: object) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise _ShapeError(f"{key}: expected a number, got {value!r}") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _ShapeError(f"{key}: expected a number, got {value!r}")
    return float(value)


def _switch(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise _ShapeError(f"{key}: expected true or false, got {value!r}")


def _bytes(key: str, value: object) -> int:
    if not isinstance(value, str):
        return _integer(key, value)
    match = _SIZE.match(value)
    units = {**_UNITS, **_UNITS_SHORT}
    if match is None or match[2].lower() not in units:
        raise _ShapeError(f"{key}: expected a number of bytes such as 256MiB, got {value!r}")
    return int(float(match[1]) * units[match[2].lower()])


def parse_size(name: str, text: str) -> int:
    """A number of bytes such as ``1000``, ``64k`` or ``256MiB``.

    Raises:
        InvalidConfig: it is something else; the problem begins with ``name``.
    """
    try:
        return _bytes(name, text)
    except _ShapeError as error:
        raise InvalidConfig([str(error)]) from None


def _texts(key: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if not isinstance(value, list | tuple):
        raise _ShapeError(f"{key}: expected a list of text, got {value!r}")
    return tuple(_text(f"{key}[{index}]", entry) for index, entry in enumerate(value))


def _addresses(key: str, value: object, *, ignore: frozenset[str] = frozenset()) -> Addresses:
    if not isinstance(value, Mapping):
        raise _ShapeError(f"{key}: expected a table of native, resp and http, got {value!r}")
    wrong = [
        unknown_key(str(name), list(DOORS), f"{key}.")
        for name in value
        if name not in DOORS and name not in ignore
    ]
    if wrong:
        raise _ShapeError("; ".join(wrong))
    doors = {str(name): _text(f"{key}.{name}", value[name]) for name in DOORS if name in value}
    return Addresses(**doors)


def _bootstrap(key: str, value: object) -> tuple[tuple[str, Addresses], ...]:
    if not isinstance(value, list | tuple):
        raise _ShapeError(f"{key}: expected a list of tables with id, native, resp and http")
    members = []
    for index, entry in enumerate(value):
        place = f"{key}[{index}]"
        if not isinstance(entry, Mapping) or "id" not in entry:
            raise _ShapeError(f"{place}: expected a table with id, native, resp and http")
        addresses = _addresses(place, entry, ignore=frozenset(["id"]))
        members.append((_text(f"{place}.id", entry["id"]), addresses))
    return tuple(members)


def _pairs(key: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise _ShapeError(f"{key}: expected a table of text, got {value!r}")
    return {str(name): _text(f"{key}.{name}", value[name]) for name in value}


_Reader = Callable[[str, object], object]
_BY_TYPE: Final[dict[str, _Reader]] = {
    "str": _text,
    "int": _integer,
    "float": _number,
    "bool": _switch,
    "Addresses": _addresses,
    "Addresses | None": _addresses,
    "tuple[tuple[str, Addresses], ...]": _bootstrap,
    "tuple[str, ...]": _texts,
    "dict[str, str]": _pairs,
}
_SIZES: Final = ("maxmemory_bytes", "disk_bytes_max", "migration_bytes_per_s")
_READERS: Final[dict[str, _Reader]] = {
    entry.name: _bytes if entry.name in _SIZES else _BY_TYPE[str(entry.type)]
    for entry in fields(NodeConfig)
}
_REQUIRED: Final = ("node_id",)
