"""``ringdeck restore``: the entries of a backup are offered to a live cluster, batch by batch.

The file is checked from end to end before anything is sent. Batches go to the first owner of their
keys, several at once; what may pass (a node away, another epoch) is tried again, which is harmless:
an entry in its own version happens once. What was not taken in the end is counted with its reasons.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, final

import trio

from console.errors import ClusterUnreachable, ConsoleError
from console.runtime import backup_files
from console.runtime.backup_links import (
    RETRYABLE,
    ClusterView,
    NodeLinks,
    may_pass,
    plain_counts,
)
from nodecore.backup.file_format import Header
from nodecore.ids import NodeId
from nodecore.placement.hashing import slot_of
from nodecore.placement.slot_map import SlotMap
from nodecore.storage.records import Record

WORKERS: Final = 4
BATCH_ENTRIES: Final = 256
BATCH_BYTES: Final = 512 * 1024
CALL_TIMEOUT_S: Final = 12.0
"""A node reads and writes strong keys one after the other, each within its operation timeout."""
PATIENCE_S: Final = 20.0
PAUSE_S: Final = 0.4
REASONS_MAX: Final = 20
_COUNTED: Final = ("applied", "same", "kept", "expired", "flushed", "sloppy")

Advance = Callable[[int, int, float], None]
"""(keys, bytes, share of the work that is done)."""


@dataclass(slots=True)
class Restored:
    """How a restore ended; every record is counted once, those with fewer copies than W again."""

    file: str
    cluster_id: str
    """Of the backup."""
    dry_run: bool
    records: int = 0
    applied: int = 0
    same: int = 0
    """Were there in the very same version."""
    kept: int = 0
    """Something newer, or a live strong key, stayed."""
    expired: int = 0
    flushed: int = 0
    """Older than a flush of the cluster."""
    sloppy: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class _Batch(NamedTuple):
    owner: NodeId
    entries: list[list[object]]


@final
class _Restore:
    def __init__(
        self, view: ClusterView, header: Header, found: Restored, options: Mapping[str, object]
    ) -> None:
        self._view = view
        self._found = found
        self._common = {
            "cluster_id": header.cluster_id,
            "created_hlc": header.created_hlc,
            **options,
        }
        self._header = header
        self._map = SlotMap.compile(view.topology)
        self._batches: dict[NodeId, tuple[list[list[object]], int]] = {}

    def add(self, record: Record) -> _Batch | None:
        """Take one record; returns a batch that is full now."""
        owner = self._map.owners[slot_of(record.key)][0]
        entries, size = self._batches.get(owner, ([], 0))
        strong = self._header.space_of(record.key).mode == "strong"
        entries.append(
            [record.key, record.kind, record.value, *record.version, record.expires_ms, strong]
        )
        size += len(record.key) + len(record.value)
        if len(entries) >= BATCH_ENTRIES or size >= BATCH_BYTES:
            self._batches.pop(owner, None)
            return _Batch(owner, entries)
        self._batches[owner] = entries, size
        return None

    def rest(self) -> list[_Batch]:
        """What has not filled a batch."""
        return [_Batch(owner, entries) for owner, (entries, _size) in self._batches.items()]

    async def work(self, batches: trio.MemoryReceiveChannel[_Batch]) -> None:
        """Send batches until there are no more."""
        async with AsyncExitStack() as stack:
            links = NodeLinks(stack, self._view)
            async for batch in batches:
                await self._send(links, batch)

    async def _send(self, links: NodeLinks, batch: _Batch) -> None:
        """One batch until all of it is settled, or patience ends."""
        until_s = trio.current_time() + PATIENCE_S
        entries = batch.entries
        while True:
            error: ConsoleError = ClusterUnreachable("no node of the cluster answers")
            for node in self._targets(batch.owner):
                link = await links.open(node)
                if link is None:
                    continue
                try:
                    arguments = {**self._common, "entries": entries}
                    plain = await link.call("restore.entries", arguments, CALL_TIMEOUT_S)
                    failed = self._count(plain, entries)
                except ConsoleError as caught:
                    if not may_pass(caught):
                        raise
                    links.failed(node)
                    error = caught
                    continue
                entries = [entries[row] for row, _code, _text in failed]
                if not entries:
                    return
                if trio.current_time() > until_s or not self._may_pass(failed):
                    self._give_up(failed)
                    return
                break
            else:
                if trio.current_time() > until_s:
                    if isinstance(error, ClusterUnreachable):
                        raise error
                    self._give_up([(row, 0, str(error)) for row in range(len(entries))])
                    return
            await trio.sleep(PAUSE_S)
            await self._view.refresh()

    def _targets(self, owner: NodeId) -> list[NodeId]:
        """The owner first; any other member passes entries on."""
        others = [node for node in self._view.addresses if node != owner]
        order = [owner, *others] if owner in self._view.addresses else others
        return sorted(order, key=self._view.is_avoided)

    def _count(self, plain: object, entries: list[list[object]]) -> list[tuple[int, int, str]]:
        counts = plain_counts(plain, _COUNTED)
        rows = plain.get("failed") if isinstance(plain, dict) else None
        failed: list[tuple[int, int, str]] = []
        for row in rows if isinstance(rows, list) else []:
            match row:
                case [int(number), int(code), str(text)] if 0 <= number < len(entries):
                    failed.append((number, code, text))
        settled = sum(counts.values()) - counts["sloppy"]
        if settled + len(failed) != len(entries):
            raise ConsoleError("a node's answer does not tell of every entry")
        for name, count in counts.items():
            setattr(self._found, name, getattr(self._found, name) + count)
        return failed

    def _may_pass(self, failed: list[tuple[int, int, str]]) -> bool:
        return any(code in RETRYABLE for _row, code, _text in failed)

    def _give_up(self, failed: list[tuple[int, int, str]]) -> None:
        found = self._found
        found.failed += len(failed)
        for _row, _code, text in failed:
            if text in found.reasons or len(found.reasons) < REASONS_MAX:
                found.reasons[text] = found.reasons.get(text, 0) + 1


async def restore(
    name: str,
    address: str,
    path: Path,
    advances: tuple[Advance, Advance],
    *,
    dry_run: bool,
    renew: bool,
) -> Restored:
    """Restore a file into a cluster by local name, or by any member's address.

    Args:
        name: of the local cluster.
        address: native address of any member, instead of the name.
        path: the backup.
        advances: hear of the checking and of the sending.
        dry_run: only look what would be applied.
        renew: write what is missing as new, whatever was deleted or flushed since.

    Raises:
        ConsoleError: the file is not a whole backup; nothing was sent.
        ClusterUnreachable: no node answers.
    """
    begun_s = time.monotonic()
    checking, sending = advances
    summary = backup_files.verify(path, lambda done, of: checking(0, done, done / of))
    view = await ClusterView.open(name, address)
    header, total = summary.header, max(1, summary.trailer.records)
    found = Restored(str(path), header.cluster_id, dry_run)
    work = _Restore(view, header, found, {"dry_run": dry_run, "renew": renew})
    to_workers, batches = trio.open_memory_channel[_Batch](WORKERS)
    payload = 0
    async with trio.open_nursery() as nursery:
        async with batches:
            for _number in range(WORKERS):
                nursery.start_soon(work.work, batches.clone())
        async with to_workers:
            for _decoder, records in backup_files.read_backup(path, lambda _done, _of: None):
                for record in records:
                    found.records += 1
                    payload += len(record.key) + len(record.value)
                    batch = work.add(record)
                    if batch is not None:
                        await to_workers.send(batch)
                        sending(found.records, payload, found.records / total)
            for batch in work.rest():
                await to_workers.send(batch)
    sending(found.records, payload, 1.0)
    found.seconds = round(time.monotonic() - begun_s, 3)
    return found
