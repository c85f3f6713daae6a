"""Executes what a node asks of its disk, and ends the node when a promise can't be kept.

Without a disk every write is done at once: nothing was promised. It decides nothing about records.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, final

from nodecore.disk_faults import DiskFaults
from nodecore.effects import DiskWrite, Emit, Severity, Stop
from nodecore.ids import Now
from nodecore.node import Node
from nodecore.runtime.disk_store import ForeignDiskError
from nodecore.runtime.node_disk import NodeDisk
from nodecore.storage.disk import DiskError

_DRAIN_S: Final = 3.0
_DRAIN_RECORDS: Final = 500


@final
class DiskDriver:
    """One node's disk.

    Args:
        node: told of what is done.
        disk: None: the node keeps nothing.
        faults: what is injected.
        wake: makes the driver take a turn; called from another thread.
    """

    def __init__(
        self, node: Node, disk: NodeDisk | None, faults: DiskFaults, wake: Callable[[], None]
    ) -> None:
        self._node = node
        self._disk = disk
        self._cluster_id = ""
        self.stop: Stop | None = None
        """Why the node must end; nothing that waits may be answered."""
        if disk is not None:
            disk.on_write, disk.on_read = faults.on_write, faults.on_read
            disk.on_finished(wake)
            for notice in disk.notices:
                node.emit(Emit("disk.discarded", notice, Severity.ERROR))

    def write(self, effect: DiskWrite, now: Now) -> None:
        """Execute a DiskWrite."""
        if self._disk is not None:
            try:
                refused = self._disk.write(effect)
            except DiskError as error:
                self._give_up(error, 1)
                return
            if refused:
                self._node.on_disk_refused(effect, refused, now)
            if effect.synced:
                return
        self._node.on_disk_done(effect.ticket, now)

    def turn(self, now: Now) -> None:
        """Once per wake-up: pass on what the writer has flushed."""
        disk = self._disk
        if disk is None:
            return
        if disk.flushing:
            try:
                for ticket in disk.take_done():
                    self._node.on_disk_done(ticket, now)
            except DiskError as error:
                self._give_up(error, 1)
        disk.review()

    def drain(self, now: Now) -> None:
        """The process ends in order: what memory holds goes to disk, within a few seconds."""
        upkeep = self._node.disk_upkeep
        if self._disk is None or upkeep is None or self._node.standing.own_status() == "left":
            return
        until_s = time.monotonic() + _DRAIN_S
        more = True
        while more and self.stop is None and time.monotonic() < until_s:
            more = upkeep.write_down(_DRAIN_RECORDS, now)
            if (effect := self._node.disk.take()) is not None:
                self.write(effect, now)

    def claim(self, cluster_id: str) -> None:
        """The node belongs to that cluster; so must its records."""
        if self._disk is None or cluster_id == self._cluster_id:
            return
        self._cluster_id = cluster_id
        try:
            self._disk.claim(cluster_id)
        except ForeignDiskError as error:
            self._give_up(error, 2)
        except DiskError as error:
            self._give_up(error, 1)

    def _give_up(self, error: DiskError, exit_code: int) -> None:
        if self.stop is None:
            self._node.emit(Emit("disk.failed", str(error), Severity.ERROR))
            self.stop = Stop(str(error), exit_code)
