"""A node's share in a backup: pages of the entries that it holds as an owner, slot after slot.

Pages are small, so that clients are served between them, and follow the order in which slots are
walked everywhere (by hash; strong keys by name), so that the pages of several owners can be merged
while writes go on. Entries of eventual keyspaces come with version and expiry, tombstones included:
whoever merges must see that a value is older than its deletion. Of strong keys only the names come:
their values are read through their protocol.

It says for which slots this node can't answer for all (it is being refilled, or may not vote). It
decides neither which owners suffice nor what a backup holds, see ``nodecore.backup``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from nodecore.doors.session import OnOutcome
from nodecore.errors import Code
from nodecore.ids import SLOTS_COUNT, Now
from nodecore.limits import KEY_BYTES_MAX
from nodecore.replication.change_ports import ENTRIES_PER_LOOK
from nodecore.requests import Done, Failed, Outcome
from nodecore.routing import Routing
from nodecore.verb_arguments import Arguments, BadArgument, number_argument

if TYPE_CHECKING:
    from nodecore.node import Node

SLOTS_PER_PAGE_MAX: Final = 512
"""Slots of one question: it stays short, and so does the look through empty slots."""
LOOKED_PER_PAGE_MAX: Final = 512
"""Entries looked at for one page: two milliseconds of a node's time."""
PAGE_BYTES_MAX: Final = 256 * 1024
"""A page ends behind the entry that reaches this; one value may be larger by itself."""
_ENTRY_OVERHEAD_BYTES: Final = 32


class _Page:
    """Entries so far and how far the walk has come."""

    def __init__(self) -> None:
        self.entries: list[object] = []
        self.counts: list[int] = []
        """Entries of each slot that was begun."""
        self.looked = 0
        self.bytes = 0
        self.after: bytes | None = None
        """Last key looked at in the slot that is not finished."""

    def is_full(self) -> bool:
        """Whether the node's turn is over."""
        return self.looked >= LOOKED_PER_PAGE_MAX or self.bytes >= PAGE_BYTES_MAX


def backup_entries(node: Node, arguments: Arguments, _on: OnOutcome, now: Now) -> Outcome:
    """A page of ``slots`` behind the key ``after`` of the first, as of ``epoch``; ``strong`` names.

    ``{"entries", "counts" (by slot), "done" (slots finished), "after", "incomplete", "wall_ms",
    "hlc"}``.
    """
    routing = node.standing.routing
    if routing is None:
        return Failed(Code.NOT_READY, "this node knows no topology yet", 0.5)
    epoch = int(number_argument(arguments, "epoch", 0, 0, 2**53))
    if epoch != routing.epoch:
        text = f"this node is at epoch {routing.epoch}, not {epoch}"
        return Failed(Code.STALE_EPOCH, text, 0.1)
    slots, after = _slots(arguments), _after(arguments)
    strong = arguments.get("strong", False) is True
    page, done = _Page(), 0
    for slot in slots:
        walk = _strong_slot if strong else _slot
        if not walk(node, routing, slot, after, page, now):
            break
        page.after = after = None
        done += 1
        if page.is_full():
            break
    if strong:
        incomplete = [slot for slot in slots if not node.strong.learning.votes(slot)]
    else:
        incomplete = [slot for slot in slots if not node.topology_changes.is_complete(slot)]
    return Done(
        {
            "entries": page.entries,
            "counts": page.counts,
            "done": done,
            "after": page.after,
            "incomplete": incomplete,
            "wall_ms": now.wall_ms,
            "hlc": node.table.hlc_high,
        }
    )


def _slot(
    node: Node, routing: Routing, slot: int, after: bytes | None, page: _Page, _now: Now
) -> bool:
    """Entries of one slot; whether it was walked to its end."""
    page.counts.append(0)
    while not page.is_full():
        room = min(ENTRIES_PER_LOOK, LOOKED_PER_PAGE_MAX - page.looked)
        found = node.store.slot_entries(slot, after, room)
        for entry in found:
            page.looked += 1
            page.after = after = entry[0]
            if _is_owned(node, routing, entry[0], slot):
                page.entries.append(list(entry))
                page.counts[-1] += 1
                page.bytes += len(entry[0]) + len(entry[2]) + _ENTRY_OVERHEAD_BYTES
            if page.is_full():
                break
        else:
            if len(found) < room:
                return True
    return False


def _is_owned(node: Node, routing: Routing, key: bytes, slot: int) -> bool:
    """Left-over copies of a key that others own may be older than a deletion that all forgot."""
    route = routing.route(key, slot)
    return route.keyspace.mode == "eventual" and node.node_id in route.owners


def _strong_slot(
    node: Node, _routing: Routing, slot: int, after: bytes | None, page: _Page, _now: Now
) -> bool:
    """Names of the strong keys of one slot that hold a value here."""
    registers = node.strong.registers
    page.counts.append(0)
    while not page.is_full():
        room = min(ENTRIES_PER_LOOK, LOOKED_PER_PAGE_MAX - page.looked)
        found = registers.copies(slot, after, room)
        for copy in found:
            page.looked += 1
            page.after = after = copy.key
            record = registers.record(copy.key, slot)
            dead = record is None or record.dead or record.flushed(registers.flushed_epoch)
            if not dead and node.strong.votes(copy.key, slot):
                page.entries.append([copy.key, 0, b"", 0, 0, 0])
                page.counts[-1] += 1
                page.bytes += len(copy.key) + _ENTRY_OVERHEAD_BYTES
        if len(found) < room:
            return True
    return False


def _slots(arguments: Arguments) -> Sequence[int]:
    slots = arguments.get("slots")
    if (
        not isinstance(slots, list)
        or not 0 < len(slots) <= SLOTS_PER_PAGE_MAX
        or not all(type(slot) is int and 0 <= slot < SLOTS_COUNT for slot in slots)
    ):
        raise BadArgument(f"slots must be 1 to {SLOTS_PER_PAGE_MAX} numbers of slots")
    return slots


def _after(arguments: Arguments) -> bytes | None:
    after = arguments.get("after")
    if after is None or (isinstance(after, bytes) and len(after) <= KEY_BYTES_MAX):
        return after
    raise BadArgument(f"after must be a key of at most {KEY_BYTES_MAX} bytes")
