"""The registry of actions: every id is reachable, no key means two things, keymaps are checked."""

from __future__ import annotations

import pytest
from textual.binding import Binding

from console.actions import ACTIONS, BY_ID, Action, blocked_reason, check_keymap, first_key
from console.screens.deeds import Deeds
from console.screens.help import help_lines
from console.screens.overview import Overview
from console.source import Capability
from tests.console.fakes import ALL


def test_no_key_belongs_to_two_actions() -> None:
    keys = [key for action in ACTIONS for key in action.keys.split(",")]
    assert len(keys) == len(set(keys))
    assert len(BY_ID) == len(ACTIONS)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.action_id)
def test_every_action_is_done_bound_and_explained(action: Action) -> None:
    assert hasattr(Deeds, action.method.partition("(")[0])
    bindings = [entry for entry in Overview.BINDINGS if isinstance(entry, Binding)]
    assert any(binding.id == action.action_id for binding in bindings)
    assert any(action.help in line for line in help_lines({}, ALL, read_only=False, width=150))


@pytest.mark.parametrize("width", [53, 72, 150])
def test_help_is_no_wider_than_its_sheet(width: int) -> None:
    lines = help_lines({"fault.heal": "n"}, Capability.LOAD, read_only=False, width=width)
    assert max(map(len, lines)) <= width
    words = " ".join(" ".join(lines).split())
    assert all(" ".join(action.help.split()) in words for action in ACTIONS)
    assert "[this cluster does not offer it]" in words
    assert any(line.split()[:3] == ["n", "Heal", "all"] for line in lines)


def test_harmful_actions_are_marked_as_changes() -> None:
    assert all(action.changes for action in ACTIONS if action.danger)


def test_reasons() -> None:
    heal = BY_ID["fault.heal"]
    assert blocked_reason(heal, ALL, read_only=False) == ""
    assert blocked_reason(heal, ALL, read_only=True) == "read-only console"
    assert "does not offer" in blocked_reason(heal, Capability.NONE, read_only=False)
    assert blocked_reason(BY_ID["app.help"], Capability.NONE, read_only=True) == ""


def test_keymap_names_near_ids_and_clashes() -> None:
    usable, problems = check_keymap(
        {"fault.heel": "n", "node.sort": "S", "fault.heal": "n", "nav.mark": "x", "app.help": " "}
    )
    assert usable == {"fault.heal": "n"}
    assert "did you mean fault.heal" in problems[0]
    assert "unknown action 'node.sort'" in problems[1]
    assert any("'nav.mark': key 'x' belongs to 'fault.menu'" in text for text in problems)
    assert any("no keys for 'app.help'" in text for text in problems)
    assert first_key(BY_ID["fault.heal"], usable) == "n"
    assert first_key(BY_ID["app.help"], {}) == "?"
