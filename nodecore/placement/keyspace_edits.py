"""Edits of keyspaces: from what an operator typed to the policy that is proposed, and what it means.

An edit names a pattern and the settings that change; every other setting keeps its present value. A
pattern that has no policy yet starts from the one that governs its keys today, the longest pattern
that covers it. All mistakes of an edit are reported at once.

It also derives what the copies that exist already force on the new policy (:func:`inherited`): a
write that was acknowledged with few copies must still be found after W has been raised or N lowered.
Whether the document may follow is the judgement of ``rules``; proposing it is the node's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from nodecore.placement.rules import keyspace_problems
from nodecore.placement.topology import Keyspace, Topology

TTL_MS_MAX: Final = 10 * 365 * 86_400_000
"""Ten years, as everywhere a client names a time to live."""
SETTINGS: Final[Mapping[str, type]] = {
    "mode": str,
    "n": int,
    "w": int,
    "r": int,
    "ttl_ms": int,
    "durability": str,
    "on_partition": str,
    "write_through": bool,
    "eviction": str,
}
"""What an edit may set, and the type of each."""


def covering(keyspaces: Sequence[Keyspace], pattern: str) -> Keyspace:
    """The policy of keys that begin with ``pattern``'s prefix: the longest one that covers it."""
    prefix = _prefix(pattern)
    matching = [keyspace for keyspace in keyspaces if prefix.startswith(_prefix(keyspace.pattern))]
    return max(matching, key=lambda keyspace: len(keyspace.pattern))


def default_ttl_ms(keyspaces: Sequence[Keyspace], key: bytes) -> int:
    """What a write of ``key`` that names no expiry is given; 0: it never expires."""
    if not any(keyspace.ttl_ms for keyspace in keyspaces):
        return 0
    return governing(keyspaces, key).ttl_ms


def governing(keyspaces: Sequence[Keyspace], key: bytes) -> Keyspace:
    """The policy of ``key``: the longest pattern that it matches."""
    matching = [k for k in keyspaces if key.startswith(_prefix(k.pattern).encode())]
    return max(matching, key=lambda keyspace: len(keyspace.pattern))


def edited(
    topology: Topology, pattern: str, settings: Mapping[str, object]
) -> tuple[Keyspace, list[str]]:
    """The policy that ``settings`` make of the present one, and everything that is wrong with it."""
    problems = [f"no setting {name!r}" for name in sorted(settings) if name not in SETTINGS]
    taken: dict[str, Any] = {}
    for name, kind in SETTINGS.items():
        if name not in settings:
            continue
        value = settings[name]
        if type(value) is not kind:
            problems.append(f"{name} must be {_KINDS[kind]}, not {str(value)[:80]!r}")
        else:
            taken[name] = value
    present = covering(topology.keyspaces, pattern)
    if taken.get("mode") == "strong" and present.mode != "strong" and "durability" not in taken:
        # Strong copies must outlive a process; whoever wants more says so.
        taken["durability"] = "process" if present.durability == "memory" else present.durability
    keyspace = replace(present, pattern=pattern, w_past=0, n_next=0, **taken)
    problems += keyspace_problems(keyspace)
    if keyspace.ttl_ms > TTL_MS_MAX:
        problems.append(f"keyspace {pattern[:80]!r}: ttl_ms {keyspace.ttl_ms}: at most ten years")
    return keyspace, problems


_KINDS: Final = {str: "a text", int: "a whole number", bool: "true or false"}


def inherited(past: Keyspace, keyspace: Keyspace) -> Keyspace:
    """``keyspace`` with the number of copies that writes under ``past`` are sure to have.

    A miss is believed when N-W+1 owners agree. Writes that were acknowledged at a lower W need more
    of them to agree, for as long as the keyspace lives. Copies at owners beyond a lower N are handed
    to all that stay (``surplus``), so they need nothing once that is done.
    """
    if past.mode != "eventual" or keyspace.mode != "eventual":
        return keyspace
    sure = past.w_past or past.w
    return replace(keyspace, w_past=sure if sure < keyspace.w else 0)


def inherited_by(gone: Keyspace, heir: Keyspace) -> Keyspace:
    """``heir`` after it has taken over the keys of a policy that is deleted, beside its own."""
    taken = inherited(gone, heir)
    sure = min(taken.w_past or taken.w, heir.w_past or heir.w)
    return replace(heir, w_past=sure if sure < heir.w else 0)


def differences(past: Keyspace, now: Keyspace) -> list[dict[str, object]]:
    """The settings that differ, as ``{"setting", "from", "to"}``."""
    return [
        {"setting": name, "from": getattr(past, name), "to": getattr(now, name)}
        for name in SETTINGS
        if getattr(past, name) != getattr(now, name)
    ]


def effects(past: Keyspace, now: Keyspace) -> list[str]:
    """What going from one policy to another does to keys that exist, in words for an operator."""
    found: list[str] = []
    if past.mode != now.mode:
        found.append(f"keys written in {past.mode} mode are not visible in {now.mode} mode")
    if now.n > past.n:
        more = _copies(now.n - past.n)
        found.append(f"each key gets {more} more, copied from its owners of today")
    if now.n < past.n:
        less = _copies(past.n - now.n)
        found.append(f"each key loses {less}, dropped once the other owners have what is in it")
    if now.w_past:
        asked = now.n - now.w_past + 1
        found.append(f"misses go on asking {asked} owners: older writes may have fewer copies")
    if past.ttl_ms != now.ttl_ms:
        found.append("the default time to live applies to later writes, not to keys that exist")
    if past.durability != now.durability and now.mode == "strong":
        found.append(
            "the most careful durability of the strong keyspaces applies to all strong keys"
        )
    elif past.durability != now.durability:
        found.append("the durability applies to later writes")
    weaker = now.w + now.r <= now.n and past.w + past.r > past.n
    if now.mode == "eventual" and weaker:
        found.append("w + r is not above n: a read may miss the newest write for a moment")
    return found


def raised_positions(before: Sequence[Keyspace], after: Sequence[Keyspace]) -> list[bool]:
    """Per position among a slot's owners: whether some keys get a copy there that had none before."""
    raised = [False] * max(keyspace.n for keyspace in after)
    for pattern in dict.fromkeys(keyspace.pattern for keyspace in (*before, *after)):
        for position in range(covering(before, pattern).n, covering(after, pattern).n):
            raised[position] = True
    return raised


def lowered(
    before: Sequence[Keyspace], after: Sequence[Keyspace], pattern: str
) -> tuple[Keyspace, ...]:
    """``after`` while copies of strong keys become fewer: N stands until those that stay have all.

    Majorities of the owners of today and of those that stay need not overlap once N has fallen twice,
    and a copy that goes may be one of the two that hold a write. So this is a change of the owners
    like any other: majorities of both, and copies, before the others give theirs up.
    """
    past = covering(before, pattern).n
    return tuple(replace(k, n=past, n_next=k.n) if k.pattern == pattern else k for k in after)


def finished(keyspaces: Sequence[Keyspace]) -> tuple[Keyspace, ...]:
    """The keyspaces when the change that they wait for is finished."""
    return tuple(replace(k, n=k.n_next, n_next=0) if k.n_next else k for k in keyspaces)


def taken_back(keyspaces: Sequence[Keyspace]) -> tuple[Keyspace, ...]:
    """The keyspaces when the change that they wait for is cancelled."""
    return tuple(replace(k, n_next=0) if k.n_next else k for k in keyspaces)


def _copies(count: int) -> str:
    return "1 copy" if count == 1 else f"{count} copies"


def _prefix(pattern: str) -> str:
    return pattern.removesuffix("*")
