"""Documents that change what is promised about keys: keyspaces and flushes. Members stay.

Fewer copies of strong keys are a change of the owners: a joint document, which ends as any other does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nodecore.errors import Code
from nodecore.ids import NodeId
from nodecore.placement import assignment
from nodecore.placement.drafting import Refused, even_assignment, need_stable, successor
from nodecore.placement.keyspace_edits import (
    covering,
    finished,
    inherited,
    inherited_by,
    lowered,
)
from nodecore.placement.rules import keyspace_problems
from nodecore.placement.slot_map import trim
from nodecore.placement.topology import Change, Keyspace, Topology


def propose_flush(topology: Topology, flushed_hlc: int) -> Topology:
    """A new flush generation: every version at or below ``flushed_hlc`` is gone, and so
    is every strong value of an earlier epoch.
    """
    return successor(
        topology,
        "flush",
        flushes=topology.flushes + 1,
        flushed_hlc=max(topology.flushed_hlc, flushed_hlc),
        flushed_epoch=topology.epoch + 1,
    )


def propose_keyspace(topology: Topology, keyspace: Keyspace, coordinator: NodeId) -> Topology:
    """Set the policy of a pattern; a joint document, driven by ``coordinator``, where strong keys lose
    copies.

    Raises:
        Refused: a change is running, the policy is bad, or keys would lose their guarantees.
    """
    need_stable(topology)
    found = keyspace_problems(keyspace)
    if found:
        raise Refused(Code.BAD_REQUEST, "; ".join(found))
    old = next((k for k in topology.keyspaces if k.pattern == keyspace.pattern), None)
    if old is not None and old.mode != keyspace.mode:
        raise Refused(
            Code.BAD_REQUEST,
            f"keyspace {keyspace.pattern!r} is {old.mode}: delete it first, its keys with it",
        )
    if old is not None and old.mode == "strong" and keyspace.n - old.n > 1:
        # Majorities of n and n + 1 overlap, those of n and n + 2 need not.
        raise Refused(Code.BAD_REQUEST, "n of a strong keyspace is raised by one at a time")
    past = covering(topology.keyspaces, keyspace.pattern)
    keyspace = inherited(past, keyspace)
    if past.mode != "strong":
        since = topology.epoch + 1 if keyspace.mode == "strong" else 0
        keyspace = replace(keyspace, strong_since=since)
    keyspaces = [*(k for k in topology.keyspaces if k.pattern != keyspace.pattern), keyspace]
    reason = f"keyspace {keyspace.pattern}"
    if past.mode != "strong" or keyspace.mode != "strong" or keyspace.n >= past.n:
        return _with_keyspaces(topology, keyspaces, reason)
    fewer = lowered(topology.keyspaces, keyspaces, keyspace.pattern)
    change = Change(
        "rebalance",
        coordinator,
        topology.members,
        coordinator,
        assignment_next=_cut(topology.assignment, fewer),
    )
    return successor(topology, reason, keyspaces=_ordered(fewer), change=change, proposal=None)


def propose_keyspace_removal(topology: Topology, pattern: str) -> Topology:
    """Forget the policy of a pattern; its keys fall to the next shorter pattern.

    Raises:
        Refused: a change is running, the pattern is unknown or the default.
    """
    need_stable(topology)
    if pattern == "*":
        raise Refused(Code.BAD_REQUEST, "the default keyspace can't be deleted")
    kept = [k for k in topology.keyspaces if k.pattern != pattern]
    if len(kept) == len(topology.keyspaces):
        raise Refused(Code.BAD_REQUEST, f"no keyspace {pattern!r}")
    gone = covering(topology.keyspaces, pattern)
    heir = covering(kept, pattern)
    if gone.mode == heir.mode == "strong" and heir.n < gone.n:
        text = f"its keys would fall from {gone.n} copies to {heir.n}: set its n to {heir.n} first"
        raise Refused(Code.BAD_REQUEST, text)
    # Its keys become the heir's, with the copies that they were given here.
    kept = [inherited_by(gone, k) if k is heir else k for k in kept]
    return _with_keyspaces(topology, kept, f"keyspace {pattern} deleted")


def _with_keyspaces(topology: Topology, keyspaces: Sequence[Keyspace], reason: str) -> Topology:
    following = replace(topology, keyspaces=_ordered(keyspaces))
    if topology.ring.placement == "even":
        following = replace(following, assignment=even_assignment(following, topology.members))
    # With another number of copies slots have other owners.
    epoch, past = topology.epoch + 1, topology.owners_epoch
    return successor(following, reason, owners_epoch=epoch, owners_past=past)


def _ordered(keyspaces: Sequence[Keyspace]) -> tuple[Keyspace, ...]:
    return tuple(sorted(keyspaces, key=lambda keyspace: keyspace.pattern))


def _cut(assigned: bytes, keyspaces: Sequence[Keyspace]) -> bytes:
    """An ``even`` assignment without the places that nobody wants once the change is finished."""
    if not assigned:
        return b""
    copies = max(keyspace.n for keyspace in finished(keyspaces))
    return assignment.encode(trim(assignment.decode(assigned), copies))
