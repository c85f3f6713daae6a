"""Preference files: where they are looked for, and that a broken one is a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.errors import UsageError
from console.runtime.config_files import config_folder, read_preferences


def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "ringdeck").mkdir()
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def test_files_of_the_user_are_read(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    folder = config_folder(settings)
    (folder / "config.toml").write_text('theme = "ringdeck-light"\nmouse = false\n')
    (folder / "keymap.toml").write_text('"node.add" = "n"\n')
    found, warnings = read_preferences({}, settings)
    assert found.chosen["theme"] == ("ringdeck-light", str(folder / "config.toml"))
    assert found.mouse is False
    assert found.keymap == {"node.add": "n"}
    assert warnings == []


def test_no_files_are_no_mistake(tmp_path: Path) -> None:
    found, warnings = read_preferences({}, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert warnings == []
    assert found.keymap == {}


@pytest.mark.parametrize("content", [b"theme = ", b"\xff\xfe", b"#" * 70_000])
def test_a_broken_file_is_a_warning(tmp_path: Path, content: bytes) -> None:
    settings = environment(tmp_path)
    (config_folder(settings) / "config.toml").write_bytes(content)
    found, warnings = read_preferences({}, settings)
    assert found.text("theme") == "ringdeck-dark"
    assert len(warnings) == 1
    assert "config.toml" in warnings[0]


def test_a_wrong_flag_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--glyphs"):
        read_preferences({"glyphs": "emoji"}, {"XDG_CONFIG_HOME": str(tmp_path)})


def test_the_folder_follows_the_convention() -> None:
    assert config_folder({"XDG_CONFIG_HOME": "/x"}) == Path("/x/ringdeck")
    assert config_folder({"XDG_CONFIG_HOME": "relative"}) == Path.home() / ".config/ringdeck"
