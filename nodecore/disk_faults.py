"""What the faults on a node's disk do to the next record that it writes.

``eio`` fails a share of the writes, and of the reads of cached records; ``enospc`` fails all writes. A
node whose promised record was not written stops, because it can't keep its promises; a cache that
can't write back goes on without. ``slow_fsync`` makes each flush wait for its disk. ``bitflip``
damages a share of the cached records that are read, as a failing medium would: the small records of a
node are read only when a process starts, and no fault outlives a process.

This module decides; the record store and the disk in ``runtime`` fail or wait.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from random import Random
from typing import Final, final

from nodecore.config import NodeConfig
from nodecore.storage.disk import DiskError
from transport.faults import KINDS, FaultBoard, FaultSpec

SLOW_FSYNC_MS_MAX: Final = 2_000
"""A node waits for its disk in the middle of everything: longer, and it could not be healed."""


@dataclass(frozen=True, slots=True)
class DiskVerdict:
    """What happens to one write."""

    delay_s: float = 0.0
    """How long its fsync takes longer."""
    error: int = 0
    """``errno`` of its failure, 0: it succeeds."""
    text: str = ""


UNDISTURBED: Final = DiskVerdict()


@final
class DiskFaults:
    """Draws the fate of each write.

    Args:
        board: holds the faults; hits are counted there.
        rng: decides which share of the writes is hit.
    """

    def __init__(self, board: FaultBoard, rng: Random) -> None:
        self._board = board
        self._rng = rng

    def on_write(self) -> DiskVerdict:
        """The fate of the write that comes now."""
        if not len(self._board):
            return UNDISTURBED
        delay_ms = 0.0
        for fault in self._board.at("disk"):
            kind = fault.spec.kind
            if kind == "enospc":
                fault.hits += 1
                return DiskVerdict(0.0, errno.ENOSPC, f"disk full ({fault.fault_id})")
            if kind == "eio" and self._rng.random() < fault.spec["rate"]:
                fault.hits += 1
                return DiskVerdict(0.0, errno.EIO, f"input/output error ({fault.fault_id})")
            if kind == "slow_fsync":
                fault.hits += 1
                delay_ms += fault.spec["delay"]
        return DiskVerdict(min(delay_ms, SLOW_FSYNC_MS_MAX) / 1000) if delay_ms else UNDISTURBED

    def on_read(self, record: bytes) -> bytes:
        """What a cached record turns into on its way from the medium.

        Raises:
            DiskError: it can't be read.
        """
        if not len(self._board) or not record:
            return record
        for fault in self._board.at("disk"):
            kind = fault.spec.kind
            if kind == "eio" and self._rng.random() < fault.spec["rate"]:
                fault.hits += 1
                raise DiskError(f"can't read a record: input/output error ({fault.fault_id})")
            if kind == "bitflip" and self._rng.random() < fault.spec["rate"]:
                fault.hits += 1
                damaged = bytearray(record)
                position = self._rng.randrange(8 * len(damaged))
                damaged[position >> 3] ^= 1 << (position & 7)
                record = bytes(damaged)
        return record


def disk_fault_problem(spec: FaultSpec, config: NodeConfig) -> str:
    """Why this node can't take a fault on its disk; empty when it can, or when it is another fault."""
    if KINDS[spec.kind].place != "disk":
        return ""
    if not config.data_dir:
        return f"{spec.kind}: this node keeps nothing on disk (it has no data_dir)"
    if spec.kind == "slow_fsync" and spec["delay"] > SLOW_FSYNC_MS_MAX:
        return f"slow_fsync: delay must be at most {SLOW_FSYNC_MS_MAX} ms: the node waits with it"
    return ""
