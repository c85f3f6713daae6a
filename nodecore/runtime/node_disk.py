"""The disk of a node: two LMDB environments behind the interface of the pure core.

What must survive a loss of power is in ``power``, flushed by a thread of its own; everything else is
in ``process``, committed once per wake-up without fsync. A removal goes to both, and each record
carries a serial number: should a change of durability be cut short, the later one of two records is
the record. Failures become ``DiskError``; injected faults act here. Records are opaque.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import Final, final

import xxhash

from nodecore.disk_faults import UNDISTURBED, DiskVerdict
from nodecore.effects import DiskRecords, DiskWrite
from nodecore.runtime.disk_store import ACCIDENTS, Environment, Row
from nodecore.runtime.disk_writer import GONE, Writer
from nodecore.runtime.process import resident_file_bytes
from nodecore.storage.disk import Area, DiskError

MAP_SPARE_BYTES: Final = 256 << 20
"""Address space beyond ``bytes_max``: half-filled pages, and what is promised beyond the limit. The
file itself grows with what it holds."""
_LONG_KEY: Final = 480
"""LMDB takes keys of 511 bytes; of longer ones it gets the beginning and a digest."""
MAPPED_BYTES_MAX: Final = 48 << 20
"""Pages of files that may stay resident, programs and libraries included."""
_AROUND_BYTES: Final = 64 << 10
"""What touching one page may map."""
_LOOK_RECORDS: Final = 256
_SPARE_RECORDS: Final = 256
"""Records that nothing rests on, in one commit."""
SERIAL: Final = Struct(">QI")


@final
class NodeDisk:
    """See the module. Opened at once, closed by :meth:`close`.

    Args:
        data_dir: folder of the node.
        bytes_max: for records of the cache area, see ``NodeConfig.disk_bytes_max``.

    Raises:
        ForeignDiskError: written by another version.
        DiskError: it can't be opened.
    """

    def __init__(self, data_dir: str, bytes_max: int) -> None:
        self.on_write: Callable[[], DiskVerdict] = lambda: UNDISTURBED
        """Asked before each commit what injected faults do to it."""
        self.on_read: Callable[[bytes], bytes] = _unchanged
        """Passes every record of the cache area that is read.

        Raises:
            DiskError: an injected fault refuses the read.
        """
        self.notices: list[str] = []
        """What a person should know about opening."""
        self.commits = 0
        self.commit_s = 0.0
        folder = Path(data_dir) / "records"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            limit = 2 * bytes_max + MAP_SPARE_BYTES
            self._process = Environment(folder / "process", limit, "process", self.notices)
            self._power = Environment(folder / "power", limit, "power", self.notices)
            self.set_aside = [e.kind for e in (self._process, self._power) if e.set_aside]
            """Kinds of environments that begin empty because what they held can't be used."""
            self._serial = max(self._process.serial, self._power.serial)
            self._writer = Writer(self._power)
        except ACCIDENTS as error:
            raise DiskError(f"can't open the records under {folder}: {error}") from error

    def claim(self, cluster_id: str) -> None:
        """These records belong to that cluster from now on.

        Raises:
            ForeignDiskError: they belong to another one.
            DiskError: the mark can't be written.
        """
        if cluster_id:
            for environment in (self._process, self._power):
                environment.claim(cluster_id)

    # -- reading

    def get(self, area: Area, key: bytes) -> bytes | None:
        """See ``DiskStore``."""
        place = _place(key)
        try:
            found = self._process.get(area, place)
            if self._power.entries or self._writer.waiting:
                flying = self._writer.flying(area, place)
                other = self._power.get(area, place) if flying is None else flying
                found = _later(found, other)
        except ACCIDENTS as error:
            raise DiskError(f"can't read a record: {error}") from error
        return self._open(area, found)

    def _open(self, area: Area, stored: bytes | None) -> bytes | None:
        return None if stored is None or stored == GONE else self._record(area, stored)

    def _record(self, area: Area, stored: bytes) -> bytes:
        # Damaged lengths leave nothing of a record: who asked is to see that, not that there is none.
        tail = SERIAL.unpack_from(stored)[1] if len(stored) >= SERIAL.size else 0
        record = stored[SERIAL.size + tail :]
        return self.on_read(record) if area is Area.CACHE else record

    def walk(self, area: Area, after: bytes | None, count: int) -> list[tuple[bytes, bytes]]:
        """See ``DiskStore``."""
        start = None if after is None else _place(after)
        try:
            near = self._process.walk(area, start, count)
            if not (self._power.entries or self._writer.waiting):
                return [(_key(place, stored), self._record(area, stored)) for place, stored in near]
            rows = dict(near)
            last = near[-1][0] if len(near) >= count else None
            others = self._power.walk(area, start, count)
            if len(others) >= count:
                last = others[-1][0] if last is None else min(last, others[-1][0])
            # What is on its way is later than what has landed in the same environment.
            for place, stored in dict(others + self._writer.all_flying(area)).items():
                if start is None or place > start:
                    later = _later(rows.get(place), stored)
                    assert later is not None
                    rows[place] = later
        except ACCIDENTS as error:
            raise DiskError(f"can't read records: {error}") from error
        found: list[tuple[bytes, bytes]] = []
        for place in sorted(rows):
            if (last is not None and place > last) or len(found) >= count:
                break
            record = self._open(area, rows[place])
            if record is not None:
                found.append((_key(place, rows[place]), record))
        if not found and last is not None:
            # Nothing but removals under way: what follows them begins behind the last one.
            return self.walk(area, _key(last, rows.get(last, b"")), count)
        return found

    def used_bytes(self, area: Area) -> int:
        """See ``DiskStore``."""
        return self._process.used_bytes(area) + self._power.used_bytes(area)

    # -- writing

    def write(self, effect: DiskWrite) -> str:
        """Execute an effect, all but the fsync; returns why its spare records were refused, or "".

        Raises:
            DiskError: promised records could not be written.
        """
        verdict = self.on_write()
        started_s = time.monotonic()
        refused = ""
        try:
            refused = self._write_now(effect, verdict)
        except ACCIDENTS as error:
            raise DiskError(f"can't write records: {error}") from error
        if effect.synced:
            if verdict.error:
                raise DiskError(f"can't write records: {verdict.text}")
            self._writer.add(effect.ticket, self._stored(effect.synced), verdict.delay_s)
        self.commits += 1
        self.commit_s += time.monotonic() - started_s
        return refused

    def _write_now(self, effect: DiskWrite, verdict: DiskVerdict) -> str:
        if verdict.error:
            if effect.records:
                raise OSError(verdict.error, verdict.text)
            return verdict.text if effect.spare else ""
        promised, spare = self._stored(effect.records), self._stored(effect.spare)
        refused = ""
        if spare:
            try:
                self._process.commit(promised + spare[:_SPARE_RECORDS])
            except ACCIDENTS as error:
                refused = str(error)
                if promised:
                    self._process.commit(promised)
            else:
                refused = self._commit_rest(spare[_SPARE_RECORDS:])
        elif promised:
            self._process.commit(promised)
        if self._power.entries or self._writer.waiting:
            # Whoever was kept in the other environment must not come back from there.
            stale = [
                (area, place, None)
                for area, place, _stored in promised + spare
                if self._power.has(area, place) or self._writer.flying(area, place) is not None
            ]
            if stale:
                self._writer.add(0, list(stale), 0.0)
        return refused

    def _commit_rest(self, spare: list[Row]) -> str:
        """In portions, so that what one commit maps into memory is bounded; why some were refused."""
        for first in range(0, len(spare), _SPARE_RECORDS):
            self.review()
            try:
                self._process.commit(spare[first : first + _SPARE_RECORDS])
            except ACCIDENTS as error:
                return str(error)
        return ""

    def _stored(self, records: DiskRecords) -> list[Row]:
        serial = self._serial
        rows: list[Row] = []
        for area, key, record in records:
            if record is None:
                rows.append((area, _place(key), None))
                continue
            serial += 1
            if len(key) <= _LONG_KEY:
                rows.append((area, key, SERIAL.pack(serial, 0) + record))
            else:
                rows.append((area, _place(key), SERIAL.pack(serial, len(key)) + key + record))
        self._serial = serial
        self._process.reserve(serial)
        return rows

    def on_finished(self, wake: Callable[[], None]) -> None:
        """Have ``wake`` called, from another thread, when :meth:`take_done` has something to say."""
        self._writer.wake = wake

    @property
    def flushing(self) -> bool:
        """Whether :meth:`take_done` has, or is going to have, something to say."""
        return self._writer.active

    def take_done(self) -> list[int]:
        """Tickets whose records are on the medium since the last call.

        Raises:
            DiskError: an fsync or a commit has failed; nothing that waited for it is safe.
        """
        tickets, landed = self._writer.take_done()
        if landed:
            try:
                self._process.forget_older(landed)
            except ACCIDENTS as error:
                raise DiskError(f"can't write records: {error}") from error
        return tickets

    def review(self) -> None:
        """Give memory back that only maps pages of the files; cheap, once per wake-up.

        The system maps the neighbours of each page that is touched (16 pages on Linux), so a few hundred
        scattered records would keep a large file resident as a whole.
        """
        touched = self._process.touched + self._power.touched
        if touched < _LOOK_RECORDS:
            return
        mapped_bytes = resident_file_bytes()
        if mapped_bytes is None:
            if touched * _AROUND_BYTES < MAPPED_BYTES_MAX:
                return
        elif mapped_bytes < MAPPED_BYTES_MAX:
            self._process.touched = self._power.touched = 0
            return
        self._process.remap()
        self._writer.remap()

    def close(self) -> None:
        """Flush everything and mark the end as clean."""
        self._writer.close()
        for environment in (self._process, self._power):
            environment.close()


def _unchanged(record: bytes) -> bytes:
    return record


def _place(key: bytes) -> bytes:
    if len(key) <= _LONG_KEY:
        return key
    return key[:_LONG_KEY] + xxhash.xxh3_128_digest(key)


def _key(place: bytes, stored: bytes) -> bytes:
    if len(place) <= _LONG_KEY or len(stored) < SERIAL.size:
        return place
    _serial, tail = SERIAL.unpack_from(stored)
    return stored[SERIAL.size : SERIAL.size + tail]


def _later(one: bytes | None, other: bytes | None) -> bytes | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other, key=lambda stored: stored[:8])
