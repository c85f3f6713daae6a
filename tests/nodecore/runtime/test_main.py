"""The node process before it serves: its configuration, judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nodecore.runtime.__main__ import main

THREE_MISTAKES = """
node_id = "N 1"
vnodez = 3
replicas = "three"
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "n1.toml"
    path.write_text(THREE_MISTAKES)
    return path


def test_three_mistakes_are_told_at_once(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--validate", "--config", str(config)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 3
    assert "vnodez: unknown setting, did you mean 'vnodes'?" in lines
    assert "replicas: expected a whole number, got 'three'" in lines
    assert any(line.startswith("node_id: 'N 1' must be") for line in lines)


def test_json_tells_a_script(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--validate", "--json", "--config", str(config)]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["valid"] is False
    assert len(found["problems"]) == 3
    config.write_text('node_id = "n1"\n')
    assert main(["--validate", "--json", "--config", str(config)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"valid": True, "problems": []}
    assert err == f"{config}: no mistake\n"


def test_a_log_that_can_not_be_written_is_a_mistake(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(f'node_id = "n1"\nlog_file = "{config}/node.log"\n')
    assert main(["--config", str(config)]) == 2
    assert f"log_file {config}/node.log: " in capsys.readouterr().err
