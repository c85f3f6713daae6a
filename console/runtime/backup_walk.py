"""Walks all owners of all slots of a live cluster and hands on every live entry exactly once.

Slots go in chunks of the same owners. Each step asks every owner that can answer for the next page
and passes on what all of them reach. When an owner fails, or another epoch begins, the slot that was
under way is walked again from its beginning, without what was passed on already. The walk waits for
owners without which it would not be whole, a while; then it is refused. It is no picture of one
moment: each entry is what its key held at some moment of the walk.

Values of strong keys are read through their protocol.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final, final

import trio

from console.errors import ConsoleError
from console.runtime.admin_client import AdminLink
from console.runtime.backup_links import CALL_TIMEOUT_S, ClusterView, NodeLinks, may_pass
from nodecore.backup.merging import (
    MalformedPage,
    Page,
    Position,
    by_hash,
    by_name,
    merge,
    page_of,
)
from nodecore.backup.plan import Chunk, chunks_of
from nodecore.errors import Code
from nodecore.ids import SLOTS_COUNT, NodeId
from nodecore.requests import Done, Failed, Level, Read, Value
from nodecore.storage.records import Record

WORKERS: Final = 3
"""Chunks at once: nodes are asked while others answer, and clients hardly notice."""
PATIENCE_S: Final = 20.0
"""So long without getting on, and the walk is refused."""
PAUSE_S: Final = 0.3
STRONG_BATCH_KEYS: Final = 16
"""Values of one answer stay far below what a link carries; larger ones are read alone."""

OnEntries = Callable[[list[Record]], None]
OnSlots = Callable[[int], None]
"""Slots that are finished."""


class _Disrupted(Exception):  # noqa: N818
    """A step did not come about; the text says why."""


@final
class Walk:
    """One walk.

    Args:
        view: the cluster.
        on_entries: takes what was found.
        on_slots: hears of progress.
        patience_s: how long to wait for owners that are needed.
    """

    def __init__(
        self,
        view: ClusterView,
        on_entries: OnEntries,
        on_slots: OnSlots,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._view = view
        self._on_entries = on_entries
        self._on_slots = on_slots
        self._patience_s = patience_s
        self._queue: deque[Chunk] = deque()
        self._reached: dict[tuple[int, bool], tuple[int, bytes]] = {}
        """(slot, strong) -> up to where an unfinished slot was passed on."""

    async def run(self) -> None:
        """Walk everything.

        Raises:
            ConsoleError: it can't be whole; the text says what is missing.
        """
        for strong in (False, True):
            found = chunks_of(self._view.topology, range(SLOTS_COUNT), strong=strong)
            if not found:
                self._on_slots(SLOTS_COUNT)
            self._queue.extend(found)
        async with trio.open_nursery() as nursery:
            for _number in range(WORKERS):
                nursery.start_soon(self._work)

    async def _work(self) -> None:
        async with AsyncExitStack() as stack:
            links = NodeLinks(stack, self._view)
            while self._queue:
                chunk = self._queue.popleft()
                await self._chunk(links, chunk)

    async def _chunk(self, links: NodeLinks, chunk: Chunk) -> None:
        """One chunk to its end; chunks of a newer epoch take its place."""
        slots, epoch = list(chunk.slots), self._view.topology.epoch
        until_s = trio.current_time() + self._patience_s
        while slots:
            left = len(slots)
            reached = dict(self._reached)
            try:
                await self._pass(links, chunk, slots, int(epoch))
            except _Disrupted as error:
                if len(slots) < left or self._reached != reached:
                    until_s = trio.current_time() + self._patience_s
                if trio.current_time() > until_s:
                    raise ConsoleError(
                        f"the backup would not be whole: {error}",
                        hint="ringdeck cluster status shows which nodes are away",
                    ) from None
                await trio.sleep(PAUSE_S)
                await self._view.refresh()
                if self._view.topology.epoch != epoch:
                    self._queue.extendleft(
                        chunks_of(self._view.topology, sorted(slots), strong=chunk.strong)
                    )
                    return

    async def _pass(self, links: NodeLinks, chunk: Chunk, slots: list[int], epoch: int) -> None:
        """Walk ``slots`` with those owners that answer now; finished ones are taken off the list."""
        opened = await self._open(links, chunk)
        after: bytes | None = None
        while slots:
            pages = await self._ask(links, opened, chunk, slots, after, epoch)
            complete = [node for node, page in pages.items() if not page.incomplete]
            self._need(chunk, complete, "hold all that they should")
            entries, end = merge(list(pages.values()))
            await self._pass_on(chunk, slots, entries, list(opened.values()))
            finished = all(page.finished for page in pages.values())
            self._advance(chunk, slots, len(slots) if finished else end[0], end)
            after = end[2] if end[1] >= 0 else None

    def _advance(self, chunk: Chunk, slots: list[int], done: int, end: Position) -> None:
        for slot in slots[:done]:
            self._reached.pop((slot, chunk.strong), None)
        del slots[:done]
        if slots and end[1] >= 0:
            place = slots[0], chunk.strong
            self._reached[place] = max(self._reached.get(place, (-1, b"")), end[1:])
        self._on_slots(done)

    async def _open(self, links: NodeLinks, chunk: Chunk) -> dict[NodeId, AdminLink]:
        """Links to the owners that can be had; those that failed lately only if they are needed."""
        rested = [node for node in chunk.owners if not self._view.is_avoided(node)]
        asked = rested if chunk.missing(rested) is None else chunk.owners
        opened: dict[NodeId, AdminLink] = {}
        for node in asked:
            link = await links.open(node)
            if link is not None:
                opened[node] = link
        self._need(chunk, list(opened), "answer")
        return opened

    def _need(self, chunk: Chunk, nodes: Sequence[NodeId], what: str) -> None:
        need = chunk.missing(nodes)
        if need is not None:
            have = [owner for owner in need.owners if owner in nodes]
            raise _Disrupted(
                f"{len(have)} of the owners {', '.join(need.owners)} of keyspace {need.pattern} "
                f"{what}, and {need.answers} are needed"
            )

    async def _ask(
        self,
        links: NodeLinks,
        opened: dict[NodeId, AdminLink],
        chunk: Chunk,
        slots: list[int],
        after: bytes | None,
        epoch: int,
    ) -> dict[NodeId, Page]:
        """The next page of every owner; any that fails disrupts the pass."""
        arguments = {"epoch": epoch, "slots": slots, "after": after, "strong": chunk.strong}
        pages: dict[NodeId, Page] = {}
        errors: dict[NodeId, ConsoleError] = {}

        async def one(node: NodeId, link: AdminLink) -> None:
            try:
                plain = await link.call("backup.entries", arguments, CALL_TIMEOUT_S)
                pages[node] = page_of(plain, slots, by_name if chunk.strong else by_hash)
            except ConsoleError as error:
                errors[node] = error
            except MalformedPage as error:
                errors[node] = ConsoleError(f"{node} sent a malformed page: {error}")

        async with trio.open_nursery() as nursery:
            for node, link in opened.items():
                nursery.start_soon(one, node, link)
        for node, error in errors.items():
            if getattr(error, "code", None) != Code.STALE_EPOCH:
                links.failed(node)
            if not may_pass(error):
                raise error
        if errors:
            raise _Disrupted("; ".join(str(error) for error in errors.values()))
        return pages

    async def _pass_on(
        self,
        chunk: Chunk,
        slots: list[int],
        entries: list[tuple[Position, Record]],
        links: list[AdminLink],
    ) -> None:
        reached = self._reached.get((slots[0], chunk.strong), (-1, b""))
        fresh = [
            record for position, record in entries if position[0] > 0 or position[1:] > reached
        ]
        if chunk.strong:
            fresh = await self._read(fresh, links)
        if fresh:
            self._on_entries(fresh)

    async def _read(self, named: list[Record], links: list[AdminLink]) -> list[Record]:
        """Values of strong keys, as a majority holds them."""
        found: list[Record] = []
        for at in range(0, len(named), STRONG_BATCH_KEYS):
            keys = tuple(record.key for record in named[at : at + STRONG_BATCH_KEYS])
            for key, value in zip(keys, await _values(links[0], keys), strict=True):
                if isinstance(value, Failed) and len(keys) > 1:
                    (value,) = await _values(links[0], (key,))
                if isinstance(value, Value):
                    found.append(
                        Record(key, value.kind, value.value, value.version, value.expires_ms)
                    )
                elif value is not None:
                    raise _Disrupted(f"a strong key can't be read: {value}")
        return found


async def _values(link: AdminLink, keys: tuple[bytes, ...]) -> Sequence[object]:
    try:
        outcome = await link.execute(Read(keys, Level.QUORUM), CALL_TIMEOUT_S)
    except ConsoleError as error:
        raise _Disrupted(str(error)) from None
    if isinstance(outcome, Done) and isinstance(outcome.result, list):
        return outcome.result
    return [outcome] * len(keys)
