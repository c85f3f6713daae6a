"""The cluster's secret: files by the nodes' rules, the one asked for before the recorded one."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.errors import UsageError
from console.runtime.secret import SECRET_BYTES_MAX, HeldSecret, read_secret


def secret_file(folder: Path, content: bytes = b"0123456789abcdef\n", mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_secret_is_read_without_its_line_end(tmp_path: Path) -> None:
    assert read_secret(secret_file(tmp_path)) == b"0123456789abcdef"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_of_others_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(UsageError, match="readable by others") as caught:
        read_secret(secret_file(tmp_path, mode=mode))
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"short", b"x" * (SECRET_BYTES_MAX + 1)])
def test_the_length_is_bounded(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UsageError, match="bytes, expected 16 to"):
        read_secret(secret_file(tmp_path, content))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none: No such file"):
        read_secret(tmp_path / "none")


def test_what_was_asked_for_wins_over_the_record(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    asked = secret_file(tmp_path, b"asked-for-secret")
    recorded = secret_file(tmp_path / "other", b"recorded--secret")
    held = HeldSecret()
    assert held.as_setting() == {}
    assert held.as_environment() == {"RINGDECK_SECRET_FILE": ""}
    held.use_recorded({"replicas": 2})
    assert held.path == ""
    held.use_recorded({"secret_file": str(recorded)})
    assert held.content == b"recorded--secret"
    held.forget()
    held.use(str(asked))
    held.use_recorded({"secret_file": str(recorded)})
    assert held.content == b"asked-for-secret"
    assert held.as_setting() == {"secret_file": str(asked)}


def test_a_failed_read_keeps_what_was_held(tmp_path: Path) -> None:
    held = HeldSecret()
    held.use(str(secret_file(tmp_path)))
    with pytest.raises(UsageError):
        held.use(str(tmp_path / "none"))
    assert held.content == b"0123456789abcdef"
