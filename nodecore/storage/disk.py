"""The disk of a node as the pure core sees it: records by area and key, written in batches.

Writes that collect during a wake-up leave as one ``DiskWrite`` effect ahead of every message of that
wake-up, so what was written *to the operating system* (durability ``process``) is there before any
acknowledgement leaves. A batch that holds a ``power`` record is flushed to the medium by the driver's
writer, and its callbacks run when ``Node.on_disk_done`` brings the ticket back. Reads are direct.

It knows neither what records mean nor which of them are worth keeping.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final, Protocol, TypeAlias, final

from nodecore.effects import DiskWrite
from nodecore.ids import Now

OnDurable: TypeAlias = Callable[[Now], None]


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


@final
class DiskWrites:
    """What goes to disk, wake-up by wake-up.

    Args:
        store: where reads go.
    """

    def __init__(self, store: DiskStore) -> None:
        self.store: Final = store
        self._batch: dict[tuple[Area, bytes], bytes | None] = {}
        self._callbacks: list[OnDurable] = []
        self._sync = False
        self._ticket = 0
        self._waiting: dict[int, list[OnDurable]] = {}

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
        if durability is not Durability.MEMORY:
            self._batch[(area, key)] = record
        if durability is Durability.POWER:
            self._sync = True
            if on_durable is not None:
                self._callbacks.append(on_durable)
        elif on_durable is not None:
            on_durable(now)

    def take(self) -> DiskWrite | None:
        """The batch of this wake-up; the driver executes it before any message of the wake-up."""
        if not self._batch:
            return None
        self._ticket += 1
        if self._callbacks:
            self._waiting[self._ticket] = self._callbacks
        records = tuple((int(area), key, record) for (area, key), record in self._batch.items())
        effect = DiskWrite(self._ticket, records, self._sync)
        self._batch, self._callbacks, self._sync = {}, [], False
        return effect

    def on_done(self, ticket: int, now: Now) -> None:
        """The batch is on the medium."""
        for on_durable in self._waiting.pop(ticket, ()):
            on_durable(now)
