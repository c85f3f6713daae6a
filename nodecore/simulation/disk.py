"""The disks of simulated nodes: small named records, as the record store of a process keeps them,
and the records of entries and registers by area and key.

A record that was saved survives a crash. A crash in the middle of a save leaves the old record (the
replacement is atomic), unless the disk is told to tear: then the record is damaged, and the process
refuses to start from it. A wiped disk is an empty one. It decides nothing about nodes.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from random import Random
from typing import final

from nodecore.storage.disk import Area


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
        self.saves = 0

    def get(self, area: Area, key: bytes) -> bytes | None:
        """See ``DiskStore``."""
        return self._kept.get((int(area), key))

    def walk(self, area: Area, after: bytes | None, count: int) -> list[tuple[bytes, bytes]]:
        """See ``DiskStore``."""
        keys = sorted(
            key for kept, key in self._kept if kept == area and (after is None or key > after)
        )
        return [(key, self._kept[(int(area), key)]) for key in keys[:count]]

    def used_bytes(self, area: Area) -> int:
        """See ``DiskStore``."""
        return sum(
            len(key) + len(record) for (kept, key), record in self._kept.items() if kept == area
        )

    def write(self, records: Sequence[tuple[int, bytes, bytes | None]]) -> None:
        """Execute a DiskWrite."""
        for area, key, record in records:
            if record is None:
                self._kept.pop((area, key), None)
            else:
                self._kept[(area, key)] = record

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
        self._last = ""

    def __len__(self) -> int:
        return len(self._records)
