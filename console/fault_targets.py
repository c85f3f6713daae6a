"""Where a link fault must be installed: each connection has two ends, and a fault acts once.

A link is ``caller->callee``. The caller's side holds the fault, because the caller is who feels it;
clients hold nothing, so for ``client->node`` it is the node. ``*`` stands for every node. A bare
node name means everything that reaches the node: ``*->NODE`` and ``client->NODE``; for ``cut`` also
``NODE->*``, for a node that can still call out is not cut off. ``NODE:disk`` and ``NODE:clock`` are
the node's own; a fault that only a disk or a clock can have needs no more than the node's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from console.errors import UsageError
from transport.faults import KINDS

CLIENT: Final = "client"
ANY: Final = "*"
ARROW: Final = "->"
OWN_PARTS: Final = ("disk", "clock")


@dataclass(frozen=True, slots=True)
class Installation:
    """One fault on one node."""

    on: str
    link: str
    """``caller->callee``, ``disk`` or ``clock``."""


def links_of(target: str, kind: str) -> tuple[str, ...]:
    """The links that a target means.

    Raises:
        UsageError: the target is neither a node name nor ``caller->callee``.
    """
    if ARROW in target:
        caller, _, callee = (part.strip() for part in target.partition(ARROW))
        if not caller or not callee or ARROW in callee or callee == CLIENT:
            raise UsageError(
                f"{target!r}: expected CALLER->CALLEE, with a node, client or * as the caller"
            )
        return (f"{caller}{ARROW}{callee}",)
    node, colon, part = target.partition(":")
    if colon and node and part in OWN_PARTS:
        return (target,)
    own = KINDS[kind].place if kind in KINDS else ""
    if own in OWN_PARTS and not colon and target not in ("", ANY, CLIENT):
        return (f"{target}:{own}",)
    if colon or not target or target in (ANY, CLIENT):
        raise UsageError(f"{target!r}: expected a node, CALLER->CALLEE or NODE:disk")
    links = (f"{ANY}{ARROW}{target}", f"{CLIENT}{ARROW}{target}")
    return (*links, f"{target}{ARROW}{ANY}") if kind == "cut" else links


def installations(link: str, nodes: Sequence[str], reachable: Sequence[str]) -> list[Installation]:
    """Where to install one link's fault; only on reachable nodes.

    When the caller can't be reached, the callee's side takes its place.

    Raises:
        UsageError: the link names a node that the cluster does not have, or no end is reachable.
    """
    owner, colon, part = link.partition(":")
    if colon:
        if owner not in nodes:
            raise UsageError(f"{owner}: no such node (known: {', '.join(nodes)})")
        if owner not in reachable:
            raise UsageError(f"{owner} can't be reached")
        return [Installation(owner, part)]
    caller, _, callee = link.partition(ARROW)
    for name in (caller, callee):
        if name not in (ANY, CLIENT) and name not in nodes:
            raise UsageError(f"{name}: no such node (known: {', '.join(nodes)})")
    callees = list(nodes) if callee == ANY else [callee]
    found: list[Installation] = []
    if caller == CLIENT:
        found = [Installation(node, f"{CLIENT}{ARROW}{node}") for node in callees]
    elif caller == ANY and callee == ANY:
        found = [Installation(node, f"{node}{ARROW}{ANY}") for node in nodes]
    elif caller == ANY:
        found = [Installation(node, f"{node}{ARROW}{callee}") for node in nodes if node != callee]
    elif caller in reachable:
        found = [Installation(caller, link)]
    else:
        found = [Installation(node, f"{caller}{ARROW}{node}") for node in callees if node != caller]
    kept = [entry for entry in found if entry.on in reachable]
    if not kept and (found or caller == callee):
        raise UsageError(f"{link}: no node at either end can be reached")
    return kept


def whole_id(fault_id: str) -> str:
    """``cut-1`` for ``cut-1.2``, its second part on one node: ids are per node."""
    whole, dot, number = fault_id.rpartition(".")
    return whole if dot and number.isdecimal() else fault_id


def joined_target(targets: Sequence[str]) -> str:
    """``*->n3`` for links that differ only in the caller, ``n3`` for all that touch it."""
    known = sorted(set(targets))
    if len(known) == 1:
        return known[0]
    ends = [target.partition(ARROW)[::2] for target in known]
    callees = {callee for _, callee in ends}
    if len(callees) == 1:
        return f"{ANY}{ARROW}{min(callees)}"
    shared = [end for end in ends[0] if end != ANY and all(end in pair for pair in ends)]
    return shared[0] if shared else ", ".join(known)
