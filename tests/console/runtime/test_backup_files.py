"""Backup files on disk: whole under their name or not there, and refused when something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.errors import ConsoleError, UsageError
from console.runtime.backup_files import BackupWriter, SpaceFigures, verify
from nodecore.backup.file_format import Header, Space
from nodecore.ids import Version
from nodecore.storage.records import Record

HEADER = Header("ring", 3, 9, 1000, 3, (Space("*", "eventual"), Space("strong:*", "strong")))


def write(path: Path, *, force: bool = False) -> None:
    writer = BackupWriter(path, force=force)
    writer.header(HEADER)
    writer.add([Record(b"a", 0, b"12", Version(5, 1), 0), Record(b"b", 0, b"", Version(6, 1), 70)])
    writer.add([Record(b"strong:a", 0, b"1", Version(7, 1), 0)])
    assert not path.exists() or force, "it has its name only when it is whole"
    writer.finish(2000)
    writer.abandon()


def nothing(_done: int, _of: int) -> None:
    pass


def test_a_written_file_verifies_by_keyspace(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write(path)
    assert list(tmp_path.iterdir()) == [path]
    summary = verify(path, nothing)
    assert summary.header == HEADER
    assert (summary.trailer.records, summary.trailer.ended_ms) == (3, 2000)
    assert summary.file_bytes == path.stat().st_size
    assert summary.spaces == {
        "*": SpaceFigures("*", "eventual", 2, 4, 1),
        "strong:*": SpaceFigures("strong:*", "strong", 1, 9, 0),
    }


def test_an_existing_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists"):
        write(path)
    assert path.read_bytes() == b"mine"
    write(path, force=True)
    verify(path, nothing)
    with pytest.raises(UsageError, match="folder"):
        write(tmp_path, force=True)


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x"
    writer = BackupWriter(path, force=False)
    writer.header(HEADER)
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists"):
        writer.finish(2000)
    writer.abandon()
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"mine"]


def test_an_abandoned_backup_leaves_nothing(tmp_path: Path) -> None:
    writer = BackupWriter(tmp_path / "x", force=False)
    writer.header(HEADER)
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_trouble_with_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConsoleError, match="can't be written"):
        BackupWriter(tmp_path / "no" / "x", force=False)
    with pytest.raises(UsageError, match="no file"):
        verify(tmp_path / "x", nothing)
    with pytest.raises(ConsoleError):
        verify(tmp_path, nothing)
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(ConsoleError, match="the file is empty"):
        verify(tmp_path / "x", nothing)
