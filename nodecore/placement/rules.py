"""What a topology document, and a step from one to the next, may be.

Documents come from the wire, the disk and operators; a node adopts or votes for none that breaks a
rule here. All problems are reported, not the first. Decides nothing about who proposes what.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from nodecore.errors import InvalidTopology
from nodecore.limits import MEMBERS_MAX
from nodecore.placement import assignment
from nodecore.placement.hashing import hash_problem
from nodecore.placement.ring import OwnerTable, owners_in
from nodecore.placement.topology import Change, Keyspace, Member, RingSettings, Topology
from nodecore.placement.voters import VOTERS_MAX, voters_of

COPIES_MAX: Final = 16
"""Greatest N of a keyspace."""
KEYSPACES_MAX: Final = 64
"""Each key's policy is found by its longest prefix: the list is walked."""
PATTERN_BYTES_MAX: Final = 256
VNODES_MAX: Final = 4096
WEIGHT_MIN: Final = 0.01
WEIGHT_MAX: Final = 100.0
TEXT_CHARACTERS_MAX: Final = 1000
"""Of reasons, zones and addresses: a document must fit a control frame."""
KINDS: Final = ("join", "leave", "remove", "replace", "rebalance")
APPROVALS: Final = ("auto", "manual")
REJECTIONS_MAX: Final = 16
CHANGE_BYTES_PER_S_MIN: Final = 1024
"""Slower than this a page takes longer than anybody waits for."""

_NODE_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MODES: Final = ("eventual", "strong")
_PARTITION: Final = ("available", "read-only", "refuse")
_DURABILITY: Final = ("memory", "process", "power")


def problems(topology: Topology) -> list[str]:
    """Everything that is wrong with a document; empty when it is sound."""
    found = []
    if topology.epoch < 1:
        found.append(f"epoch {topology.epoch}: must be at least 1")
    if not topology.cluster_id or len(topology.cluster_id) > TEXT_CHARACTERS_MAX:
        found.append("cluster_id: must be given and short")
    if topology.generation < 0 or topology.flushes < 0 or topology.flushed_hlc < 0:
        found.append("generations and clocks are not negative")
    if not 0 <= topology.flushed_epoch <= topology.epoch:
        found.append(f"flushed_epoch {topology.flushed_epoch}: no epoch up to this one")
    if len(topology.reason) > TEXT_CHARACTERS_MAX:
        found.append("reason: too long")
    found += _member_problems(topology.members, "members")
    found += _ring_problems(topology.ring)
    found += _keyspace_problems(topology.keyspaces)
    copies = max((keyspace.n for keyspace in topology.keyspaces), default=1)
    found += _assignment_problems(topology.ring, topology.assignment, topology.members, copies)
    if topology.change is not None:
        following = max((k.n_next or k.n for k in topology.keyspaces), default=1)
        found += _change_problems(topology, topology.change, following)
    elif any(keyspace.n_next for keyspace in topology.keyspaces):
        found.append("keyspaces: copies become fewer in joint documents only")
    return found + _steering_problems(topology)


def _steering_problems(topology: Topology) -> list[str]:
    """What is wrong with how changes are steered: policy, proposal, rejections."""
    found = []
    policy, wish = topology.change_policy, topology.proposal
    if policy.approval not in APPROVALS:
        found.append(f"approval {policy.approval[:80]!r}: auto or manual")
    if policy.bytes_per_s != 0 and policy.bytes_per_s < CHANGE_BYTES_PER_S_MIN:
        found.append(f"bytes_per_s {policy.bytes_per_s}: 0, or at least {CHANGE_BYTES_PER_S_MIN}")
    if wish is not None and (topology.joint or wish.kind not in KINDS):
        found.append(f"proposal: {wish.kind[:80]!r} in a {'joint' if topology.joint else 'stable'}")
    if wish is not None and len(wish.weights) + len(wish.zones) > 2 * MEMBERS_MAX:
        found.append("proposal: too long")
    if len(topology.rejections) > REJECTIONS_MAX:
        found.append(f"rejections: at most {REJECTIONS_MAX}")
    return found


