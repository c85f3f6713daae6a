"""Reads themes: one TOML file each, checked, as Textual themes.

A file that can't be used is a problem in words (file and key), never an exception: the console
starts with the themes that are good. Checked: every required variable is there, colours parse, the
heat ramp is monotonic in luminance, and what must be read has a contrast of at least 3 to the
surface.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from textual.theme import Theme

from themes.colours import contrast, hexadecimal, is_monotonic, named_ramp, parse_colour
from themes.variables import HEAT, HEAT_LEVELS, READABLE, REQUIRED

BUILT_IN: Final = Path(__file__).parent
CONTRAST_MIN: Final = 3.0
FILE_BYTES_MAX: Final = 64 * 1024
BASE_KEYS: Final = (
    "primary",
    "secondary",
    "warning",
    "error",
    "success",
    "accent",
    "foreground",
    "background",
    "surface",
    "panel",
)
KNOWN_KEYS: Final = frozenset(
    (*BASE_KEYS, "name", "dark", "heat-ramp", "heat-reverse", "variables")
)


class ThemeProblemError(ValueError):
    """A theme file that cannot be used; the text names the keys."""


def load_themes(folder: Path = BUILT_IN) -> tuple[list[Theme], list[str]]:
    """All usable themes of a folder, by file name, and the problems of the others."""
    themes: list[Theme] = []
    problems: list[str] = []
    try:
        files = sorted(folder.glob("*.toml"))
    except OSError as error:
        return [], [f"{folder}: {error}"]
    if not files:
        problems.append(f"{folder}: no theme files")
    for file in files:
        try:
            theme = _read(file)
        except (ThemeProblemError, tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
            problems.append(f"{file.name}: {error}")
            continue
        if any(other.name == theme.name for other in themes):
            problems.append(f"{file.name}: name: {theme.name!r} is taken by another file")
            continue
        themes.append(theme)
    return themes, problems


def _read(file: Path) -> Theme:
    content = file.read_bytes()
    if len(content) > FILE_BYTES_MAX:
        raise ThemeProblemError(f"larger than {FILE_BYTES_MAX} bytes")
    return parse_theme(tomllib.loads(content.decode()))


def parse_theme(document: Mapping[str, Any]) -> Theme:
    """A theme from the content of its file.

    Raises:
        ThemeProblemError: with every problem found, each beginning with its key.
    """
    problems = [f"{key}: unknown key" for key in document if key not in KNOWN_KEYS]
    name = document.get("name")
    if not isinstance(name, str) or not name:
        problems.append("name: missing")
    base: dict[str, str] = {}
    for key in BASE_KEYS:
        if key in document:
            base[key] = str(document[key])
        elif key in ("primary", "foreground", "background", "surface"):
            problems.append(f"{key}: missing")
    variables = _variables(document, problems)
    _check_colours({**base, **variables}, problems)
    if not problems:
        _check_reading(base["surface"], variables, problems)
    if problems:
        raise ThemeProblemError("; ".join(problems))
    return Theme(
        name=str(name),
        primary=base["primary"],
        secondary=base.get("secondary"),
        warning=base.get("warning"),
        error=base.get("error"),
        success=base.get("success"),
        accent=base.get("accent"),
        foreground=base["foreground"],
        background=base["background"],
        surface=base["surface"],
        panel=base.get("panel"),
        dark=bool(document.get("dark", True)),
        variables=variables,
    )


def _variables(document: Mapping[str, Any], problems: list[str]) -> dict[str, str]:
    given = document.get("variables", {})
    if not isinstance(given, dict):
        problems.append("variables: not a table")
        return {}
    variables = {str(key): str(value) for key, value in given.items()}
    if "heat-ramp" in document:
        try:
            reverse = bool(document.get("heat-reverse", False))
            ramp = named_ramp(str(document["heat-ramp"]), HEAT_LEVELS, reverse=reverse)
        except ValueError as error:
            problems.append(f"heat-ramp: {error}")
        else:
            variables = {
                **dict(zip(HEAT, map(hexadecimal, ramp), strict=True)),
                **variables,
            }
    problems.extend(f"variables.{key}: missing" for key in REQUIRED if key not in variables)
    return variables


def _check_colours(colours: Mapping[str, str], problems: list[str]) -> None:
    for key, value in colours.items():
        try:
            parse_colour(value)
        except ValueError as error:
            problems.append(f"{key}: {error}")


def _check_reading(surface: str, variables: Mapping[str, str], problems: list[str]) -> None:
    if not is_monotonic([parse_colour(variables[key]) for key in HEAT]):
        problems.append("heat-0..heat-7: luminance neither rises nor falls throughout")
    for key in READABLE:
        ratio = contrast(parse_colour(variables[key]), parse_colour(surface))
        if ratio < CONTRAST_MIN:
            problems.append(
                f"{key}: contrast {ratio:.1f} on the surface, at least {CONTRAST_MIN:.0f}"
            )
