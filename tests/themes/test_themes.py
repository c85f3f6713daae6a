"""Themes: the shipped ones are good, bad ones are named by file and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from themes import BUILT_IN, load_themes
from themes.colours import contrast, interpolate, is_monotonic, named_ramp, parse_colour
from themes.loader import ThemeProblemError, parse_theme
from themes.variables import HEAT, REQUIRED

GOOD = (BUILT_IN / "dark.toml").read_text()


def test_shipped_themes_are_good() -> None:
    themes, problems = load_themes()
    assert problems == []
    names = {theme.name for theme in themes}
    assert {"ringdeck-dark", "ringdeck-light"} <= names
    for theme in themes:
        assert set(REQUIRED) <= set(theme.variables)
        assert is_monotonic([parse_colour(theme.variables[key]) for key in HEAT])


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('owner-a = "#e69f00"', 'owner-a = "#131313"', "owner-a: contrast"),
        ('owner-a = "#e69f00"', 'owner-a = "orange"', "owner-a: 'orange' is not a colour"),
        ('owner-a = "#e69f00"', "", "variables.owner-a: missing"),
        ('heat-ramp = "inferno"', 'heat-ramp = "jet"', "heat-ramp: unknown ramp 'jet'"),
        ('heat-ramp = "inferno"', 'heat-ramp = "inferno"\nheat = 1', "heat: unknown key"),
        ('name = "ringdeck-dark"', "", "name: missing"),
        ("[variables]", '[variables]\nheat-3 = "#ffffff"', "luminance"),
        ("[variables]", "[variables", "bad.toml"),
    ],
)
def test_a_bad_file_is_a_warning_that_names_the_key(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in GOOD
    (tmp_path / "bad.toml").write_text(GOOD.replace(old, new, 1))
    (tmp_path / "good.toml").write_text(GOOD)
    themes, problems = load_themes(tmp_path)
    assert len(themes) == 1
    assert len(problems) == 1
    assert problems[0].startswith("bad.toml: ")
    assert told in problems[0]


def test_two_files_of_one_name_and_an_empty_folder(tmp_path: Path) -> None:
    assert load_themes(tmp_path)[1] == [f"{tmp_path}: no theme files"]
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "b.toml").write_text(GOOD)
    themes, problems = load_themes(tmp_path)
    assert len(themes) == 1
    assert "taken by another file" in problems[0]


def test_all_problems_are_reported_at_once() -> None:
    document: dict[str, Any] = {"name": "x", "primary": "red", "extra": 1}
    with pytest.raises(ThemeProblemError) as caught:
        parse_theme(document)
    for word in ("extra", "foreground", "owner-a", "primary"):
        assert word in str(caught.value)


def test_colour_arithmetic() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21.0)
    assert parse_colour("#fff") == (255, 255, 255)
    assert interpolate([(0, 0, 0), (10, 20, 30)], 3) == [(0, 0, 0), (5, 10, 15), (10, 20, 30)]
    assert named_ramp("cividis", 8) == named_ramp("cividis", 8, reverse=True)[::-1]
    assert not is_monotonic([(0, 0, 0), (9, 9, 9), (3, 3, 3)])
