"""``ringdeck backup``: a walk of a live cluster into one file, which is whole or not there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from console.errors import ConsoleError
from console.runtime.admin_client import call_first
from console.runtime.backup_files import BackupWriter
from console.runtime.backup_links import ClusterView, plain_counts
from console.runtime.backup_walk import PATIENCE_S, PAUSE_S, Walk
from nodecore.backup.file_format import Header, Space
from nodecore.ids import SLOTS_COUNT
from nodecore.storage.records import Record

Advance = Callable[[int, int, float], None]
"""(keys, bytes, share of the work that is done)."""
_SLOTS_WALKED: Final = 2 * SLOTS_COUNT
"""Strong keys are walked apart."""


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A backup that was made."""

    file: str
    cluster_id: str
    epoch: int
    keys: int
    bytes: int
    """Of keys and values."""
    file_bytes: int
    seconds: float


async def backup(name: str, address: str, path: Path, advance: Advance, *, force: bool) -> BackedUp:
    """Back up a cluster by local name, or by any member's address.

    Raises:
        UsageError: the file exists, or can't be there.
        ClusterUnreachable: no node answers.
        ConsoleError: it would not be whole, or can't be written.
    """
    begun_s = time.monotonic()
    writer = BackupWriter(path, force=force)
    try:
        view = await ClusterView.open(name, address)
        header = await _header(view)
        writer.header(header)
        slots = 0

        def on_slots(count: int) -> None:
            nonlocal slots
            slots += count
            advance(writer.records, writer.payload_bytes, slots / _SLOTS_WALKED)

        def on_entries(records: list[Record]) -> None:
            writer.add(records)
            advance(writer.records, writer.payload_bytes, slots / _SLOTS_WALKED)

        await Walk(view, on_entries, on_slots).run()
        size = writer.finish(time.time_ns() // 1_000_000)
    finally:
        writer.abandon()
    return BackedUp(
        str(path),
        header.cluster_id,
        header.epoch,
        writer.records,
        writer.payload_bytes,
        size,
        round(time.monotonic() - begun_s, 3),
    )


async def _header(view: ClusterView) -> Header:
    """Where and when the walk begins; waits while another epoch is coming into force."""
    until_s = trio.current_time() + PATIENCE_S
    while True:
        topology = view.topology
        try:
            arguments = {"epoch": int(topology.epoch), "slots": [0]}
            addresses = list(view.addresses.values())
            plain = await call_first(addresses, "backup.entries", arguments)
            moment = plain_counts(plain, ("hlc", "wall_ms"))
        except ConsoleError:
            if trio.current_time() > until_s:
                raise
            await trio.sleep(PAUSE_S)
            await view.refresh()
            continue
        spaces = tuple(Space(space.pattern, space.mode) for space in topology.keyspaces)
        return Header(
            topology.cluster_id,
            int(topology.epoch),
            moment["hlc"],
            moment["wall_ms"],
            len(topology.members),
            spaces,
        )
