"""The console's preferences: what may be set, where a value came from, and what is wrong with it.

Three places, the first wins: flags that were typed, variables ``RINGDECK_THEME`` and so on, the file
``config.toml``. A mistake in a flag ends the command; one in a file or variable is a warning, and the
next place counts: nobody should be kept from a cluster in trouble by a misspelt colour. Keys are
bound by action id, in ``keymap.toml`` or in a table ``[keymap]`` of the other file. Reads no files.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from console.actions import check_keymap
from console.view_models.scene import GLYPHS, INTERVAL_MAX_S, INTERVAL_MIN_S

TRUE: Final = frozenset({"1", "true", "yes", "on"})
FALSE: Final = frozenset({"0", "false", "no", "off"})
TEXT_LENGTH_MAX: Final = 4096
KEYMAP: Final = "keymap"

Value = str | float | bool


class _BadValueError(ValueError):
    """A value that a setting can't have; the text says what was expected."""


def _text(value: object) -> Value:
    if not isinstance(value, str) or not value or len(value) > TEXT_LENGTH_MAX:
        raise _BadValueError(f"expected a text, got {value!r}")
    return value


def _glyphs(value: object) -> Value:
    if value not in GLYPHS:
        raise _BadValueError(f"expected {', '.join(GLYPHS)}, got {value!r}")
    return str(value)


def _seconds(value: object) -> Value:
    try:
        if isinstance(value, bool):
            raise TypeError
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise _BadValueError(f"expected seconds, got {value!r}") from None
    if not INTERVAL_MIN_S <= seconds <= INTERVAL_MAX_S:
        raise _BadValueError(f"{seconds:g} is outside {INTERVAL_MIN_S:g}..{INTERVAL_MAX_S:g}")
    return seconds


def _switch(value: object) -> Value:
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    if word in TRUE or word in FALSE:
        return word in TRUE
    raise _BadValueError(f"expected true or false, got {value!r}")


class Setting(NamedTuple):
    """One preference."""

    name: str
    default: Value
    read: Callable[[object], Value]
    help: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"RINGDECK_{self.name.upper()}"


SETTINGS: Final = (
    Setting("theme", "ringdeck-dark", _text, "name of the theme"),
    Setting("themes", "", _text, "folder of further themes"),
    Setting("glyphs", "full", _glyphs, f"signs to draw with: {', '.join(GLYPHS)}"),
    Setting("refresh", 1.0, _seconds, "seconds between snapshots"),
    Setting("mouse", True, _switch, "whether the mouse is taken"),
    Setting("shots", ".", _text, "folder of screenshots"),
)
NAMES: Final = tuple(setting.name for setting in SETTINGS)


@dataclass(frozen=True, slots=True)
class Places:
    """Where preferences were found, before they are checked."""

    typed: Mapping[str, object] = field(default_factory=dict)
    """Flags by setting's name; None: not typed."""
    environment: Mapping[str, str] = field(default_factory=dict)
    file: Mapping[str, object] = field(default_factory=dict)
    file_name: str = "config.toml"
    keymap: Mapping[str, object] = field(default_factory=dict)
    keymap_name: str = "keymap.toml"


class Chosen(NamedTuple):
    """A setting's value and where it is from."""

    value: Value
    source: str


@dataclass(frozen=True, slots=True)
class Preferences:
    """What holds."""

    chosen: Mapping[str, Chosen]
    keymap: Mapping[str, str]
    """Action id -> keys, usable ones only."""
    keymap_sources: Mapping[str, str]
    """Action id -> where its keys were bound."""
    problems: tuple[str, ...]
    """Mistakes in files and variables."""

    def text(self, name: str) -> str:
        """A setting as text."""
        return str(self.chosen[name].value)

    @property
    def refresh_s(self) -> float:
        """Seconds between snapshots."""
        return float(self.chosen["refresh"].value)

    @property
    def mouse(self) -> bool:
        """Whether the mouse is taken."""
        return bool(self.chosen["mouse"].value)


class BadFlagError(ValueError):
    """A flag that was typed has a value that its setting can't have."""


def resolve(places: Places) -> Preferences:
    """The preferences that these places give.

    Raises:
        BadFlagError: a typed flag is wrong.
    """
    known = (*NAMES, KEYMAP)
    problems = [
        f"{places.file_name}: {_unknown(name, known)}" for name in places.file if name not in known
    ]
    chosen = {setting.name: _choose(setting, places, problems) for setting in SETTINGS}
    keys, sources = _keys(places, problems)
    usable, wrong = check_keymap(keys)
    problems.extend(f"{_place_of(problem, sources, places)}: {problem}" for problem in wrong)
    used = {action_id: sources[action_id] for action_id in usable}
    return Preferences(chosen, usable, used, tuple(problems))


def _choose(setting: Setting, places: Places, problems: list[str]) -> Chosen:
    typed = places.typed.get(setting.name)
    if typed is not None:
        try:
            return Chosen(setting.read(typed), "flag")
        except _BadValueError as bad:
            raise BadFlagError(f"--{setting.name}: {bad}") from None
    found = (
        (setting.variable, setting.variable, places.environment),
        (places.file_name, setting.name, places.file),
    )
    for source, key, mapping in found:
        if key not in mapping:
            continue
        try:
            return Chosen(setting.read(mapping[key]), source)
        except _BadValueError as bad:
            place = "" if key == source else f": {key}"
            problems.append(f"{source}{place}: {bad}")
    return Chosen(setting.default, "default")


def _keys(places: Places, problems: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Bindings as text and where each stands; the file of its own wins over the table."""
    table = places.file.get(KEYMAP, {})
    if not isinstance(table, Mapping):
        problems.append(f"{places.file_name}: {KEYMAP}: expected a table")
        table = {}
    keys: dict[str, str] = {}
    sources: dict[str, str] = {}
    for source, mapping in ((places.file_name, table), (places.keymap_name, places.keymap)):
        for action_id, value in _flat(mapping).items():
            words = [value] if isinstance(value, str) else value
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                problems.append(f"{source}: {action_id}: expected keys as text, got {value!r}")
                continue
            keys[action_id] = ",".join(words)
            sources[action_id] = source
    return keys, sources


def _flat(mapping: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """``fault.menu = "x"`` is a table in a table for TOML, and one id here."""
    flat: dict[str, object] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _place_of(problem: str, sources: Mapping[str, str], places: Places) -> str:
    named = (source for action_id, source in sources.items() if repr(action_id) in problem)
    return next(named, places.keymap_name)


def _unknown(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else f" (known: {', '.join(known)})"
    return f"unknown setting {name!r}{hint}"
