"""What a change of membership would move: from the document that would be proposed, slot by slot.

The nodes know best: their answer to ``change.preview`` counts every slot, and is only put into shape
here. Where none answers, the same proposals are drafted on the newest document that is known, and keys
and bytes estimated from what the owners hold: a copied slot costs its source's average per slot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

import msgspec

from console.errors import ConsoleError, UsageError
from console.source import AddPreview
from nodecore.config import Addresses
from nodecore.errors import InvalidTopology
from nodecore.ids import SLOTS_COUNT, NodeId
from nodecore.placement.drafting import Refused
from nodecore.placement.proposals import propose_join, propose_leave
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Member, Topology

KEYS_PER_S: Final = 20_000.0
"""Rate at which nodes stream keys by default; only for the estimate of time."""

_FIELDS: Final = (
    "slots_moved", "copies_moved", "keys_moved", "bytes_moved", "seconds", "share_from",
    "minimum_share",
)  # fmt: skip


class _Answer(msgspec.Struct):
    """What is shown of an answer to ``change.preview``."""

    slots_moved: int
    copies_moved: int
    keys_moved: int
    bytes_moved: int
    seconds: float
    share_from: tuple[tuple[str, float], ...]
    minimum_share: float


Holdings = Mapping[NodeId, tuple[int, int]]
"""Keys and bytes by node."""


def from_answer(label: str, plain: object) -> AddPreview | None:
    """The preview in a node's answer to ``change.preview``; None: it is shaped in another way."""
    try:
        answer = msgspec.convert(plain, _Answer)
    except msgspec.ValidationError:
        return None
    return AddPreview(label, **{name: getattr(answer, name) for name in _FIELDS})


def preview_join(topology: Topology, holdings: Holdings, first: str, count: int) -> AddPreview:
    """What ``count`` new nodes would take, the first of them named ``first``.

    Raises:
        ConsoleError: the document can't be changed now, with the reason.
    """
    if count < 1:
        raise UsageError("at least one node can be added")
    names = _names(first, count)
    before = SlotMap.compile(topology)
    following = topology
    anybody = topology.members[0].node_id
    for name in names:
        # Addresses do not matter for placement; they must only differ from the others'.
        addresses = Addresses(f"127.0.0.1:{60_000 + len(following.members)}", "", "")
        member = Member(NodeId(name), addresses)
        following = _stable(_proposed(partial(propose_join, following, member, anybody)))
    after = SlotMap.compile(following)
    label = names[0] if count == 1 else f"{names[0]}..{names[-1]}"
    minimum = count / (len(topology.members) + count)
    return _preview(label, before, after, holdings, minimum)


def preview_leave(topology: Topology, holdings: Holdings, node_id: str) -> AddPreview:
    """What the others would take over from a node that leaves.

    Raises:
        ConsoleError: it is no member, or can't go now, with the reason.
    """
    anybody = topology.members[0].node_id
    joint = _proposed(partial(propose_leave, topology, NodeId(node_id), anybody))
    before = SlotMap.compile(topology)
    after = SlotMap.compile(_stable(joint))
    return _preview(node_id, before, after, holdings, 1.0 / max(1, len(topology.members)))


def _preview(
    label: str, before: SlotMap, after: SlotMap, holdings: Holdings, minimum: float
) -> AddPreview:
    slots_moved = 0
    copies_moved = 0
    keys = 0.0
    size = 0.0
    held = {
        node: len(before.slots_of(node, before.copies)) or 1
        for node in sorted({member.node_id for member in before.members})
    }
    for slot in range(SLOTS_COUNT):
        old = before.owners[slot][: before.copies]
        new = after.owners[slot][: after.copies]
        taken = sum(1 for node in new if node not in old)
        slots_moved += taken > 0
        copies_moved += taken
        if taken and old:
            source_keys, source_bytes = holdings.get(old[0], (0, 0))
            keys += taken * source_keys / held[old[0]]
            size += taken * source_bytes / held[old[0]]
    known = bool(holdings)
    return AddPreview(
        node_id=label,
        slots_moved=slots_moved,
        copies_moved=copies_moved,
        keys_moved=round(keys) if known else None,
        bytes_moved=round(size) if known else None,
        seconds=round(keys / KEYS_PER_S, 1) if known else None,
        share_from=_shares(before, after),
        minimum_share=minimum,
        first_owners=tuple(str(owners[0]) if owners else "" for owners in after.owners),
    )


def _shares(before: SlotMap, after: SlotMap) -> tuple[tuple[str, float], ...]:
    """Per node the share of all slots that it takes (+) or gives up (-) as first owner."""
    old, new = before.primary_counts(), after.primary_counts()
    changes = []
    for node in sorted({*old, *new}):
        change = (new.get(node, 0) - old.get(node, 0)) / SLOTS_COUNT
        if change:
            changes.append((str(node), change))
    return tuple(changes)


def _names(first: str, count: int) -> list[str]:
    stem, number = first[:1], int(first[1:])
    return [f"{stem}{number + index}" for index in range(count)]


def _proposed(propose: Callable[[], Topology]) -> Topology:
    try:
        return propose()
    except (Refused, InvalidTopology) as error:
        raise ConsoleError(str(error)) from None


def _stable(joint: Topology) -> Topology:
    """The document that would follow when the change succeeds."""
    assert joint.change is not None
    change = joint.change
    return replace(
        joint, members=change.members_next, assignment=change.assignment_next, change=None
    )