def _member_problems(members: Sequence[Member], where: str) -> list[str]:
    found = []
    ids = [member.node_id for member in members]
    if not 1 <= len(ids) <= MEMBERS_MAX:
        found.append(f"{where}: between 1 and {MEMBERS_MAX}, not {len(ids)}")
    if any(left >= right for left, right in itertools.pairwise(ids)):
        found.append(f"{where}: must be ordered by node id, each once")
    for member in members:
        if not _NODE_ID.fullmatch(member.node_id):
            found.append(f"{where}: node id {member.node_id[:80]!r}")
        if not (math.isfinite(member.weight) and WEIGHT_MIN <= member.weight <= WEIGHT_MAX):
            found.append(f"{where}: {member.node_id}: weight {member.weight}")
        texts = (member.zone, member.ring_name, *_addresses_of(member))
        if any(len(text) > TEXT_CHARACTERS_MAX for text in texts):
            found.append(f"{where}: {member.node_id}: zone or address too long")
        if not member.addresses.native:
            found.append(f"{where}: {member.node_id}: no native address")
        if member.voter and member.learner:
            found.append(f"{where}: {member.node_id}: a learner has no vote")
        if member.born < 0:
            found.append(f"{where}: {member.node_id}: born {member.born}")
    names = [member.ring_name or member.node_id for member in members]
    if len(dict.fromkeys(names)) != len(names):
        found.append(f"{where}: two members stand at one place of the ring")
    voters = len(voters_of(members))
    if not 1 <= voters <= VOTERS_MAX:
        found.append(f"{where}: between 1 and {VOTERS_MAX} voters, not {voters}")
    return found


def _addresses_of(member: Member) -> tuple[str, str, str]:
    return (member.addresses.native, member.addresses.resp, member.addresses.http)


def _ring_problems(ring: RingSettings) -> list[str]:
    found = []
    if not 1 <= ring.vnodes <= VNODES_MAX:
        found.append(f"ring: vnodes {ring.vnodes}: between 1 and {VNODES_MAX}")
    wrong_hash = hash_problem(ring.hash)
    if wrong_hash is not None:
        found.append(wrong_hash)
    if ring.placement not in ("ring", "even"):
        found.append(f"ring: placement {ring.placement[:80]!r}: ring or even")
    return found


def keyspace_problems(keyspace: Keyspace) -> list[str]:
    """What is wrong with one policy by itself."""
    name = f"keyspace {keyspace.pattern[:80]!r}"
    found = []
    pattern = keyspace.pattern
    if not pattern or "*" in pattern[:-1] or not pattern.endswith("*"):
        found.append(f"{name}: a pattern is a prefix followed by *")
    if len(pattern.encode(errors="replace")) > PATTERN_BYTES_MAX:
        found.append(f"{name}: pattern too long")
    if not 1 <= keyspace.n <= COPIES_MAX:
        found.append(f"{name}: n {keyspace.n}: between 1 and {COPIES_MAX}")
    if not 1 <= keyspace.w <= keyspace.n or not 1 <= keyspace.r <= keyspace.n:
        found.append(f"{name}: w {keyspace.w} and r {keyspace.r}: between 1 and n {keyspace.n}")
    if not 0 <= keyspace.w_past <= keyspace.w:
        found.append(f"{name}: w_past {keyspace.w_past}: between 0 and w")
    if keyspace.ttl_ms < 0:
        found.append(f"{name}: ttl_ms {keyspace.ttl_ms}")
    if len(keyspace.eviction) > TEXT_CHARACTERS_MAX:
        found.append(f"{name}: eviction too long")
    for label, value, allowed in (
        ("mode", keyspace.mode, _MODES),
        ("on_partition", keyspace.on_partition, _PARTITION),
        ("durability", keyspace.durability, _DURABILITY),
    ):
        if value not in allowed:
            found.append(f"{name}: {label} {value[:80]!r}: one of {', '.join(allowed)}")
    fewer = keyspace.n_next
    if fewer and not (keyspace.mode == "strong" and 1 <= fewer < keyspace.n):
        found.append(f"{name}: n_next {fewer}: below n {keyspace.n}, and of strong keys")
    if keyspace.mode == "strong" and keyspace.durability == "memory":
        found.append(f"{name}: strong keys need durability process or power")
    return found


def _keyspace_problems(keyspaces: Sequence[Keyspace]) -> list[str]:
    found = [problem for keyspace in keyspaces for problem in keyspace_problems(keyspace)]
    patterns = [keyspace.pattern for keyspace in keyspaces]
    if len(dict.fromkeys(patterns)) != len(patterns):
        found.append("keyspaces: a pattern occurs twice")
    if "*" not in patterns:
        found.append("keyspaces: the default (pattern *) is missing")
    if len(patterns) > KEYSPACES_MAX:
        found.append(f"keyspaces: at most {KEYSPACES_MAX}")
    return found


