"""The command line without a cluster: usage, exit codes, what goes to which stream."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from console.cli import run

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGDECK_HOME", str(tmp_path))
    monkeypatch.delenv("RINGDECK_NAME", raising=False)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("ringdeck")


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["cluster", "start", "--nodes", "0"],
        ["cluster", "start", "--name", "../x"],
        ["cluster", "start", "--set", "vnodez=3"],
        ["cluster", "start", "--set", "vnodes"],
        ["scenario", "validate", "no-such-file"],
        ["demo", "run", "no-such-demo"],
        ["cluster", "stop"],
        ["console", "--plain", "--attach", "elsewhere"],
    ],
)
def test_bad_usage_is_2_and_says_why(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["cluster", "status"],
        ["cluster", "add"],
        ["cluster", "remove", "n1"],
        ["chaos", "kill", "n1"],
        ["chaos", "latency", "n1"],
        ["chaos", "heal"],
        ["get", "k"],
        ["logs", "n1"],
    ],
)
def test_no_cluster_is_3(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no cluster 'default'" in captured.err
    assert "hint: ringdeck cluster start" in captured.err


def test_who_names_no_cluster_is_told_which_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("east", "west"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "cluster.json").write_text("{}")
    assert run(["get", "k"]) == 3
    assert "hint: --name chooses one of: east, west; or" in capsys.readouterr().err


def test_unknown_settings_name_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cluster", "start", "--set", "vnodez=3"]) == 2
    assert "did you mean 'vnodes'" in capsys.readouterr().err


def test_plan_prints_a_timeline(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scenario", "plan", "first-look", "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)
    assert steps[0]["what"] == "kill owner:load:1"
    assert steps[-1] == {"when": "at the end", "what": "heal"}


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "list", "--json"]) == 0
    assert "first-look" in [entry["name"] for entry in json.loads(capsys.readouterr().out)]
    assert run(["cluster", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_validate_names_every_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.toml"
    path.write_text('schema = 1\nname = "x"\n[[step]]\ndo = "kil"\n[[step]]\ndo = "kill"\n')
    assert run(["scenario", "validate", str(path)]) == 2
    err = capsys.readouterr().err
    assert f"{path}:3: step 1: do kil: unknown setting, did you mean" in err
    assert f"{path}:5: step 2: target: required" in err


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    run(["doctor", "--json"])
    found = {entry["what"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert found["trio"]["ok"]
    assert found["table"]["found"].startswith(("compiled", "reference"))


def test_no_terminal_is_2_with_a_hint() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "console.cli"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "--plain" in done.stderr


@pytest.mark.parametrize("arguments", ["config", "doctor --json"])
def test_a_reader_that_has_seen_enough_is_no_failure(arguments: str) -> None:
    code = "import sys, console.cli; sys.exit(console.cli.run(sys.argv[1:]))"
    done = subprocess.run(
        [
            "bash",
            "-c",
            f'"$0" -c "$1" {arguments} | true; echo ${{PIPESTATUS[0]}}',
            sys.executable,
            code,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_config_prints_every_setting_with_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("RINGDECK_GLYPHS", "ascii")
    (tmp_path / "ringdeck").mkdir()
    file = tmp_path / "ringdeck" / "config.toml"
    file.write_text('refresh = 2\nthme = "x"\n[keymap]\n"node.add" = "n"\n')
    assert run(["config", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["settings"]["glyphs"] == {"value": "ascii", "source": "RINGDECK_GLYPHS"}
    assert found["settings"]["refresh"] == {"value": 2.0, "source": str(file)}
    assert found["settings"]["theme"]["source"] == "default"
    assert found["keymap"] == {"node.add": {"keys": "n", "source": str(file)}}
    assert "did you mean theme?" in err
    assert run(["config"]) == 0
    assert "ringdeck-dark" in capsys.readouterr().out


def test_stopping_twice_keeps_what_the_first_time_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "default" / "n1" / "node.log"
    log.parent.mkdir(parents=True)
    log.write_text("why it ended\n")
    assert run(["cluster", "stop"]) == 2
    assert "no cluster 'default'" in capsys.readouterr().err
    assert log.read_text() == "why it ended\n"
    assert run(["cluster", "stop", "--purge", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "default", "stopped": []}
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_record_hides_no_other_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("broken", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cluster.json").write_text('{"name": 3}')
    assert run(["cluster", "list", "--json"]) == 0
    out, err = capsys.readouterr()
    assert [entry["name"] for entry in json.loads(out)] == ["broken", "other"]
    assert json.loads(out)[0]["running"] is None
    assert "broken/cluster.json is damaged" in err


def test_stopping_all_clusters_for_good_leaves_nothing_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ``make clean`` does: also with a damaged record, and with one that was stopped before."""
    for name in ("broken", "stopped", "documents"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "node.log").write_text("")
    (tmp_path / "broken" / "cluster.json").write_text('{"name": 3}')
    (tmp_path / ".stopped.lock").write_text("")
    (tmp_path / ".seen").write_text("")
    assert run(["cluster", "stop", "--all"]) == 2, "a record that can't be read may hide processes"
    assert "broken/cluster.json is damaged" in capsys.readouterr().err
    assert run(["cluster", "stop", "--all", "--purge", "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == ["broken", "stopped"]
    assert [path.name for path in tmp_path.iterdir()] == ["documents"]
