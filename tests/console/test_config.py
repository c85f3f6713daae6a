"""Preferences: the first place wins, mistakes are named, nobody is kept out by one."""

from __future__ import annotations

import pytest

from console.config import SETTINGS, BadFlagError, Places, resolve


def test_defaults_hold_where_nothing_is_said() -> None:
    found = resolve(Places())
    assert {name: chosen.value for name, chosen in found.chosen.items()} == {
        setting.name: setting.default for setting in SETTINGS
    }
    assert {chosen.source for chosen in found.chosen.values()} == {"default"}
    assert found.problems == ()


def test_flags_win_over_variables_over_the_file() -> None:
    places = Places(
        typed={"theme": "a", "glyphs": None},
        environment={"RINGDECK_THEME": "b", "RINGDECK_GLYPHS": "ascii"},
        file={"theme": "c", "glyphs": "block", "refresh": 2},
    )
    found = resolve(places)
    assert found.chosen["theme"] == ("a", "flag")
    assert found.chosen["glyphs"] == ("ascii", "RINGDECK_GLYPHS")
    assert found.chosen["refresh"] == (2.0, "config.toml")
    assert found.refresh_s == 2.0


@pytest.mark.parametrize(
    ("name", "value"),
    [("glyphs", "emoji"), ("refresh", 20.0), ("refresh", "soon"), ("mouse", "perhaps")],
)
def test_a_wrong_flag_ends_the_command_and_a_wrong_file_warns(name: str, value: object) -> None:
    with pytest.raises(BadFlagError, match=f"--{name}"):
        resolve(Places(typed={name: value}))
    found = resolve(Places(file={name: value}))
    assert found.chosen[name].source == "default"
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"config.toml: {name}: ")


def test_a_wrong_variable_gives_way_to_the_file() -> None:
    found = resolve(Places(environment={"RINGDECK_MOUSE": "perhaps"}, file={"mouse": False}))
    assert found.mouse is False
    assert "RINGDECK_MOUSE: expected true or false" in found.problems[0]


def test_unknown_settings_are_named_with_the_nearest() -> None:
    found = resolve(Places(file={"thme": "x", "zzzz": 1}))
    assert "unknown setting 'thme'; did you mean theme?" in found.problems[0]
    assert "known: theme" in found.problems[1]


def test_keys_are_bound_by_action_id_in_either_file() -> None:
    places = Places(
        file={"keymap": {"node": {"add": "n"}, "view.zoom": ["Z", "f4"]}},
        keymap={"node.add": "N"},
    )
    found = resolve(places)
    assert found.keymap == {"node.add": "N", "view.zoom": "Z,f4"}
    assert found.keymap_sources == {"node.add": "keymap.toml", "view.zoom": "config.toml"}


def test_two_actions_may_trade_keys() -> None:
    found = resolve(Places(keymap={"node.add": "x", "fault.menu": "a"}))
    assert found.keymap == {"node.add": "x", "fault.menu": "a"}
    assert found.problems == ()


def test_a_key_of_two_actions_stays_with_the_first() -> None:
    found = resolve(Places(keymap={"node.add": "B", "view.zoom": "B", "fault.mnu": "b"}))
    assert found.keymap == {"node.add": "B"}
    assert any("unknown action 'fault.mnu'; did you mean fault.menu" in p for p in found.problems)
    assert any("'view.zoom': key 'B' belongs to 'node.add'" in p for p in found.problems)


def test_losing_a_key_can_cost_another_its_own() -> None:
    # z goes to node.add only if view.zoom gives it up, and view.zoom can't have the taken x.
    found = resolve(Places(keymap={"node.add": "z", "view.zoom": "x"}))
    assert found.keymap == {}
    assert len(found.problems) == 2


@pytest.mark.parametrize("bad", [{"keymap": 5}, {"keymap": {"node.add": 5}}])
def test_a_keymap_of_the_wrong_shape_is_a_problem(bad: dict[str, object]) -> None:
    found = resolve(Places(file=bad))
    assert found.keymap == {}
    assert len(found.problems) == 1
