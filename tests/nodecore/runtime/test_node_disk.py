"""Records on a real disk: what survives what, who may open them, and what damage does."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodecore.disk_faults import DiskVerdict
from nodecore.effects import DiskRecords, DiskWrite
from nodecore.runtime import disk_store
from nodecore.runtime.boot import boot_id
from nodecore.runtime.disk_check import survives
from nodecore.runtime.disk_store import ForeignDiskError
from nodecore.runtime.node_disk import MAPPED_BYTES_MAX, NodeDisk
from nodecore.runtime.process import resident_file_bytes
from nodecore.storage.disk import Area, DiskError

CACHE, STRONG = int(Area.CACHE), int(Area.STRONG)
MIB = 1 << 20
ROOT = Path(__file__).resolve().parents[3]


def write(
    disk: NodeDisk,
    *,
    records: DiskRecords = (),
    synced: DiskRecords = (),
    spare: DiskRecords = (),
    ticket: int = 1,
) -> str:
    return disk.write(DiskWrite(ticket, records, synced, spare))


def flushed(disk: NodeDisk, landed: threading.Event) -> list[int]:
    """Tickets of the next flush."""
    assert landed.wait(20.0)
    landed.clear()
    return disk.take_done()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[NodeDisk]:
    opened = NodeDisk(str(tmp_path), MIB)
    yield opened
    opened.close()


def test_records_are_read_back_and_removed(disk: NodeDisk) -> None:
    write(disk, records=((CACHE, b"a", b"1"), (STRONG, b"a", b"2")), spare=((CACHE, b"b", b"3"),))
    assert disk.get(Area.CACHE, b"a") == b"1"
    assert disk.get(Area.STRONG, b"a") == b"2"
    assert disk.walk(Area.CACHE, None, 10) == [(b"a", b"1"), (b"b", b"3")]
    assert disk.walk(Area.CACHE, b"a", 10) == [(b"b", b"3")]
    write(disk, records=((CACHE, b"a", None),))
    assert disk.get(Area.CACHE, b"a") is None
    assert disk.get(Area.STRONG, b"a") == b"2"
    assert disk.used_bytes(Area.CACHE) > 0


def test_flushed_records_are_readable_at_once_and_reported_once_flushed(disk: NodeDisk) -> None:
    landed = threading.Event()
    disk.on_finished(landed.set)
    write(disk, synced=((CACHE, b"k", b"v"),), ticket=7)
    assert disk.get(Area.CACHE, b"k") == b"v"
    assert disk.walk(Area.CACHE, None, 5) == [(b"k", b"v")]
    assert flushed(disk, landed) == [7]
    assert disk.get(Area.CACHE, b"k") == b"v"
    write(disk, synced=((CACHE, b"k", None),), ticket=8)
    assert disk.get(Area.CACHE, b"k") is None
    assert disk.walk(Area.CACHE, None, 5) == []
    assert flushed(disk, landed) == [8]
    assert disk.get(Area.CACHE, b"k") is None


def test_a_change_of_durability_leaves_the_later_record(disk: NodeDisk) -> None:
    landed = threading.Event()
    disk.on_finished(landed.set)
    write(disk, records=((CACHE, b"k", b"old"),))
    write(disk, synced=((CACHE, b"k", b"new"),))
    assert disk.get(Area.CACHE, b"k") == b"new"
    flushed(disk, landed)
    assert disk.get(Area.CACHE, b"k") == b"new"
    write(disk, records=((CACHE, b"k", b"newest"),))
    assert disk.get(Area.CACHE, b"k") == b"newest"
    flushed(disk, landed)
    assert disk.walk(Area.CACHE, None, 5) == [(b"k", b"newest")]
    write(disk, records=((CACHE, b"k", None),))
    assert disk.get(Area.CACHE, b"k") is None


def test_keys_longer_than_lmdb_takes_keep_their_names(disk: NodeDisk) -> None:
    rng = random.Random(3)
    keys = sorted(b"p" * 490 + rng.randbytes(rng.randrange(40)) for _ in range(20))
    write(disk, spare=tuple((CACHE, key, b"v:" + key) for key in keys))
    assert all(disk.get(Area.CACHE, key) == b"v:" + key for key in keys)
    seen: list[bytes] = []
    after: bytes | None = None
    while rows := disk.walk(Area.CACHE, after, 3):
        seen += [key for key, _record in rows]
        after = rows[-1][0]
    assert sorted(seen) == keys


def test_a_clean_end_and_a_new_beginning(tmp_path: Path) -> None:
    disk = NodeDisk(str(tmp_path), MIB)
    disk.claim("red")
    write(disk, records=((CACHE, b"a", b"1"),), synced=((CACHE, b"b", b"2"),))
    disk.close()
    again = NodeDisk(str(tmp_path), MIB)
    again.claim("red")
    assert again.walk(Area.CACHE, None, 5) == [(b"a", b"1"), (b"b", b"2")]
    assert again.notices == []
    again.close()


def test_records_of_another_cluster_are_refused(tmp_path: Path) -> None:
    disk = NodeDisk(str(tmp_path), MIB)
    disk.claim("red")
    disk.claim("")
    with pytest.raises(ForeignDiskError, match=r"cluster 'red'.*'blue'"):
        disk.claim("blue")
    disk.close()


def test_records_of_another_version_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    NodeDisk(str(tmp_path), MIB).close()
    monkeypatch.setattr(disk_store, "FORMAT", b"2")
    with pytest.raises(ForeignDiskError, match="format 1, this program knows 2"):
        NodeDisk(str(tmp_path), MIB)


WRITE_AND_DIE = """
import os, signal, sys
from nodecore.effects import DiskWrite
from nodecore.runtime.node_disk import NodeDisk

