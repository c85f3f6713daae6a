"""The records of a simulated node by area and key: what LMDB is to a process, in memory and seeded.

Records that were written are seen at once and survive the death of the process; those that are to be
flushed survive a loss of power once they have landed, and those that are not are gone with the power,
as an environment without fsync is set aside. What is on its way when the process dies lands whole or
not at all, unless the medium tears: then a part of the new record replaces the old one.

Faults are attributes that tests and the swarm set: slow and failing flushes, a full disk, records that
can't be read, that are misdirected or torn, flipped bits. It decides nothing about nodes.
"""

from __future__ import annotations

from random import Random

from nodecore.effects import DiskRecords, DiskWrite
from nodecore.storage.disk import Area, DiskError


class SimStore:
    """Records of one node, as ``DiskStore`` has them.

    Args:
        rng: decides where damage falls.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._kept: dict[tuple[int, bytes], bytes] = {}
        self._medium: dict[tuple[int, bytes], bytes] = {}
        """What survives a loss of power."""
        self._flying: dict[int, tuple[DiskRecords, list[bytes | None]]] = {}
        """By ticket: records on their way to the medium, and what each of them replaced."""
        self.fsync_s = 0.002
        """How long a flush takes."""
        self.fsync_fails = ""
        """Why the next flush fails; empty: it does not."""
        self.refuses = ""
        """Why nothing can be written; empty: it can."""
        self.unreadable = 0.0
        """Share of the reads that fail."""
        self.misdirected = 0.0
        """Share of the reads that find another record of the area."""
        self.tears = 0.0
        """Share of what is on its way that is torn when the process dies."""

    # -- reading

    def get(self, area: Area, key: bytes) -> bytes | None:
        """See ``DiskStore``."""
        self._may_fail()
        found = self._kept.get((int(area), key))
        if found is not None and self.misdirected and self._rng.random() < self.misdirected:
            others = sorted(other for kept, other in self._kept if kept == area)
            return self._kept[(int(area), self._rng.choice(others))]
        return found

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

    # -- writing

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
        """A flush has ended; False when it was lost with its process.

        Raises:
            DiskError: the flush has failed; nothing of it is on the medium.
        """
        if self.fsync_fails:
            self._undo(ticket)
            raise DiskError(self.fsync_fails)
        flight = self._flying.pop(ticket, None)
        if flight is None:
            return False
        for area, key, record in flight[0]:
            if record is not None:
                self._medium[(area, key)] = record
        return True

    def _undo(self, ticket: int) -> None:
        """What was on its way never arrived."""
        records, before = self._flying.pop(ticket, ((), []))
        for (area, key, _record), old in zip(records, before, strict=True):
            if old is None:
                self._kept.pop((area, key), None)
            else:
                self._kept[(area, key)] = old

    # -- accidents

    def kill(self) -> None:
        """The process is dead: what was on its way has landed, or has not, or is torn."""
        for ticket in sorted(self._flying, reverse=True):
            if self.tears and self._rng.random() < self.tears:
                self._tear(ticket)
            elif self._rng.random() < 0.5:
                self._undo(ticket)
            else:
                records, _before = self._flying.pop(ticket)
                self._medium.update(
                    ((area, key), record) for area, key, record in records if record is not None
                )

    def _tear(self, ticket: int) -> None:
        records, _before = self._flying.pop(ticket)
        for area, key, record in records:
            if record is not None:
                torn = record[: self._rng.randrange(len(record))]
                self._kept[(area, key)] = self._medium[(area, key)] = torn

    def cut_power(self) -> None:
        """As ``kill``, and what was never flushed is gone."""
        self.kill()
        self._kept = dict(self._medium)

    def damage(self, area: Area) -> bytes | None:
        """Flip a bit in a record; its key, None when there is none."""
        keys = sorted(key for kept, key in self._kept if kept == area)
        if not keys:
            return None
        key = self._rng.choice(keys)
        self._kept[(int(area), key)] = flipped(self._kept[(int(area), key)], self._rng)
        return key

    def wipe(self) -> None:
        """Everything is gone."""
        self._kept.clear()
        self._medium.clear()
        self._flying.clear()


def flipped(body: bytes, rng: Random) -> bytes:
    """The bytes with one bit turned over."""
    damaged = bytearray(body)
    position = rng.randrange(len(damaged) * 8)
    damaged[position >> 3] ^= 1 << (position & 7)
    return bytes(damaged)
