"""Records survive, damage is noticed, a crash in the middle leaves the old record."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from nodecore.disk_faults import DiskVerdict
from nodecore.runtime.persistence import CorruptRecord, RecordStore


def test_records_come_back(tmp_path: Path) -> None:
    store = RecordStore(str(tmp_path))
    store.save("chain", b"one")
    store.save("chain", b"two")
    store.save("acceptor.7", b"\x00\xff")
    assert RecordStore(str(tmp_path)).load() == {"chain": b"two", "acceptor.7": b"\x00\xff"}


def test_a_half_written_successor_is_ignored(tmp_path: Path) -> None:
    store = RecordStore(str(tmp_path))
    store.save("chain", b"one")
    (tmp_path / "state" / "chain.tmp").write_bytes(b"RDS1half")
    assert RecordStore(str(tmp_path)).load() == {"chain": b"one"}


@pytest.mark.parametrize(
    "damage", [b"", b"RDS1", b"RDS1\x00\x00\x00\x00payload", b"XXXX\x00\x00\x00\x00"]
)
def test_damage_is_an_error_that_names_the_file(tmp_path: Path, damage: bytes) -> None:
    store = RecordStore(str(tmp_path))
    store.save("chain", b"one")
    path = tmp_path / "state" / "chain.record"
    path.write_bytes(damage)
    with pytest.raises(CorruptRecord, match=r"chain\.record"):
        store.load()
    assert path.read_bytes() == damage, "nothing is deleted"


def test_a_name_can_not_leave_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="record name"):
        RecordStore(str(tmp_path)).save("../escape", b"")


def test_without_a_folder_nothing_is_kept() -> None:
    store = RecordStore("")
    store.save("chain", b"one")
    assert store.load() == {}


def test_a_write_that_a_fault_fails_leaves_the_old_record(tmp_path: Path) -> None:
    store = RecordStore(str(tmp_path))
    store.save("chain", b"one")
    store.on_write = lambda: DiskVerdict(error=errno.ENOSPC, text="disk full (f1)")
    with pytest.raises(OSError, match="disk full") as raised:
        store.save("chain", b"two")
    assert raised.value.errno == errno.ENOSPC
    assert RecordStore(str(tmp_path)).load() == {"chain": b"one"}
    assert store.saves == 1


def test_a_slow_disk_is_waited_for_and_measured(tmp_path: Path) -> None:
    store = RecordStore(str(tmp_path))
    store.on_write = lambda: DiskVerdict(delay_s=0.03)
    store.save("chain", b"one")
    assert store.save_s >= 0.03
    assert store.saves == 1
    assert store.load() == {"chain": b"one"}