disk = NodeDisk(sys.argv[1], int(sys.argv[2]))
for number in range(200):
    disk.write(DiskWrite(0, ((int(sys.argv[3]), b"%d" % number, b"v" * 100),)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def _die(folder: Path) -> None:
    arguments = [sys.executable, "-c", WRITE_AND_DIE, str(folder), str(MIB), str(CACHE)]
    ended = subprocess.run(arguments, check=False, timeout=60, cwd=ROOT)
    assert ended.returncode == -signal.SIGKILL


def test_what_was_committed_survives_a_kill(tmp_path: Path) -> None:
    _die(tmp_path)
    disk = NodeDisk(str(tmp_path), MIB)
    assert len(disk.walk(Area.CACHE, None, 1_000)) == 200
    assert (disk.notices, disk.set_aside) == ([], [])
    disk.close()


def test_an_unclean_end_leaves_a_new_file_with_the_same_rows(tmp_path: Path) -> None:
    _die(tmp_path)
    folder = tmp_path / "records" / "process"
    before = (folder / "data.mdb").stat()
    disk = NodeDisk(str(tmp_path), MIB)
    after = (folder / "data.mdb").stat()
    assert after.st_ino != before.st_ino
    assert after.st_size < before.st_size
    assert len(disk.walk(Area.CACHE, None, 1_000)) == 200
    disk.close()


def test_records_that_cannot_be_copied_are_used_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _die(tmp_path)

    def full(_self: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(disk_store.Environment, "_copy_all", full)
    disk = NodeDisk(str(tmp_path), MIB)
    assert len(disk.walk(Area.CACHE, None, 1_000)) == 200
    assert "room" in disk.notices[0]
    disk.close()


class Overwrites:
    """Opens one damaged file after the other and overwrites all that was in it.

    As with flips that are only read: a child process does it, and notes how far it came.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count
        self.notes = folder / "notes"
        self.notes.write_text("")
        good = folder / "good"
        (good / "records").mkdir(parents=True)
        # Short transactions that replace each other leave lists of free pages behind.
        assert survives(self._fill)

    def _fill(self) -> None:
        disk = NodeDisk(str(self.folder / "good"), MIB)
        for number in range(600):
            write(disk, records=((CACHE, b"%d" % (number % 300), b"v" * 200),))
        os._exit(0)

    def done(self) -> int:
        return len(self.notes.read_text().splitlines())

    def run(self) -> None:
        for number in range(self.done(), self.count):
            copy = self.folder / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(self.folder / "good", copy)
            file = copy / "records" / "process" / "data.mdb"
            data = bytearray(file.read_bytes())
            rng = random.Random(number)
            for _flip in range(12):
                data[rng.randrange(2 * 4096, len(data))] ^= rng.randrange(1, 256)
            file.write_bytes(data)
            disk = NodeDisk(str(copy), MIB)
            for key in range(300):
                write(disk, records=((CACHE, b"%d" % key, b"w" * 200),))
            with self.notes.open("a") as notes:
                notes.write("written\n")


def test_a_damaged_file_never_fails_or_kills_who_writes(tmp_path: Path) -> None:
    overwrites = Overwrites(tmp_path, 25)
    assert survives(overwrites.run), f"damaged file number {overwrites.done()}"
    assert overwrites.done() == 25


def test_whoever_dies_of_looking_at_a_clean_file_finds_an_unclean_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    NodeDisk(str(tmp_path), MIB).close()

    def die(_self: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(disk_store.Environment, "_is_sound", die)
    with pytest.raises(KeyboardInterrupt):
        NodeDisk(str(tmp_path), MIB)
    assert (tmp_path / "records" / "process" / "life").read_text().startswith("open ")


def test_unflushed_records_are_set_aside_when_the_machine_went_down(tmp_path: Path) -> None:
    _die(tmp_path)
    (tmp_path / "records" / "process" / "life").write_text("open another-boot")
    disk = NodeDisk(str(tmp_path), MIB)
    assert disk.walk(Area.CACHE, None, 5) == []
    assert "machine went down" in disk.notices[0]
    assert disk.set_aside == ["process"]
    disk.close()


def test_a_damaged_structure_is_set_aside(tmp_path: Path) -> None:
    _die(tmp_path)
    file = tmp_path / "records" / "process" / "data.mdb"
    data = bytearray(file.read_bytes())
    data[4096 * 2 :] = random.Random(1).randbytes(len(data) - 4096 * 2)
    file.write_bytes(data)
    disk = NodeDisk(str(tmp_path), MIB)
    assert disk.walk(Area.CACHE, None, 5) == []
    assert "structure is damaged" in disk.notices[0]
    disk.close()


@pytest.mark.parametrize("clean", [True, False])
def test_records_behind_a_damaged_key_are_not_passed_over(tmp_path: Path, clean: bool) -> None:
    disk = NodeDisk(str(tmp_path), MIB)
    write(disk, records=tuple((CACHE, b"key%03d" % n, b"value") for n in range(100)))
    disk.close()
    folder = tmp_path / "records" / "process"
    data = (folder / "data.mdb").read_bytes()
    (folder / "data.mdb").write_bytes(data.replace(b"key050", b"kzy050"))
    if not clean:
        (folder / "life").write_text(f"open {boot_id()}")
    disk = NodeDisk(str(tmp_path), MIB)
    seen: list[bytes] = []
    while rows := disk.walk(Area.CACHE, seen[-1] if seen else None, 7):
        seen += [key for key, _record in rows]
    disk.close()
    assert len(seen) == 100
    assert seen[-1] == b"kzy050"


def test_a_walk_that_would_pass_records_over_fails(disk: NodeDisk) -> None:
    write(disk, records=tuple((CACHE, b"key%03d" % n, b"value") for n in range(100)))
    file = disk._process._data
    with file.open("r+b") as opened:
        data = opened.read()
        for position in range(len(data) - 6):
            if data[position : position + 6] == b"key050":
                opened.seek(position)
                opened.write(b"kzy050")
    with pytest.raises(DiskError, match="out of order"):
        disk.walk(Area.CACHE, None, 100)


def _sleep() -> None:
    threading.Event().wait(60.0)


def test_a_check_that_dies_or_hangs_is_no_pass() -> None:
    assert survives(lambda: None)
    assert not survives(lambda: os.kill(os.getpid(), signal.SIGSEGV))
    assert not survives(_sleep, timeout_s=0.1)


def test_a_full_disk_refuses_spare_records_and_fails_promises(disk: NodeDisk) -> None:
    disk.on_write = lambda: DiskVerdict(0.0, errno.ENOSPC, "disk full")
    assert write(disk, spare=((CACHE, b"a", b"1"),)) == "disk full"
    with pytest.raises(DiskError, match="disk full"):
        write(disk, records=((CACHE, b"a", b"1"),))
    with pytest.raises(DiskError, match="disk full"):
        write(disk, synced=((CACHE, b"a", b"1"),))
    assert disk.get(Area.CACHE, b"a") is None


def test_a_map_that_is_full_refuses_the_spare_and_keeps_the_promised(tmp_path: Path) -> None:
    disk = NodeDisk(str(tmp_path), -120 * MIB)
    value = b"v" * MIB
    refused = ""
    for number in range(40):
        said = write(
            disk,
            records=((STRONG, b"%d" % number, b"kept"),),
            spare=((CACHE, b"%d" % number, value),),
        )
        refused = refused or said
    assert "full" in refused
    assert all(disk.get(Area.STRONG, b"%d" % number) == b"kept" for number in range(40))
    disk.close()


@pytest.mark.skipif(resident_file_bytes() is None, reason="this system does not tell")
def test_what_reading_maps_does_not_stay_resident(tmp_path: Path) -> None:
    before = resident_file_bytes() or 0
    disk = NodeDisk(str(tmp_path), 256 * MIB)
    count, value = 20_000, bytes(4_000)
    for first in range(0, count, 1_000):
        rows = tuple((CACHE, b"%06d" % number, value) for number in range(first, first + 1_000))
        write(disk, records=rows)
    most = 0
    for number in range(0, count, 8):
        assert disk.get(Area.CACHE, b"%06d" % number) == value
        disk.review()
        most = max(most, resident_file_bytes() or 0)
    disk.close()
    assert most < max(MAPPED_BYTES_MAX, before) + 20 * MIB


def test_spare_records_are_written_in_portions_behind_the_promised(disk: NodeDisk) -> None:
    fates = iter([None, None, OSError(errno.EIO, "input/output error")])
    real = disk_store.Environment.commit

    def commit(environment: disk_store.Environment, rows: list[disk_store.Row]) -> None:
        fate = next(fates)
        if fate is not None:
            raise fate
        real(environment, rows)

    spare = tuple((CACHE, b"%04d" % number, b"v") for number in range(1_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk_store.Environment, "commit", commit)
        refused = write(disk, records=((STRONG, b"kept", b"1"),), spare=spare)
    assert "input/output error" in refused
    assert disk.get(Area.STRONG, b"kept") == b"1"
    kept = len(disk.walk(Area.CACHE, None, 2_000))
    assert 0 < kept < 1_000
    assert write(disk, spare=spare) == ""
    assert len(disk.walk(Area.CACHE, None, 2_000)) == 1_000


def test_a_failed_flush_is_told_to_nobody_as_a_success(
    disk: NodeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed = threading.Event()
    disk.on_finished(landed.set)

    def fail(_self: object, _rows: object) -> None:
        raise OSError(errno.EIO, "fsync failed")

    monkeypatch.setattr(disk_store.Environment, "commit", fail)
    write(disk, synced=((CACHE, b"a", b"1"),))
    assert landed.wait(20.0)
    assert disk.flushing
    with pytest.raises(DiskError, match="fsync failed"):
        disk.take_done()
    monkeypatch.undo()


def test_writes_that_wait_share_a_flush(disk: NodeDisk) -> None:
    landed = threading.Event()
    disk.on_finished(landed.set)
    disk.on_write = lambda: DiskVerdict(0.05)
    for ticket in range(1, 21):
        write(disk, synced=((CACHE, b"%d" % ticket, b"v"),), ticket=ticket)
    done: list[int] = []
    flushes = 0
    while len(done) < 20:
        done += flushed(disk, landed)
        flushes += 1
    assert done == list(range(1, 21))
    assert flushes <= 5
