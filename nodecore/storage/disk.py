"""The disk of a node as the pure core sees it: records by area and key, written in batches.

Writes that collect during a wake-up leave as one ``DiskWrite`` effect ahead of every message of that
wake-up, so what was written *to the operating system* (durability ``process``) is there before any
acknowledgement leaves. Records of ``power`` are flushed to the medium by the driver's writer, and the
callbacks run when ``Node.on_disk_done`` brings the ticket back. Records that nobody was promised (the
write-back of a cache) may be refused without harm. Reads are direct, and see what was just written.

It knows neither what records mean nor which of them are worth keeping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final, Protocol, TypeAlias, final

from nodecore.effects import DiskWrite
from nodecore.ids import Now

OnDurable: TypeAlias = Callable[[Now], None]
Spares: TypeAlias = Sequence[tuple[bytes, bytes | None]]
"""(key, record; None: its removal) that nobody was promised."""


class Area(IntEnum):
    """What a record belongs to. Numeric values are part of the disk format."""

    CACHE = 1
    """Entries of eventual keyspaces."""
    STRONG = 2
    """Acceptor states of strong keys."""


class Durability(IntEnum):
    """What an acknowledged write survives, see ``Keyspace.durability``."""

    MEMORY = 0
    PROCESS = 1
    """The death of the process: handed to the operating system before the acknowledgement."""
    POWER = 2
    """Loss of power: flushed to the medium before the acknowledgement."""


class DiskError(Exception):
    """The disk refused a read or a write; the text says which and why."""


class DiskStore(Protocol):
    """Records on a medium: LMDB in the process, memory that can be damaged in the simulation."""

    def get(self, area: Area, key: bytes) -> bytes | None:
        """A record as it was written, None when there is none.

        Raises:
            DiskError: the medium could not be read.
        """

    def walk(self, area: Area, after: bytes | None, count: int) -> list[tuple[bytes, bytes]]:
        """Up to ``count`` records in order of their keys, from the first one above ``after``.

        Raises:
            DiskError: the medium could not be read.
        """

    def used_bytes(self, area: Area) -> int:
        """What the records of an area occupy on the medium."""


@final
class NoDisk:
    """A node without a data directory: nothing is kept, nothing is found."""

    def get(self, area: Area, key: bytes) -> bytes | None:
        """Nothing."""
        del area, key
        return None

    def walk(self, area: Area, after: bytes | None, count: int) -> list[tuple[bytes, bytes]]:
        """Nothing."""
        del area, after, count
        return []

    def used_bytes(self, area: Area) -> int:
        """Nothing."""
        del area
        return 0


_Batch: TypeAlias = dict[tuple[Area, bytes], bytes | None]


@final
class DiskWrites:
    """What goes to disk, wake-up by wake-up, and reads that see it at once.

    Args:
        store: where reads go.
    """

    def __init__(self, store: DiskStore) -> None:
        self.store: Final = store
        self._records: _Batch = {}
        self._synced: _Batch = {}
        self._spare: _Batch = {}
        self._callbacks: list[OnDurable] = []
        self._ticket = 0
        self._waiting: dict[int, list[OnDurable]] = {}
        self.synced_puts = 0
        """Records of durability ``power`` so far: tells whether something has just written one."""
        self.owes = False
        """A promised record waits to be written: no answer may leave before the batch is taken."""
        self.on_refused: Callable[[str, Spares, Now], None] = _ignore
        """Told why records of the cache that nothing rests on were not written, and which."""

    # -- writing

    def put(
        self,
        area: Area,
        key: bytes,
        record: bytes | None,
        durability: Durability,
        on_durable: OnDurable | None,
        now: Now,
    ) -> None:
        """Write a record, or remove it when ``record`` is None.

        ``on_durable`` runs once an acknowledgement may leave: at once for ``memory`` and ``process``
        (the batch is executed before anything that is sent in this wake-up), later for ``power``.
        """
        place = (area, key)
        if durability is Durability.POWER:
            self._records.pop(place, None)
            self._spare.pop(place, None)
            self._synced[place] = record
            self.synced_puts += 1
            self.owes = True
            if on_durable is not None:
                self._callbacks.append(on_durable)
            return
        if durability is Durability.PROCESS:
            self._synced.pop(place, None)
            self._spare.pop(place, None)
            self._records[place] = record
            self.owes = True
        if on_durable is not None:
            on_durable(now)

    def put_spare(self, area: Area, key: bytes, record: bytes | None) -> None:
        """Write or remove a record that nobody was promised; a later promise replaces it."""
        place = (area, key)
        self._records.pop(place, None)
        self._synced.pop(place, None)
        self._spare[place] = record

    def put_spares(self, area: Area, rows: Spares) -> None:
        """As ``put_spare`` for many."""
        spare = {(area, key): record for key, record in rows}
        for promised in (self._records, self._synced):
            for place in promised.keys() & spare.keys():
                del promised[place]
        self._spare.update(spare)

    def refuse(self, effect: DiskWrite, text: str, now: Now) -> None:
        """The spare records of a batch were not written; some of them may have been."""
        lost = [
            (key, record)
            for area, key, record in effect.spare
            if area == Area.CACHE and not self.waits(Area.CACHE, key)
        ]
        self.on_refused(text, lost, now)

    def waits(self, area: Area, key: bytes) -> bool:
        """Whether a record or its removal waits for the end of this wake-up."""
        place = (area, key)
        return place in self._records or place in self._synced or place in self._spare

    def when_synced(self, on_durable: OnDurable, now: Now) -> None:
        """Call back once the ``power`` records that wait in this wake-up are on the medium."""
        if self._synced:
            self._callbacks.append(on_durable)
        else:
            on_durable(now)

    def take(self) -> DiskWrite | None:
        """The batch of this wake-up; the driver executes it before any message of the wake-up."""
        self.owes = False
        if not self._records and not self._synced and not self._spare:
            return None
        self._ticket += 1
        if self._callbacks:
            self._waiting[self._ticket] = self._callbacks
        effect = DiskWrite(
            self._ticket, _rows(self._records), _rows(self._synced), _rows(self._spare)
        )
        self._records, self._synced, self._spare, self._callbacks = {}, {}, {}, []
        return effect

    def on_done(self, ticket: int, now: Now) -> None:
        """The batch is on the medium."""
        for on_durable in self._waiting.pop(ticket, ()):
            on_durable(now)

    # -- reading

    def get(self, area: Area, key: bytes) -> bytes | None:
        """As ``DiskStore.get``, with what this wake-up has written.

        Raises:
            DiskError: the medium could not be read.
        """
        place = (area, key)
        for batch in (self._records, self._synced, self._spare):
            if place in batch:
                return batch[place]
        return self.store.get(area, key)

    def walk(self, area: Area, after: bytes | None, count: int) -> list[tuple[bytes, bytes]]:
        """As ``DiskStore.walk``, with what this wake-up has written; an empty list ends the walk.

        Raises:
            DiskError: the medium could not be read.
        """
        while True:
            found = self.store.walk(area, after, count)
            if not (self._records or self._synced or self._spare):
                return found
            last = found[-1][0] if len(found) >= count else None
            merged: dict[bytes, bytes | None] = dict(found)
            for batch in (self._records, self._synced, self._spare):
                for (written_area, key), record in batch.items():
                    if written_area is area and (after is None or key > after):
                        merged[key] = record
            rows = [
                (key, record)
                for key, record in sorted(merged.items())
                if record is not None and (last is None or key <= last)
            ]
            if rows or last is None:
                return rows[:count]
            after = last

    def sample(self, area: Area, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """Some of up to ``count`` records above a key: those that this wake-up has not written.

        For many looks at random places: unlike a walk it does not go through all that was written.

        Raises:
            DiskError: the medium could not be read.
        """
        found = self.store.walk(area, after, count)
        return [row for row in found if not self.waits(area, row[0])]


def _rows(batch: _Batch) -> tuple[tuple[int, bytes, bytes | None], ...]:
    return tuple((int(area), key, record) for (area, key), record in batch.items())


def _ignore(_text: str, _rows: Spares, _now: Now) -> None:
    """Nobody has asked to be told."""
