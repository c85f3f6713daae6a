"""Documents that change what is promised about keys: keyspaces and flushes. Members stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nodecore.errors import Code
from nodecore.placement.drafting import Refused, even_assignment, need_stable, successor
from nodecore.placement.keyspace_edits import covering, inherited, inherited_by
from nodecore.placement.rules import keyspace_problems
from nodecore.placement.topology import Keyspace, Topology


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


def propose_keyspace(topology: Topology, keyspace: Keyspace) -> Topology:
    """Set the policy of a pattern.

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
    if old is not None and old.mode == "strong" and abs(old.n - keyspace.n) > 1:
        # Majorities of n and n + 1 overlap, those of n and n + 2 need not.
        raise Refused(Code.BAD_REQUEST, "n of a strong keyspace changes by one at a time")
    keyspace = inherited(covering(topology.keyspaces, keyspace.pattern), keyspace)
    others = [k for k in topology.keyspaces if k.pattern != keyspace.pattern]
    return _with_keyspaces(topology, [*others, keyspace], f"keyspace {keyspace.pattern}")


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
    # Its keys become the heir's, with the copies that they were given here.
    kept = [inherited_by(gone, k) if k is heir else k for k in kept]
    return _with_keyspaces(topology, kept, f"keyspace {pattern} deleted")


def _with_keyspaces(topology: Topology, keyspaces: Sequence[Keyspace], reason: str) -> Topology:
    ordered = tuple(sorted(keyspaces, key=lambda keyspace: keyspace.pattern))
    following = replace(topology, keyspaces=ordered)
    if topology.ring.placement == "even":
        following = replace(following, assignment=even_assignment(following, topology.members))
    return successor(following, reason)
