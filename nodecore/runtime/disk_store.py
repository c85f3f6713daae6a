"""An LMDB environment with the records of a node: the only importer of lmdb.

``process`` is committed without fsync: it survives the death of the process, and is set aside when
the machine went down under it, because LMDB without fsync may then be torn. ``power`` is committed
with fsync. LMDB has no checksums of its own pages: after an unclean end a child process walks the
environment first, and what kills or confuses the child is not opened.

It knows neither which of two environments holds the later record (``node_disk``) nor what records
mean.

Sources: the LMDB documentation (MDB_NOSYNC, map size).
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Final, Literal, TypeAlias, final

import lmdb

from nodecore.runtime.disk_check import survives
from nodecore.storage.disk import Area, DiskError

FORMAT: Final = b"1"
SERIALS_RESERVED: Final = 1 << 20
"""Serial numbers that one write of the mark stands for."""
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
        self._kind = kind
        self._mark = folder / "life"
        folder.mkdir(exist_ok=True)
        self._inspect(notices)
        self._env = self._open()
        self._databases = {
            int(area): self._env.open_db(area.name.lower().encode()) for area in Area
        }
        self._about = self._env.open_db(b"about")
        self._check_format()
        self._write_mark("open")
        self.entries = 0
        self.serial = self._reserved = 0
        self._count()

    def _inspect(self, notices: list[str]) -> None:
        """Decide from how the last life ended whether its data may be opened."""
        data = self._folder / "data.mdb"
        if not data.exists():
            return
        try:
            state, _, boot = self._mark.read_text().partition(" ")
        except OSError:
            state, boot = "unknown", ""
        reason = ""
        if state == "clean":
            return
        if self._kind == "process" and boot != _boot_id():
            reason = "the machine went down while they were open, and they had not been flushed"
        elif not survives(self._walk_all):
            reason = "their structure is damaged"
        if not reason:
            return
        text = f"{self._kind} records of this node are set aside: {reason}"
        aside = self._folder.with_name(f"{self._kind}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        self._folder.replace(aside)
        self._folder.mkdir()
        notices.append(f"{text} ({aside})")

    def _walk_all(self) -> None:
        """Touch every record; in a child process, see ``disk_check``."""
        environment = lmdb.open(str(self._folder), readonly=True, lock=False, max_dbs=8)
        names: list[bytes] = []
        with environment.begin() as transaction:
            names += [bytes(name) for name, _about in transaction.cursor()]
        for name in names:
            database = environment.open_db(name, create=False)
            with environment.begin(db=database) as transaction:
                for place, stored in transaction.cursor():
                    len(place) + len(stored)

    def _open(self) -> lmdb.Environment:
        data = self._folder / "data.mdb"
        written_bytes = data.stat().st_size if data.exists() else 0
        power = self._kind == "power"
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
        temporary = self._mark.with_suffix(".tmp")
        with temporary.open("w") as file:
            file.write(f"{state} {_boot_id()}")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._mark)

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
            while present and len(rows) < count:
                rows.append(cursor.item())
                present = cursor.next()
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
        """Let go of the pages that reading has mapped into memory."""
        self._env.set_mapsize(self._env.info()["map_size"])

    def close(self) -> None:
        self._env.sync(True)
        self._env.close()
        self._write_mark("clean")


def _boot_id() -> str:
    """Tells one start of the machine from the next; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
