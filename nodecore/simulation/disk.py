"""The disks of simulated nodes: small named records, as the record store of a process keeps them,
and the records of entries and registers by area and key.

Records of entries and registers that were written are seen at once and survive the death of the
process; those that are to be flushed survive a loss of power once they have landed, and those that are
not are gone with the power, as an environment without fsync is set aside. What is on its way when the
process dies lands whole or not at all. Damage, unreadable records and a full disk are injected.

A small record that was saved survives a crash. A crash in the middle of a save leaves the old record (the
replacement is atomic), unless the disk is told to tear: then the record is damaged, and the process
refuses to start from it. A wiped disk is an empty one. It decides nothing about nodes.
"""

from __future__ import annotations

import zlib
from random import Random
from typing import final

from nodecore.effects import DiskRecords, DiskWrite
from nodecore.storage.disk import Area, DiskError


class DamagedRecord(Exception):  # noqa: N818 - the name says what it is
    """A record fails its checksum."""


@final
class SimDisk:
    """Records of one node.

    Args:
        rng: decides where damage falls.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._records: dict[str, bytes] = {}
        self._previous: dict[str, bytes | None] = {}
        self._last = ""
        self._kept: dict[tuple[int, bytes], bytes] = {}
        self._medium: dict[tuple[int, bytes], bytes] = {}
        """What survives a loss of power."""
        self._flying: dict[int, tuple[DiskRecords, list[bytes | None]]] = {}
        """By ticket: records on their way to the medium, and what each of them replaced."""
        self.fsync_s = 0.002
        """How long a flush takes."""
        self.refuses = ""
        """Why nothing can be written; empty: it can."""
        self.unreadable = 0.0
        """Share of the reads of records that fail."""
        self.saves = 0
        self.boots = 0
        """Starts of the machine."""
        self._lost: list[str] = []

    def get(self, area: Area, key: bytes) -> bytes | None:
        """See ``DiskStore``."""
        self._may_fail()
        return self._kept.get((int(area), key))

    def _may_fail(self) -> None:
        if self.unreadable and self._rng.random() < self.unreadable:
            raise DiskError("input/output error")

    def walk(self, area: Area, after: bytes | None, count: int) -> list[tuple[bytes, bytes]]:
        """See ``DiskStore``."""
        self._may_fail()
        keys = sorted(
            key for kept, key in self._kept if kept == area and (after is None or key > after)
        )
        return [(key, self._kept[(int(area), key)]) for key in keys[:count]]

    def used_bytes(self, area: Area) -> int:
        """See ``DiskStore``."""
        return sum(
            len(key) + len(record) for (kept, key), record in self._kept.items() if kept == area
        )

    def write(self, effect: DiskWrite) -> str:
        """Execute a DiskWrite but for its flush, see :meth:`land`; why spare records were refused.

        Raises:
            DiskError: promised records can't be written.
        """
        if self.refuses:
            if effect.records or effect.synced:
                raise DiskError(self.refuses)
            return self.refuses
        self._apply(effect.records + effect.spare)
        if effect.synced:
            before = [self._kept.get((area, key)) for area, key, _record in effect.synced]
            self._flying[effect.ticket] = (effect.synced, before)
            self._apply(effect.synced)
        return ""

    def _apply(self, records: DiskRecords) -> None:
        for area, key, record in records:
            if record is None:
                self._kept.pop((area, key), None)
                self._medium.pop((area, key), None)
            else:
                self._kept[(area, key)] = record

    def land(self, ticket: int) -> bool:
        """A flush has ended; False when it was lost with its process."""
        flight = self._flying.pop(ticket, None)
        if flight is None:
            return False
        for area, key, record in flight[0]:
            if record is not None:
                self._medium[(area, key)] = record
        return True

    def kill(self) -> None:
        """The process is dead: what was on its way has landed or has not."""
        for ticket in sorted(self._flying, reverse=True):
            if self._rng.random() < 0.5:
                records, before = self._flying.pop(ticket)
                for (area, key, _record), old in zip(records, before, strict=True):
                    if old is None:
                        self._kept.pop((area, key), None)
                    else:
                        self._kept[(area, key)] = old
            else:
                self.land(ticket)

    def cut_power(self) -> None:
        """As ``kill``, and what was never flushed is gone."""
        self.kill()
        self._kept = dict(self._medium)
        self.boots += 1
        self._lost = ["process"]

    def take_lost(self) -> list[str]:
        """Durabilities whose records have gone since this was asked last."""
        lost, self._lost = self._lost, []
        return lost

    def damage(self, area: Area) -> bytes | None:
        """Flip a bit in a record; its key, None when there is none."""
        keys = sorted(key for kept, key in self._kept if kept == area)
        if not keys:
            return None
        key = self._rng.choice(keys)
        body = bytearray(self._kept[(int(area), key)])
        position = self._rng.randrange(len(body) * 8)
        body[position >> 3] ^= 1 << (position & 7)
        self._kept[(int(area), key)] = bytes(body)
        return key

    def save(self, name: str, payload: bytes) -> None:
        """Replace a record durably."""
        self._previous[name] = self._records.get(name)
        self._records[name] = zlib.crc32(payload).to_bytes(4, "big") + payload
        self._last = name
        self.saves += 1

    def load(self) -> dict[str, bytes]:
        """Every record.

        Raises:
            DamagedRecord: one fails its checksum.
        """
        found: dict[str, bytes] = {}
        for name in sorted(self._records):
            body = self._records[name]
            if body[:4] != zlib.crc32(body[4:]).to_bytes(4, "big"):
                raise DamagedRecord(name)
            found[name] = body[4:]
        return found

    def lose_last(self) -> str:
        """The last save never reached the medium (a disk that lied about its flush); its name."""
        name = self._last
        if name:
            previous = self._previous.pop(name, None)
            if previous is None:
                self._records.pop(name, None)
            else:
                self._records[name] = previous
            self._last = ""
        return name

    def flip_bit(self) -> str:
        """Damage one record; its name, empty when there is none."""
        names = sorted(self._records)
        if not names:
            return ""
        name = self._rng.choice(names)
        body = bytearray(self._records[name])
        position = self._rng.randrange(len(body) * 8)
        body[position >> 3] ^= 1 << (position & 7)
        self._records[name] = bytes(body)
        return name

    def wipe(self) -> None:
        """Everything is gone."""
        self._records.clear()
        self._previous.clear()
        self._kept.clear()
        self._medium.clear()
        self._flying.clear()
        self._last = ""

    def __len__(self) -> int:
        return len(self._records)
