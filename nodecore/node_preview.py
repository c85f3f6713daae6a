"""What a change of the owners would move: the preview that an operator sees before approving it.

The joint document is drafted by the same functions that propose it; nothing is proposed. What the
slots hold is asked of their first owners (the verb ``slots.sizes``); the pace is the slowest that
any of them reports: what it measured in the last copying, or what it is allowed. Slots of members
that do not answer count with the average of the others, and those members are named.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from nodecore.config import Addresses
from nodecore.doors.session import OnOutcome
from nodecore.errors import Code
from nodecore.ids import SLOTS_COUNT, NodeId, Now
from nodecore.placement.change_reasons import ChangeReason
from nodecore.placement.drafting import Refused
from nodecore.placement.proposals import propose_stable
from nodecore.placement.rebalance import Preview, SlotSizes, preview
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.steering import draft
from nodecore.placement.topology import Change, Member, Topology, Wish
from nodecore.replication.slot_needs import streams_needed
from nodecore.requests import Done, Failed, Outcome
from nodecore.verb_arguments import Arguments

if TYPE_CHECKING:
    from nodecore.node import Node

SIZES_VERB: Final = "slots.sizes"
JOINS_MAX: Final = 64
_FIELDS: Final = tuple(field.name for field in fields(Preview))


class _Sizes(NamedTuple):
    """What one member says of the slots whose first owner it is."""

    keys: list[int]
    bytes_per_key: float
    bytes_per_s: float


def slot_sizes(node: Node, _arguments: Arguments, _on: OnOutcome, _now: Now) -> Outcome:
    """``epoch``; ``keys`` of each slot whose first owner this node is, in order of slots, as
    little-endian u32; ``bytes_per_key``; ``bytes_per_s`` that it streams for a change.
    """
    table = node.table
    counts = [table.slot_count(slot) for slot in node.standing.primary_slots]
    entries = len(table)
    return Done(
        {
            "epoch": int(node.epoch()),
            "keys": struct.pack(f"<{len(counts)}I", *counts),
            "bytes_per_key": table.bytes_used / entries if entries else 0.0,
            "bytes_per_s": float(node.topology_changes.streams.pace_bytes_per_s),
        }
    )


def preview_joins(topology: Topology, first: str, count: int, coordinator: NodeId) -> Topology:
    """The joint document after which ``count`` new nodes are members, for comparison alone.

    Raises:
        Refused: one of them can't join.
    """
    after = topology
    for number in range(count):
        names = [member.node_id for member in after.all_members]
        name = first if first and count == 1 else _free_name(names)
        hosts = [f"preview.invalid:{100 * door + number + 1}" for door in range(3)]
        newcomer = Member(NodeId(name), Addresses(*hosts))
        after = propose_stable(draft(after, Wish("join", NodeId(name), newcomer), coordinator))
    change = Change("join", NodeId(first), after.members, coordinator)
    return replace(topology, change=replace(change, assignment_next=after.assignment))


def preview_wish(
    node: Node, wish: Wish, count: int, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """The preview of ``wish``; a join may be of ``count`` nodes. Answered when the owners have."""
    topology = node.chain.document
    if topology is None:
        text = "this node knows no topology yet"
        return Failed(Code.NOT_READY, text, 0.5, ChangeReason.NO_TOPOLOGY)
    try:
        if wish.kind == "join" and (count > 1 or wish.newcomer is None):
            joint = preview_joins(topology, str(wish.node_id), count, node.node_id)
        else:
            joint = draft(topology, wish, node.node_id)
    except Refused as refused:
        return Failed(refused.code, str(refused), reason=refused.reason)
    slot_map = SlotMap.compile(joint)
    live = [m.node_id for m in topology.members if m.node_id != node.node_id]
    live = [peer for peer in live if node.membership.is_live(peer)]

    def on_answers(answers: dict[NodeId, object], then: Now) -> None:
        own = slot_sizes(node, {}, on_outcome, then)
        assert isinstance(own, Done)
        answers[node.node_id] = own.result
        on_outcome(Done(_shown(wish, joint, slot_map, answers)), then)

    if not node.peer_questions.ask(live, SIZES_VERB, {}, on_answers, now):
        return Failed(Code.OVERLOADED, "too many previews at once", 0.5)
    return None


def _shown(
    wish: Wish, joint: Topology, slot_map: SlotMap, answers: Mapping[NodeId, object]
) -> dict[str, object]:
    primary: dict[NodeId, list[int]] = {member.node_id: [] for member in slot_map.members}
    for slot, owners in enumerate(slot_map.owners):
        primary[owners[0]].append(slot)
    heard: dict[NodeId, _Sizes] = {}
    for name, slots in primary.items():
        said = _parse(answers.get(name), len(slots))
        if said is not None:
            heard[name] = said
    sizes = _sizes(primary, heard)
    paces = [said.bytes_per_s for said in heard.values() if said.bytes_per_s > 0]
    pace = min(paces, default=1.0)
    streams = streams_needed(min(slot_map.copies_max, len(slot_map.members)), joint.keyspaces)
    found = preview(slot_map, sizes, pace, streams)
    return {
        **_plain(found),
        "kind": wish.kind,
        "node_id": str(wish.node_id),
        "replaces": str(wish.replaces),
        "epoch": int(joint.epoch),
        "bytes_per_s": pace,
        "silent": [str(name) for name in primary if name not in heard],
    }


def _plain(found: Preview) -> dict[str, object]:
    shares = [(str(n.node_id), n.first_share_after - n.first_share_before) for n in found.nodes]
    nodes = [node._asdict() for node in found.nodes]
    plain = {name: getattr(found, name) for name in _FIELDS}
    return {**plain, "nodes": nodes, "share_from": [[name, s] for name, s in shares if s]}


def _sizes(primary: Mapping[NodeId, list[int]], heard: Mapping[NodeId, _Sizes]) -> SlotSizes:
    known = sum(len(primary[name]) for name in heard)
    keys_all = sum(sum(said.keys) for said in heard.values())
    bytes_all = sum(sum(said.keys) * said.bytes_per_key for said in heard.values())
    keys = [round(keys_all / known) if known else 0] * SLOTS_COUNT
    sizes = [round(bytes_all / known) if known else 0] * SLOTS_COUNT
    for name, said in heard.items():
        for slot, count in zip(primary[name], said.keys, strict=True):
            keys[slot], sizes[slot] = count, round(count * said.bytes_per_key)
    return SlotSizes(keys, sizes)


def _parse(plain: object, slots: int) -> _Sizes | None:
    """A member's answer; None: none, or of another epoch (then its slots are others)."""
    if not isinstance(plain, dict):
        return None
    packed = plain.get("keys")
    if not isinstance(packed, bytes) or len(packed) != 4 * slots:
        return None
    try:
        per_key = msgspec.convert(plain.get("bytes_per_key"), float)
        pace = msgspec.convert(plain.get("bytes_per_s"), float)
    except msgspec.ValidationError:
        return None
    return _Sizes(list(struct.unpack(f"<{slots}I", packed)), max(0.0, per_key), pace)


def _free_name(names: list[NodeId]) -> str:
    number = 1
    while f"n{number}" in names:
        number += 1
    return f"n{number}"