def _assignment_problems(
    ring: RingSettings, assigned: bytes, members: Sequence[Member], copies: int
) -> list[str]:
    if (ring.placement == "even") != bool(assigned):
        return ["assignment: given exactly when the placement is even"]
    if not assigned:
        return []
    try:
        table = assignment.decode(assigned)
    except InvalidTopology as error:
        return [str(error)]
    return _table_problems(table, members, copies)


def _table_problems(table: OwnerTable, members: Sequence[Member], copies: int) -> list[str]:
    ids = [member.node_id for member in members]
    owners = owners_in(table)
    strangers = [node for node in owners if node not in ids]
    if strangers:
        return [f"assignment: {', '.join(strangers)}: not a member"]
    if len(table[0]) != min(copies, len(ids)):
        return [f"assignment: {len(table[0])} copies instead of {min(copies, len(ids))}"]
    return []


def _change_problems(topology: Topology, change: Change, copies: int) -> list[str]:
    found = _member_problems(change.members_next, "members_next")
    ring_next = change.ring_next or topology.ring
    found += _ring_problems(ring_next)
    found += _assignment_problems(ring_next, change.assignment_next, change.members_next, copies)
    old = [member.node_id for member in topology.members]
    new = [member.node_id for member in change.members_next]
    came = [node for node in new if node not in old]
    went = [node for node in old if node not in new]
    expected = {
        "join": ([change.node_id], []),
        "leave": ([], [change.node_id]),
        "remove": ([], [change.node_id]),
        "replace": ([change.node_id], [change.replaces]),
        "rebalance": ([], []),
    }
    if change.kind not in KINDS:
        found.append(f"change: kind {change.kind[:80]!r}")
    elif (came, went) != expected[change.kind]:
        found.append(f"change: a {change.kind} of {change.node_id} with +{came} -{went}")
    if change.coordinator not in (*old, *new):
        found.append(f"change: coordinator {change.coordinator[:80]!r} is not a member")
    return found


def step_problems(old: Topology, new: Topology) -> list[str]:
    """Everything that forbids ``new`` to follow ``old``, by itself or as a step; empty when it may."""
    found = problems(new)
    if new.epoch != old.epoch + 1:
        found.append(f"epoch {new.epoch} does not follow {old.epoch}")
    if new.cluster_id != old.cluster_id or new.generation != old.generation:
        found.append("another cluster or generation")
    if new.feature_level < old.feature_level:
        found.append("the feature level never falls")
    flushed = (new.flushes, new.flushed_hlc, new.flushed_epoch)
    known = (old.flushes, old.flushed_hlc, old.flushed_epoch)
    if any(number < other for number, other in zip(flushed, known, strict=True)):
        found.append("a flush is never taken back")
    return found + _placement_step_problems(old, new)


def _placement_step_problems(old: Topology, new: Topology) -> list[str]:
    """Owners change only from stable over joint to stable, one change at a time."""
    before, after = _placement_of(old), _placement_of(new)
    change = old.change
    if change is None:
        if before == after:
            return []
        resized = _copies_of(old) != _copies_of(new) and old.ring == new.ring
        if resized and _ids(old.members) == _ids(new.members) and new.change is None:
            return []
        return ["owners can't change without a joint document between"]
    if new.change is not None:
        kept = _target_of(old, change) == _target_of(new, new.change)
        same = (change.kind, change.node_id) == (new.change.kind, new.change.node_id)
        return [] if kept and same and before == after else ["another change is under way"]
    finished = _target_of(old, change)
    return [] if after in (before, finished) else ["ends a change in neither of its two states"]


def _ids(members: Sequence[Member]) -> list[str]:
    return [member.node_id for member in members]


def _copies_of(topology: Topology) -> int:
    return max((keyspace.n for keyspace in topology.keyspaces), default=0)


def _target_of(topology: Topology, change: Change) -> tuple[object, ...]:
    """What decides the owners once the change is finished."""
    return _placement_of(
        replace(
            topology,
            members=change.members_next,
            ring=change.ring_next or topology.ring,
            assignment=change.assignment_next,
        )
    )


def _placement_of(topology: Topology) -> tuple[object, ...]:
    members = tuple((m.node_id, m.zone, m.weight, m.ring_name) for m in topology.members)
    return (members, topology.ring, topology.assignment)
