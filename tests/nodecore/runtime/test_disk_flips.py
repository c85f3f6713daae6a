"""A thousand flipped bytes in a real file of records: each is found, or harms nothing."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from nodecore.effects import DiskWrite
from nodecore.ids import Version
from nodecore.runtime.disk_check import survives
from nodecore.runtime.node_disk import NodeDisk
from nodecore.storage.disk import Area, DiskError
from nodecore.storage.records import BadRecord, Record, decode, encode

FLIPS: Final = int(os.environ.get("RINGDECK_FLIPS", "1000"))
COUNT: Final = 300
MIB: Final = 1 << 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + FLIPS / 2)]


def record_of(number: int) -> Record:
    value = random.Random(number).randbytes(120)
    return Record(b"key:%d" % number, 0, value, Version(1000 + number, 1), 0)


class Flips:
    """Flips one byte after the other, each in a fresh copy, and reads everything.

    The readings run in child processes, because a damaged page may kill who reads it; what came of
    each is appended to a file, so that the next child goes on behind the flip that killed the last.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        self.notes.write_text("")
        disk = NodeDisk(str(folder / "good"), MIB)
        rows = tuple((int(Area.CACHE), b"p%d" % n, encode(record_of(n))) for n in range(COUNT))
        disk.write(DiskWrite(1, rows))
        disk.close()
        self.good = (folder / "good/records/process/data.mdb").read_bytes()

    def results(self) -> list[str]:
        return self.notes.read_text().splitlines()

    def run_some(self) -> None:
        """In a child: from where the last one ended."""
        for number in range(len(self.results()), FLIPS):
            rng = random.Random(number)
            data = bytearray(self.good)
            data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
            copy = self.folder / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(self.folder / "good", copy)
            (copy / "records/process/data.mdb").write_bytes(data)
            self._note(self._look(copy))

    def _look(self, copy: Path) -> str:
        try:
            disk = NodeDisk(str(copy), MIB)
            found = dict(_all(disk))
        except (DiskError, UnicodeDecodeError):
            return "refused"
        if disk.notices:
            return "refused"
        unknown = 0
        for place, body in found.items():
            try:
                record = decode(body)
            except BadRecord:
                unknown += 1
                continue
            if place != b"p" + record.key[4:]:
                # The place is damaged: whoever reads it asks for the record of another key.
                unknown += 1
                continue
            if record != record_of(int(record.key[4:])):
                return f"WRONG {place!r}"
        whole = len(found) == COUNT
        return "unknown" if unknown else "harmless" if whole else "missing"

    def _note(self, what: str) -> None:
        with self.notes.open("a") as file:
            file.write(what + "\n")


def _all(disk: NodeDisk) -> Iterator[tuple[bytes, bytes]]:
    after: bytes | None = None
    for _page in range(COUNT):
        rows = disk.walk(Area.CACHE, after, 50)
        if not rows:
            return
        yield from rows
        after = rows[-1][0]


def test_every_flipped_byte_is_found_or_harmless(tmp_path: Path) -> None:
    flips = Flips(tmp_path)
    while len(flips.results()) < FLIPS:
        before = len(flips.results())
        if not survives(flips.run_some):
            assert len(flips.results()) < FLIPS
            # This one killed its reader: a node would have set the file aside.
            flips._note("fatal")
        assert len(flips.results()) > before
    results = flips.results()
    counts = {what: results.count(what) for what in sorted(set(results))}
    assert not [what for what in results if what.startswith("WRONG")], counts
    assert "missing" not in counts, counts
    assert counts["unknown"] > FLIPS // 4, counts
