"""The operator's verbs on keyspaces: list, set, delete, and how far this node has followed.

An edit is drafted on the newest document, proposed to the chain, and drafted anew when another
document was chosen meanwhile; whoever asked hears the epoch that made it so. ``preview`` answers the
same without proposing. What copies follow from a policy is the rooms' (``filling``, ``surplus``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from nodecore.doors.session import OnOutcome
from nodecore.errors import Code
from nodecore.ids import Now
from nodecore.placement.drafting import Refused, need_stable
from nodecore.placement.keyspace_edits import (
    covering,
    differences,
    edited,
    effects,
    finished,
)
from nodecore.placement.policies import propose_keyspace, propose_keyspace_removal
from nodecore.placement.topology import Keyspace, Topology
from nodecore.requests import Done, Failed, Outcome

if TYPE_CHECKING:
    from nodecore.node import Node

DRAFTS_MAX: Final = 4
"""Documents that may come between before the operator is asked to try again."""

Arguments: TypeAlias = Mapping[str, object]
Draft: TypeAlias = "Callable[[Topology], Topology]"


def keyspace_list(node: Node, _arguments: Arguments, _on: OnOutcome, _now: Now) -> Outcome:
    """``{"epoch", "keyspaces"}``: every policy, the default one included."""
    topology = node.chain.document
    if topology is None:
        return _NOT_READY
    listed = [shown(keyspace) for keyspace in topology.keyspaces]
    return Done({"epoch": int(topology.epoch), "keyspaces": listed})


def keyspace_set(
    node: Node, arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """Change settings of a pattern's policy, or give it one. Arguments: pattern, preview, settings."""
    topology = node.chain.document
    if topology is None:
        return _NOT_READY
    pattern = arguments.get("pattern")
    if not isinstance(pattern, str) or not pattern:
        return Failed(Code.BAD_REQUEST, "pattern must be a text such as 'session:*'")
    settings = {name: arguments[name] for name in arguments if name not in ("pattern", "preview")}
    _keyspace, problems = edited(topology, pattern, settings)
    if problems:
        return Failed(Code.BAD_REQUEST, "; ".join(problems))

    def draft(document: Topology) -> Topology:
        return propose_keyspace(document, edited(document, pattern, settings)[0], node.node_id)

    return _Edit(node, pattern, draft, on_outcome).begin(bool(arguments.get("preview")), now)


def keyspace_delete(
    node: Node, arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """Forget a pattern's policy: its keys fall to the next shorter pattern. Arguments: pattern, preview."""
    if node.chain.document is None:
        return _NOT_READY
    pattern = arguments.get("pattern")
    if not isinstance(pattern, str) or not pattern:
        return Failed(Code.BAD_REQUEST, "pattern must be a text such as 'session:*'")
    draft = partial(propose_keyspace_removal, pattern=pattern)
    return _Edit(node, pattern, draft, on_outcome).begin(bool(arguments.get("preview")), now)


def keyspace_progress(node: Node, _arguments: Arguments, _on: OnOutcome, _now: Now) -> Outcome:
    """Epoch that this node has adopted, slots that it has still to copy or to give up, and slots whose
    strong keys too many owners have lost.
    """
    changes = node.topology_changes
    # Copies of strong keys become fewer once those that stay have all: until the joint document ends.
    fewer = sum(keyspace.n_next > 0 for keyspace in node.topology.keyspaces)
    return Done(
        {
            "epoch": int(node.epoch()),
            "slots_left": max(changes.filling.left, node.strong.learning.left, fewer),
            "surplus_left": changes.surplus.left,
            "strong_lost": node.strong.learning.lost,
        }
    )


def shown(keyspace: Keyspace) -> dict[str, Any]:
    """A policy as plain data."""
    return asdict(keyspace)


class _Edit:
    """One edit on its way into the chain."""

    def __init__(self, node: Node, pattern: str, draft: Draft, on_outcome: OnOutcome) -> None:
        self._node = node
        self._pattern = pattern
        self._draft = draft
        self._on_outcome = on_outcome
        self._drafts = 0
        self._report: dict[str, object] = {}

    def begin(self, preview: bool, now: Now) -> Outcome | None:
        """Judge the edit, and unless it is a ``preview`` propose it."""
        topology = self._node.topology
        try:
            need_stable(topology)
            document = self._draft(topology)
        except Refused as refused:
            return Failed(refused.code, str(refused), 1.0)
        self._report = self._compare(topology, document)
        if preview or self._report["before"] == self._report["after"]:
            return Done({**self._report, "epoch": int(topology.epoch), "applied": False})
        return self._propose(now)

    def _propose(self, now: Now) -> Outcome | None:
        self._drafts += 1
        draft = partial(self._draft, self._node.topology)
        return self._node.topology_changes.admission.propose(draft, self._on_proposed, now)

    def _on_proposed(self, outcome: Outcome, now: Now) -> None:
        overtaken = isinstance(outcome, Failed) and outcome.code is Code.STALE_EPOCH
        if overtaken and self._drafts < DRAFTS_MAX:
            settled = self._propose(now)
            if settled is not None:
                self._on_outcome(settled, now)
            return
        if isinstance(outcome, Done):
            assert isinstance(outcome.result, dict)
            outcome = Done({**self._report, "epoch": outcome.result["epoch"], "applied": True})
        self._on_outcome(outcome, now)

    def _compare(self, before: Topology, after: Topology) -> dict[str, object]:
        wanted = finished(after.keyspaces)
        old, new = _own(before.keyspaces, self._pattern), _own(wanted, self._pattern)
        past, now = covering(before.keyspaces, self._pattern), covering(wanted, self._pattern)
        return {
            "pattern": self._pattern,
            "before": None if old is None else shown(old),
            "after": None if new is None else shown(new),
            "changes": differences(past, now),
            "effects": effects(past, now),
        }


def _own(keyspaces: Sequence[Keyspace], pattern: str) -> Keyspace | None:
    return next((k for k in keyspaces if k.pattern == pattern), None)


_NOT_READY: Final = Failed(Code.NOT_READY, "this node knows no topology yet", 0.5)
