"""What a change of the members would move: the preview that an operator sees before approving it.

The next document is drafted by the same functions that propose it, and both slot maps are compared;
nothing is proposed. Keys and bytes are an estimate from what this node holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nodecore.config import Addresses
from nodecore.errors import Code
from nodecore.ids import SLOTS_COUNT, NodeId, Now
from nodecore.placement.drafting import Refused
from nodecore.placement.proposals import (
    propose_join,
    propose_leave,
    propose_remove,
    propose_stable,
)
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Member, Topology
from nodecore.requests import Done, Failed, Outcome

if TYPE_CHECKING:
    from nodecore.node import Node

STREAM_KEYS_PER_S: Final = 50_000
"""Pace that the estimate of the duration assumes."""


def preview_change(node: Node, kind: str, node_id: str, count: int, _now: Now) -> Outcome:
    """What ``join`` (of ``count`` new nodes), ``leave`` or ``remove`` would do."""
    topology = node.chain.document
    if topology is None:
        return Failed(Code.NOT_READY, "this node knows no topology yet", 0.5)
    try:
        after = _draft(topology, kind, node_id, count, node.node_id)
    except Refused as refused:
        return Failed(refused.code, str(refused))
    if after is None:
        return Failed(Code.BAD_REQUEST, f"kind {kind!r} is none of join, leave, remove")
    return Done(_compare(node, topology, after, node_id))


def _draft(
    topology: Topology, kind: str, node_id: str, count: int, coordinator: NodeId
) -> Topology | None:
    match kind:
        case "join":
            names = [member.node_id for member in topology.all_members]
            for number in range(count):
                name = node_id if node_id and count == 1 else _free_name(names)
                names.append(NodeId(name))
                port = 1 + number
                addresses = Addresses(
                    f"preview.invalid:{port}", f"preview.invalid:{100 + port}",
                    f"preview.invalid:{200 + port}",
                )  # fmt: skip
                newcomer = Member(NodeId(name), addresses)
                topology = propose_stable(propose_join(topology, newcomer, coordinator))
            return topology
        case "leave":
            return propose_stable(propose_leave(topology, NodeId(node_id), coordinator))
        case "remove":
            return propose_stable(propose_remove(topology, NodeId(node_id), coordinator))
        case _:
            return None


def _free_name(names: list[NodeId]) -> str:
    number = 1
    while f"n{number}" in names:
        number += 1
    return f"n{number}"


def _compare(node: Node, before: Topology, after: Topology, node_id: str) -> dict[str, object]:
    old, new = SlotMap.compile(before), SlotMap.compile(after)
    slots = copies = keys_here = copies_here = 0
    table = node.table
    for slot in range(SLOTS_COUNT):
        owners = old.owners[slot]
        added = sum(1 for owner in new.owners[slot] if owner not in owners)
        if added:
            slots += 1
            copies += added
            if node.node_id in owners:
                copies_here += added
                keys_here += added * table.slot_count(slot)
    keys = round(keys_here * copies / copies_here) if copies_here else None
    bytes_moved = None
    if keys is not None:
        bytes_moved = round(keys * table.bytes_used / len(table)) if len(table) else 0
    counts_old, counts_new = old.primary_counts(), new.primary_counts()
    shares = [
        [str(name), (counts_new.get(name, 0) - counts_old.get(name, 0)) / SLOTS_COUNT]
        for name in sorted({**counts_old, **counts_new})
    ]
    return {
        "node_id": node_id,
        "epoch": int(before.epoch),
        "slots_moved": slots,
        "copies_moved": copies,
        "keys_moved": keys,
        "bytes_moved": bytes_moved,
        "seconds": None if keys is None else 1.0 + keys / STREAM_KEYS_PER_S,
        "share_from": [[name, share] for name, share in shares if share],
        "minimum_share": abs(len(after.members) - len(before.members))
        / max(len(after.members), len(before.members)),
    }
