"""Values that prove themselves, and what reads of them say about the cluster.

A value names its key, the run and the number of its write, and carries a checksum: a reader can
tell a value that was written from one that was damaged or belongs elsewhere. Remembering the last
acknowledged write of each key, a reader can also tell a miss that lost a write, and a value older
than one that was acknowledged before the read began.
"""

from __future__ import annotations

import zlib
from enum import Enum
from typing import NamedTuple, final


class Verdict(Enum):
    """What a read says."""

    HIT = "hit"
    MISS = "miss"
    """Nothing there, and nothing had been acknowledged."""
    LOST = "lost"
    """Nothing there, though a write had been acknowledged."""
    STALE = "stale"
    """A true value, older than one acknowledged before the read began."""
    WRONG = "wrong"
    """Not a value that was written to this key."""


class Parsed(NamedTuple):
    """The header of a value."""

    key: bytes
    run: int
    number: int


def make_value(key: bytes, run: int, number: int, size: int) -> bytes:
    """The value of write ``number`` of ``key`` in ``run``, ``size`` bytes or as short as it can be."""
    head = b"%b|%d|%d|" % (key, run, number)
    filler = b"." * max(0, size - len(head) - 9)
    body = head + filler + b"|"
    return body + b"%08x" % zlib.crc32(body)


def parse_value(value: bytes) -> Parsed | None:
    """The header of a whole and undamaged value, else None."""
    body, check = value[:-8], value[-8:]
    if b"%08x" % zlib.crc32(body) != check:
        return None
    parts = body.split(b"|")
    if len(parts) < 4 or not parts[-4].isdigit() or not parts[-3].isdigit():
        return None
    return Parsed(b"|".join(parts[:-4]), int(parts[-4]), int(parts[-3]))


@final
class Ledger:
    """What this run has written and what was acknowledged, per key number."""

    def __init__(self, run: int) -> None:
        self.run = run
        self._issued: dict[int, int] = {}
        self._acknowledged: dict[int, int] = {}

    def issue(self, key: int) -> int:
        """The number of the next write to this key."""
        number = self._issued.get(key, 0) + 1
        self._issued[key] = number
        return number

    def acknowledge(self, key: int, number: int) -> None:
        """A write was acknowledged."""
        if number > self._acknowledged.get(key, 0):
            self._acknowledged[key] = number

    def floor(self, key: int) -> int:
        """The newest acknowledged write: take it before a read begins; 0 = none."""
        return self._acknowledged.get(key, 0)

    @property
    def acknowledged_keys(self) -> list[int]:
        """Numbers of the keys of which a write was acknowledged."""
        return list(self._acknowledged)

    def judge(self, key: int, name: bytes, value: bytes | None, floor: int) -> Verdict:
        """What a read of ``key`` says, given the floor taken when it began."""
        if value is None:
            return Verdict.LOST if floor else Verdict.MISS
        parsed = parse_value(value)
        if parsed is None or parsed.key != name:
            return Verdict.WRONG
        if parsed.run != self.run:
            return Verdict.STALE if floor else Verdict.HIT
        if parsed.number > self._issued.get(key, 0):
            return Verdict.WRONG
        # Concurrent writes by one client may be ordered either way, so only older than the
        # acknowledged one by more than one counts.
        return Verdict.STALE if parsed.number < floor - 1 else Verdict.HIT
