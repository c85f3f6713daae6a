"""The disks of simulated nodes: small named records, as the record store of a process keeps them,
beside the records of entries and registers (``store``).

A small record that was saved survives a crash. A crash in the middle of a save leaves the old record (the
replacement is atomic), unless the disk is told to tear: then the record is damaged, and the process
refuses to start from it. A wiped disk is an empty one. It decides nothing about nodes.
"""

from __future__ import annotations

import zlib
from random import Random
from typing import final

from nodecore.simulation.store import SimStore, flipped


class DamagedRecord(Exception):  # noqa: N818 - the name says what it is
    """A record fails its checksum."""


@final
class SimDisk(SimStore):
    """Everything that one node keeps.

    Args:
        rng: decides where damage falls.
    """

    def __init__(self, rng: Random) -> None:
        super().__init__(rng)
        self._records: dict[str, bytes] = {}
        self._previous: dict[str, bytes | None] = {}
        self._last = ""
        self.saves = 0
        self.boots = 0
        """Starts of the machine."""
        self._lost: list[str] = []

    def cut_power(self) -> None:
        """As of its records; the machine has started once more."""
        super().cut_power()
        self.boots += 1
        self._lost = ["process"]

    def take_lost(self) -> list[str]:
        """Durabilities whose records have gone since this was asked last."""
        lost, self._lost = self._lost, []
        return lost

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
        self._records[name] = flipped(self._records[name], self._rng)
        return name

    def wipe(self) -> None:
        """Everything is gone."""
        super().wipe()
        self._records.clear()
        self._previous.clear()
        self._last = ""

    def __len__(self) -> int:
        return len(self._records)
