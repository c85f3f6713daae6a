"""Records on disk: replaced atomically, damaged ones named, changes locked."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.cluster_record import ClusterRecord, NodeRecord
from console.errors import UsageError
from console.runtime.state_dir import StateDir, cluster_names, home, tail, try_lock


def record() -> ClusterRecord:
    node = NodeRecord("n1", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", 42, "777")
    return ClusterRecord("default", "default-abc", (node,), settings={"vnodes": 64})


def test_home_follows_the_environment() -> None:
    assert home({"RINGDECK_HOME": "/a"}) == Path("/a")
    assert home({"XDG_STATE_HOME": "/b"}) == Path("/b/ringdeck")
    assert home({"XDG_STATE_HOME": "relative"}) == Path.home() / ".local/state/ringdeck"


def test_records_round_trip(tmp_path: Path) -> None:
    state = StateDir("default", tmp_path)
    assert state.load() is None
    state.create()
    state.save(record())
    assert state.load() == record()
    assert cluster_names(tmp_path) == ["default"]
    state.purge()
    assert cluster_names(tmp_path) == []


def test_damage_is_named(tmp_path: Path) -> None:
    state = StateDir("x", tmp_path)
    state.create()
    (state.folder / "cluster.json").write_text('{"name": 3}')
    with pytest.raises(UsageError, match=r"cluster\.json is damaged"):
        state.load()


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", "a" * 65])
def test_names_can_not_leave_the_folder(name: str) -> None:
    with pytest.raises(UsageError):
        StateDir(name)


def test_the_lock_excludes(tmp_path: Path) -> None:
    with StateDir("x", tmp_path).locked():
        with pytest.raises(UsageError, match="another command"):
            with StateDir("x", tmp_path).locked(wait_s=0):
                pytest.fail("two holders")
    with StateDir("x", tmp_path).locked(wait_s=0):
        pass


def test_purging_leaves_nothing_and_the_lock_still_excludes(tmp_path: Path) -> None:
    state = StateDir("x", tmp_path)
    with state.locked():
        state.purge()
        assert list(tmp_path.iterdir()) == []
        with StateDir("x", tmp_path).locked(wait_s=0):
            pass
    with state.locked(wait_s=0):
        with pytest.raises(UsageError, match="another command"):
            with StateDir("x", tmp_path).locked(wait_s=0):
                pytest.fail("two holders")


def test_a_lock_whose_file_was_replaced_is_none(tmp_path: Path) -> None:
    """Who waited for the lock of a cluster that was purged meanwhile must take the new one."""
    path = tmp_path / ".x.lock"
    with path.open("a") as old:
        path.unlink()
        assert not try_lock(old, path)
        with path.open("a") as new:
            assert not try_lock(old, path)
            assert try_lock(new, path)


def test_a_folder_that_can_not_be_made_is_named_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file/x: Not a directory") as caught:
        StateDir("x", tmp_path / "file").create()
    assert "RINGDECK_HOME" in caught.value.hint


def test_tail(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(100)))
    assert tail(path, 2) == ["line 98", "line 99"]
    assert tail(tmp_path / "absent", 2) == []


def test_ids_count_on() -> None:
    assert record().next_node_id() == "n2"
    assert record().next_node_id(frozenset({"n7", "other"})) == "n8"
