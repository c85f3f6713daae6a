"""Where a link fault must be installed: each connection has two ends, and a fault acts once.

A link is ``caller->callee``. The caller's side holds the fault, because the caller is who feels it;
clients hold nothing, so for ``client->node`` it is the node. ``*`` stands for every node. A bare
node name means everything that reaches the node: ``*->NODE`` and ``client->NODE``; for ``cut`` also
``NODE->*``, for a node that can still call out is not cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from console.errors import UsageError

CLIENT: Final = "client"
ANY: Final = "*"
ARROW: Final = "->"


@dataclass(frozen=True, slots=True)
class Installation:
    """One fault on one node."""

    on: str
    link: str


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
    if not target or target in (ANY, CLIENT):
        raise UsageError(f"{target!r}: expected a node, or CALLER->CALLEE")
    links = (f"{ANY}{ARROW}{target}", f"{CLIENT}{ARROW}{target}")
    return (*links, f"{target}{ARROW}{ANY}") if kind == "cut" else links


def installations(link: str, nodes: Sequence[str], reachable: Sequence[str]) -> list[Installation]:
    """Where to install one link's fault; only on reachable nodes.

    When the caller can't be reached, the callee's side takes its place.

    Raises:
        UsageError: the link names a node that the cluster does not have, or no end is reachable.
    """
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
