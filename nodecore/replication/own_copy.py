"""A coordinator's own copies: those that must be on the medium first, and those to be taken back.

Until the disk has flushed a copy it is no acknowledgement. When that takes longer than a call to a
peer may, the copy counts as missing and its outcome as possible: it may land yet. A copy that is all there
is, because every peer refused its time, is taken back: it would win over what others write meanwhile,
and reach them once their clocks have caught up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, final

from nodecore.errors import Code
from nodecore.ids import Epoch, Incarnation, NodeId, Now
from nodecore.replication.calls import Calls
from nodecore.replication.job import Job, Part
from nodecore.replication.replica import Replica
from nodecore.storage.disk import DiskWrites

OnProgress: TypeAlias = Callable[[Job, Now], None]


@final
class OwnCopies:
    """What one node waits for.

    Args:
        node: whose copies.
        incarnation: of its process.
        calls: lends its time-out.
        on_progress: told of a job when a copy has landed or is given up.
    """

    def __init__(
        self, node: NodeId, incarnation: Incarnation, calls: Calls, on_progress: OnProgress
    ) -> None:
        self.node = node
        self.incarnation = incarnation
        self.on_progress = on_progress
        self._calls = calls
        self.late = 0
        """Copies that the disk had not flushed in time."""
        self.undone = 0
        """Copies that were taken back."""

    def take_back(self, job: Job, replica: Replica, now: Now) -> None:
        """All have spoken: undo what peers refused for its time and nobody else has taken. What it had
        replaced comes back: that may be one of the copies of an acknowledged write.

        Until now reads could see the copy, and repair other owners with it: the job remembers that
        its write of that key may come about all the same.
        """
        part_of = {index: part for part in job.parts for index in part.indexes}
        for index, refused in job.refusals.items():
            if Code.CLOCK_SKEW not in refused.values() or self.node in refused:
                continue
            part = part_of[index]
            holders = [
                name for name in part.route.targets if part.has(name) and name not in refused
            ]
            if holders == [self.node]:
                key = job.keys[index]
                replica.take_back(key, job.version, job.replaced.get(key), now)
                refused[self.node] = Code.CLOCK_SKEW
                job.taken_back.add(index)
                self.undone += 1

    def wait(self, job: Job, owned: list[Part], epoch: Epoch, disk: DiskWrites, now: Now) -> None:
        """Count these parts once what has just been written is on the medium."""
        job.waiting += 1
        copy = _OwnCopy(self, job, owned, epoch)
        self._calls.add_deadline(copy, now)
        disk.when_synced(copy.on_synced, now)


@final
class _OwnCopy:
    __slots__ = ("_copies", "_epoch", "_job", "_owned", "_round", "settled")

    def __init__(self, copies: OwnCopies, job: Job, owned: list[Part], epoch: Epoch) -> None:
        self._copies = copies
        self._job = job
        self._round = job.round
        self._owned = owned
        self._epoch = epoch
        self.settled = False

    def on_synced(self, now: Now) -> None:
        """On the medium."""
        if self._settle():
            for part in self._owned:
                part.ack(self._copies.node, self._epoch, self._copies.incarnation)
            self._copies.on_progress(self._job, now)

    def on_deadline(self, now: Now) -> None:
        """Not there in time."""
        if self._settle():
            self._copies.late += 1
            self._job.possible = True
            for part in self._owned:
                part.fail(self._copies.node)
            self._copies.on_progress(self._job, now)

    def _settle(self) -> bool:
        """Whether it is the first word, of a round that still counts."""
        first, self.settled = not self.settled, True
        return first and self._job.round == self._round
