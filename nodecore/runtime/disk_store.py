"""An LMDB environment with the records of a node: the only importer of lmdb.

``process`` is committed without fsync: it survives the death of the process, and is set aside when
the machine went down under it, because LMDB without fsync may then be torn. ``power`` is committed
with fsync. LMDB has no checksums of its own pages and believes what they say: after an unclean end,
and after a clean one when rows can't be reached in order, a child process copies the environment first,
row by row, into a new file, because damage that no reading meets (lists of free pages, headers) would
fail or kill who writes. Where there is no room for a copy the child only reads. What kills or confuses
the child is not opened.

It knows neither which of two environments holds the later record (``node_disk``) nor what records
mean.

Sources: the LMDB documentation (MDB_NOSYNC, map size).
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final, Literal, TypeAlias, final

import lmdb

from nodecore.runtime.boot import boot_id
from nodecore.runtime.disk_check import CHECK_S_MAX, SLOWEST_BYTES_PER_S, survives
from nodecore.runtime.durable_files import replace_durably, write_durably
from nodecore.storage.disk import Area, DiskError

FORMAT: Final = b"1"
SERIALS_RESERVED: Final = 1 << 20
"""Serial numbers that one write of the mark stands for."""
_PORTION: Final = 1_000
_ABOUT: Final = b"about"
_NAMES: Final = frozenset({_ABOUT, *(area.name.lower().encode() for area in Area)})
"""Databases of an environment."""
ACCIDENTS: Final = (lmdb.Error, OSError)
"""What reading and writing raises."""

Row: TypeAlias = tuple[int, bytes, bytes | None]
"""(area, key of at most 511 bytes, what is stored or None)."""


class ForeignDiskError(DiskError):
    """The environment belongs to another cluster, or to another version of this program."""


@final
class Environment:
    """One LMDB environment and what is known of its last life."""

    def __init__(
        self, folder: Path, limit: int, kind: Literal["process", "power"], notices: list[str]
    ) -> None:
        self._folder = folder
        self._limit = limit
        self.kind: str = kind
        self.set_aside = False
        """What it held could not be used: it begins empty."""
        self._mark = folder / "life"
        self._data = folder / "data.mdb"
        self._copy = folder / "copy.mdb"
        folder.mkdir(exist_ok=True)
        self._inspect(notices)
        self._env = self._open()
        self._databases = {
            int(area): self._env.open_db(area.name.lower().encode()) for area in Area
        }
        self._about = self._env.open_db(_ABOUT)
        self._check_format()
        self._write_mark("open")
        self.entries = 0
        self.touched = 0
        """Records read or written since the last :meth:`remap`."""
        self.serial = self._reserved = 0
        self._count()

    def _inspect(self, notices: list[str]) -> None:
        """Decide from how the last life ended whether its data may be opened."""
        self._copy.unlink(missing_ok=True)
        if not self._data.exists():
            return
        try:
            state, _, boot = self._mark.read_text().partition(" ")
        except OSError:
            state, boot = "unknown", ""
        clean = state == "clean"
        if clean:
            # Whoever dies of a damaged page finds an unclean end at the next start.
            self._write_mark("open")
            if self._is_sound():
                return
        timeout_s = CHECK_S_MAX + self._data.stat().st_size / SLOWEST_BYTES_PER_S
        if not clean and self.kind == "process" and boot != boot_id():
            reason = "the machine went down while they were open, and they had not been flushed"
            self._set_aside(reason, notices)
        elif survives(self._copy_all, timeout_s):
            replace_durably(self._copy, self._data)
        elif not survives(self._walk_all, timeout_s):
            self._set_aside("their structure is damaged", notices)
        else:
            notices.append(
                f"{self.kind} records of this node were not closed, or are damaged, and could not be copied (is there "
                f"room for {self._data.stat().st_size >> 20} MiB beside {self._data}?): used as they are"
            )

    def _set_aside(self, reason: str, notices: list[str]) -> None:
        self.set_aside = True
        aside = self._folder.with_name(f"{self.kind}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        self._folder.replace(aside)
        self._folder.mkdir()
        notices.append(f"{self.kind} records of this node are set aside: {reason} ({aside})")

    def _rows(self) -> Iterator[tuple[bytes, list[tuple[bytes, bytes]]]]:
        """Every row of every database, in portions; for a child process, see ``disk_check``.

        Raises:
            lmdb.Error: the walk does not find as many rows as there are.
        """
        with lmdb.open(str(self._folder), readonly=True, lock=False, max_dbs=8) as environment:
            with environment.begin() as transaction:
                names = [bytes(name) for name, _about in transaction.cursor()]
            for name in names:
                database = environment.open_db(name, create=False)
                with environment.begin(db=database) as transaction:
                    left = transaction.stat(database)["entries"]
                    rows = iter(transaction.cursor())
                    while portion := list(islice(rows, _PORTION)):
                        yield name, portion
                        left -= len(portion)
                    if left:
                        raise lmdb.CorruptedError(f"{left} rows are not where they should be")

    def _is_sound(self) -> bool:
        """Whether all rows can be reached, in order: what has rotted since a clean end may hide some and
        say nothing. In this process: nearly always all is well.
        """
        try:
            with lmdb.open(str(self._folder), readonly=True, lock=False, max_dbs=8) as environment:
                with environment.begin() as transaction:
                    names = [bytes(name) for name, _about in transaction.cursor()]
                return all(
                    name in _NAMES and self._reaches_all(environment, name) for name in names
                )
        except (lmdb.CorruptedError, lmdb.PageNotFoundError):
            return False

    def _reaches_all(self, environment: lmdb.Environment, name: bytes) -> bool:
        database = environment.open_db(name, create=False)
        with environment.begin(db=database) as transaction:
            entries = int(transaction.stat(database)["entries"])
            keys = transaction.cursor().iternext(keys=True, values=False)
            found = 0
            before = b""
            for key in islice(keys, entries + 1):
                if key <= before:
                    return False
                before = key
                found += 1
            return found == entries

    def _walk_all(self) -> None:
        for _name, portion in self._rows():
            sum(len(place) + len(stored) for place, stored in portion)

    def _copy_all(self) -> None:
        size = max(self._limit, 2 * self._data.stat().st_size)
        with lmdb.open(
            str(self._copy),
            subdir=False,
            lock=False,
            map_size=size,
            max_dbs=8,
            sync=False,
            mode=0o600,
        ) as environment:
            for name, portion in self._rows():
                database = environment.open_db(name)
                with environment.begin(db=database, write=True) as transaction:
                    _consumed, added = transaction.cursor().putmulti(portion, append=True)
                    if added < len(portion):
                        # A key that damage has changed is out of order.
                        for place, stored in portion:
                            transaction.put(place, stored)
            # The other kind is set aside should the machine go down: what it holds need not be flushed.
            if self.kind == "power":
                environment.sync(True)

    def _open(self) -> lmdb.Environment:
        written_bytes = self._data.stat().st_size if self._data.exists() else 0
        power = self.kind == "power"
        return lmdb.open(
            str(self._folder),
            map_size=max(self._limit, 2 * written_bytes),
            max_dbs=8,
            sync=power,
            metasync=power,
            readahead=False,
            max_spare_txns=4,
            mode=0o600,
        )

    def _check_format(self) -> None:
        with self._env.begin(write=True) as transaction:
            found = transaction.get(b"format", db=self._about)
            if found is None:
                transaction.put(b"format", FORMAT, db=self._about)
            elif found != FORMAT:
                written = bytes(found).decode("ascii", "replace")
                raise ForeignDiskError(
                    f"{self._folder} holds records of format {written}, this program knows "
                    f"{FORMAT.decode()}: start the version that wrote them, or move the folder away"
                )

    def claim(self, cluster_id: str) -> None:
        try:
            with self._env.begin(write=True) as transaction:
                found = transaction.get(b"cluster", db=self._about)
                if found is None:
                    transaction.put(b"cluster", cluster_id.encode(), db=self._about)
                    return
        except ACCIDENTS as error:
            raise DiskError(f"can't mark the records with their cluster: {error}") from error
        owner = bytes(found).decode("utf-8", "replace")
        if owner != cluster_id:
            raise ForeignDiskError(
                f"{self._folder} holds records of cluster {owner!r}, this node belongs to "
                f"{cluster_id!r}: use another data_dir, or move the folder away"
            )

    def _write_mark(self, state: str) -> None:
        write_durably(self._mark, f"{state} {boot_id()}".encode())

    def _count(self) -> None:
        with self._env.begin() as transaction:
            self._count_in(transaction)
            found = transaction.get(b"serial", db=self._about)
            self.serial = self._reserved = int.from_bytes(found or b"", "big")

    def reserve(self, serial: int) -> None:
        """No later life gives out this serial number again."""
        if serial > self._reserved:
            self._reserved = serial + SERIALS_RESERVED
            with self._env.begin(write=True) as transaction:
                transaction.put(b"serial", self._reserved.to_bytes(8, "big"), db=self._about)

    def get(self, area: int, place: bytes) -> bytes | None:
        self.touched += 1
        with self._env.begin(db=self._databases[int(area)]) as transaction:
            found: bytes | None = transaction.get(place)
            return found

    def has(self, area: int, place: bytes) -> bool:
        return self.entries > 0 and self.get(area, place) is not None

    def walk(self, area: int, start: bytes | None, count: int) -> list[tuple[bytes, bytes]]:
        rows: list[tuple[bytes, bytes]] = []
        with self._env.begin(db=self._databases[int(area)]) as transaction:
            cursor = transaction.cursor()
            present = cursor.first() if start is None else cursor.set_range(start)
            if present and cursor.key() == start:
                present = cursor.next()
            if present:
                rows = list(islice(cursor.iternext(), count))
        before = start
        for place, _stored in rows:
            if before is not None and place <= before:
                # A damaged key: a walk that went on from it would pass rows over.
                raise lmdb.CorruptedError("keys are out of order")
            before = place
        self.touched += len(rows)
        return rows

    def used_bytes(self, area: int) -> int:
        with self._env.begin() as transaction:
            stat = transaction.stat(self._databases[int(area)])
        pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return int(pages * stat["psize"])

    def commit(self, rows: list[Row]) -> None:
        """Write rows as one transaction.

        Raises:
            lmdb.Error, OSError: nothing was written.
        """
        self.touched += len(rows)
        try:
            with self._env.begin(write=True) as transaction:
                for area, place, stored in rows:
                    database = self._databases[area]
                    if stored is None:
                        transaction.delete(place, db=database)
                    else:
                        transaction.put(place, stored, db=database)
                self._count_in(transaction)
        except lmdb.MapFullError:
            raise OSError(errno.ENOSPC, f"{self._folder} is full") from None

    def _count_in(self, transaction: lmdb.Transaction) -> None:
        self.entries = sum(
            transaction.stat(database)["entries"] for database in self._databases.values()
        )

    def forget_older(self, landed: list[Row]) -> None:
        """Records that have just been flushed elsewhere supersede what is here of the same places."""
        stale: list[Row] = []
        for area, place, stored in landed:
            here = self.get(area, place)
            if here is not None and (stored is None or here[:8] < stored[:8]):
                stale.append((area, place, None))
        if stale:
            self.commit(stale)

    def remap(self) -> None:
        """Let go of the pages that reading has mapped into memory; while no transaction is open."""
        self.touched = 0
        self._env.set_mapsize(self._env.info()["map_size"])

    def close(self) -> None:
        self._env.sync(True)
        self._env.close()
        self._write_mark("clean")
