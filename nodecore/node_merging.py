"""What a node does about having been apart from others: separations, conflicts, merge reports.

It hands each tick's view of the members to ``separations``, what the replica meets to ``conflicts``,
and what has ended to ``merges``, and answers the operator's verb ``merges``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nodecore.doors.session import OnOutcome
from nodecore.ids import Now
from nodecore.placement.hashing import node_tag
from nodecore.placement.topology import Topology
from nodecore.replication.conflicts import Conflicts
from nodecore.replication.merges import MergeFigures, Merges
from nodecore.replication.separations import Separations
from nodecore.requests import Done, Outcome

if TYPE_CHECKING:
    from nodecore.node import Node


class Merging:
    """One node's separations and what followed from them."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._names: dict[int, str] = {}
        self.separations = Separations(node.is_live)
        self.conflicts = Conflicts(self.separations, self._name_of, node.emit)
        self.merges = Merges(self._figures, node.coordinator.hints.count, node.emit)
        node.coordinator.replica.on_met = self.conflicts.on_met

    def on_topology(self, document: Topology) -> None:
        """Names of members are needed to show who wrote what, also after they have gone."""
        for member in document.all_members:
            self._names[node_tag(member.node_id)] = str(member.node_id)
        while len(self._names) > max(1024, 2 * len(document.all_members)):
            del self._names[next(iter(self._names))]

    def tick(self, now: Now) -> None:
        """One tick."""
        node = self._node
        document = node.chain.document
        if document is None:
            return
        own = node.node_id
        members = [m.node_id for m in document.all_members if m.node_id != own]
        begun, ended = self.separations.tick(members, now)
        self.merges.tick(begun, ended, now)
        self.conflicts.tick(now)

    def _name_of(self, tag: int) -> str:
        return self._names.get(tag, f"{tag:08x}")

    def _figures(self) -> MergeFigures:
        coordinator = self._node.coordinator
        comparison = self._node.topology_changes.anti_entropy
        taken = coordinator.replica.taken
        return MergeFigures(
            hints_delivered=coordinator.hints.sent,
            hints_taken=taken.get("hint", 0),
            keys_repaired=taken.get("repair", 0) + taken.get("handover", 0),
            conflicts_won_here=self.conflicts.won_here,
            conflicts_won_there=self.conflicts.won_there,
            slots_compared=comparison.compared,
            slots_differed=comparison.differed,
            rounds=comparison.rounds,
        )


def list_merges(node: Node, _arguments: Mapping[str, object], _on: OnOutcome, _now: Now) -> Outcome:
    """``{"node", "merges", "apart"}``: the last merges, oldest first, and who is away now."""
    merging = node.merging
    apart = [
        {"peer": str(span.peer), "since_wall_ms": span.since_ms}
        for span in merging.separations.open_spans
    ]
    merges = [report.to_plain() for report in merging.merges.reports]
    return Done({"node": str(node.node_id), "merges": merges, "apart": apart})
