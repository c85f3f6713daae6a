"""Drives a topology change to its end: the coordinator's part, takeover, and automatic removal.

Everybody that copies slots reports to the coordinator of the joint document; when all have
reported completion at its epoch, the coordinator proposes the stable document, unless the change is
paused. It proposes to cancel when a node that must copy has failed, paused or not. If the
coordinator itself has failed, the first live voter (by id) has itself made coordinator; reports are
repeated, so that it needs no handover.

In a stable epoch the first live voter removes members that have been failed for ``down_grace_s``,
if the rules of ``may_remove`` allow it; otherwise they stay and an event says why. Where changes
need approval it proposes the removal, and takes that back when the member is alive again.

Proposals may be lost to others' or fail: every step is looked at again each half second, from the
document that is then the newest. This module copies nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from nodecore.consensus.outcome import ProposalOutcome, ProposalResult
from nodecore.effects import Emit, Severity
from nodecore.ids import NodeId, Now
from nodecore.placement.change_reasons import ChangeReason, Obstacle
from nodecore.placement.proposals import (
    Refused,
    may_remove,
    propose_cancel,
    propose_coordinator,
    propose_stable,
)
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.steering import propose_wish, propose_withdrawal
from nodecore.placement.topology import Change, Topology, Wish
from nodecore.placement.voters import has_majority, voter_sets
from nodecore.replication.change_ports import STEP_INTERVAL_S, ChangePorts
from nodecore.replication.slot_needs import copies_to_make
from nodecore.statistics import ChangeProgress

_SAY_AGAIN_S: Final = 30.0
"""The reason why a failed member stays is repeated so often."""


@dataclass(frozen=True, slots=True)
class FillReport:
    """How far one node is with its copies at one epoch."""

    total: int
    left: int
    entries: int
    bytes: int
    waits_for: str = ""


def parse_report(fields: Mapping[str, object]) -> FillReport | None:
    """A peer's report; None: it is none."""
    try:
        return msgspec.convert(fields, FillReport)
    except msgspec.ValidationError:
        return None


class _HeldUp(NamedTuple):
    reason: ChangeReason | None
    text: str


class ChangeDriver:
    """See the module. Only ever acts on the newest document that it was given."""

    def __init__(self, ports: ChangePorts, down_grace_s: float) -> None:
        self._ports = ports
        self._down_grace_s = down_grace_s
        self._topology: Topology | None = None
        self._copies: dict[NodeId, int] = {}
        """Slots that each node must copy, by the document."""
        self._reports: dict[NodeId, FillReport] = {}
        self._proposing = False
        self._begun_wall_ms = 0
        self._failed_since: dict[NodeId, float] = {}
        self._said_s: dict[NodeId, float] = {}
        self.removals = 0
        """Members that this node had removed for having failed."""
        self.takeovers = 0
        self.cancels = 0

    def on_topology(self, topology: Topology, slot_map: SlotMap, now: Now) -> None:
        """A newer document is in force."""
        previous = self._topology
        self._topology = topology
        self._reports.clear()
        self._copies = copies_to_make(slot_map, topology.keyspaces)
        if topology.change is not None and (previous is None or previous.change is None):
            self._begun_wall_ms = now.wall_ms

    def on_report(self, peer: NodeId, report: FillReport, now: Now) -> None:
        """A node says how far it is, at the epoch of the newest document."""
        self._reports[peer] = report
        if report.left == 0:
            self._drive(now)

    def copies_of(self, node: NodeId) -> int:
        """Slots that ``node`` must copy before the change may end."""
        return self._copies.get(node, 0)

    def tick(self, now: Now) -> None:
        """Look at everything again."""
        self._drive(now)
        self._note_failures(now)

    # -- a change under way ------------------------------------------------------------------

    def _drive(self, now: Now) -> None:
        topology = self._topology
        if topology is None or topology.change is None or self._proposing:
            return
        change = topology.change
        if change.coordinator != self._ports.node_id:
            if self._ports.is_failed(change.coordinator) and self._leads(topology):
                self.takeovers += 1
                self._propose(propose_coordinator(topology, self._ports.node_id), now)
            return
        dead = [node for node in self._copies if self._ports.is_failed(node)]
        if dead:
            self.cancels += 1
            self._propose(propose_cancel(topology, f"{dead[0]} has failed"), now)
        elif self._is_complete() and not change.paused:
            self._propose(propose_stable(topology), now)

    def _is_complete(self) -> bool:
        for node in self._copies:
            report = self._reports.get(node)
            if report is None or report.left:
                return False
        return True

    def _leads(self, topology: Topology) -> bool:
        """Whether this node is the first live voter."""
        for voter in sorted({node: None for nodes in voter_sets(topology) for node in nodes}):
            if voter == self._ports.node_id:
                return True
            if self._ports.is_live(voter):
                return False
        return False

    def _propose(self, document: Topology, now: Now) -> None:
        self._proposing = True
        self._ports.propose(document, self._on_result, now)

    def _on_result(self, result: ProposalResult, now: Now) -> None:
        self._proposing = False
        if result.outcome not in (ProposalOutcome.CHOSEN, ProposalOutcome.LOST):
            text = f"a step of the change was not decided: {result.text}"
            self._ports.emit(Emit("change.delayed", text, Severity.WARNING))

    # -- members that have failed ------------------------------------------------------------

    def _note_failures(self, now: Now) -> None:
        topology = self._topology
        if topology is None:
            return
        failed = [m.node_id for m in topology.members if self._ports.is_failed(m.node_id)]
        self._failed_since = {node: self._failed_since.get(node, now.mono_s) for node in failed}
        if topology.joint or self._proposing or not self._leads(topology):
            return
        wish = topology.proposal
        if wish is not None and wish.kind == "remove" and self._ports.is_live(wish.node_id):
            self._propose(propose_withdrawal(topology, f"{wish.node_id} is alive"), now)
            return
        for node in failed:
            due = now.mono_s >= self._failed_since[node] + self._down_grace_s
            if due and self._remove(topology, node, now):
                return

    def _remove(self, topology: Topology, node: NodeId, now: Now) -> bool:
        live = [
            m.node_id
            for m in topology.members
            if m.node_id == self._ports.node_id or self._ports.is_live(m.node_id)
        ]
        obstacle = may_remove(topology, live, node)
        if obstacle is None:
            try:
                wish = Wish("remove", node)
                document = propose_wish(topology, wish, self._ports.node_id, now.wall_ms)
            except Refused as refused:
                obstacle = Obstacle(refused.reason, str(refused))
            else:
                if document.joint:
                    self.removals += 1
                    text = f"{node} has been failed for {self._down_grace_s:.0f} s and is removed"
                    self._ports.emit(Emit("change.removal", text, Severity.WARNING))
                self._propose(document, now)
                return True
        if now.mono_s >= self._said_s.get(node, -_SAY_AGAIN_S) + _SAY_AGAIN_S:
            self._said_s[node] = now.mono_s
            text = f"{node} has failed and stays a member: {obstacle.text}"
            fields = (("reason", str(obstacle.reason)),)
            self._ports.emit(Emit("change.removal-waits", text, Severity.WARNING, fields))
        return False

    # -- what it looks like ------------------------------------------------------------------

    def progress(self) -> ChangeProgress | None:
        """The change as its coordinator sees it, or as the first live voter one that waits for
        approval; None on other nodes, and when there is neither.
        """
        topology = self._topology
        if topology is None:
            return None
        if topology.change is None:
            return self._waiting(topology)
        change = topology.change
        if change.coordinator != self._ports.node_id:
            return None
        total = sum(self._copies.values())
        left = total
        for node, slots in self._copies.items():
            report = self._reports.get(node)
            if report is not None:
                left -= max(0, slots - report.left)
        obstacle = self._holds_up(change)
        return ChangeProgress(
            kind=change.kind,
            node_id=change.node_id,
            state=self._state(change, left, total),
            slots_total=total,
            slots_done=total - left,
            keys_moved=sum(report.entries for report in self._reports.values()),
            bytes_moved=sum(report.bytes for report in self._reports.values()),
            started_wall_ms=self._begun_wall_ms,
            reason=obstacle.text,
            reason_code=str(obstacle.reason) if obstacle.reason else "",
            paused=change.paused,
        )

    def _waiting(self, topology: Topology) -> ChangeProgress | None:
        wish = topology.proposal
        if wish is None or not self._leads(topology):
            return None
        return ChangeProgress(
            kind=wish.kind,
            node_id=wish.node_id,
            state="waiting",
            slots_total=0,
            slots_done=0,
            keys_moved=0,
            bytes_moved=0,
            started_wall_ms=wish.asked_ms,
            reason="waits for approval: ringdeck cluster change approve",
            reason_code=str(ChangeReason.APPROVAL_NEEDED),
        )

    def _state(self, change: Change, left: int, total: int) -> str:
        if change.paused:
            return "paused"
        if self._proposing or not left:
            return "committing"
        return "streaming" if left < total else "joint"

    def _holds_up(self, change: Change) -> _HeldUp:
        """What the change waits for; without a reason when it simply goes on."""
        for node in self._copies:
            if self._ports.is_failed(node):
                return _HeldUp(ChangeReason.TARGET_DEAD, f"{node} must take slots and has failed")
        if change.paused:
            text = "paused by an operator: ringdeck cluster change resume (or cancel)"
            return _HeldUp(ChangeReason.PAUSED, text)
        topology = self._topology
        if topology is not None and not self._has_majority(topology):
            text = "a majority of the voters is not reachable"
            return _HeldUp(ChangeReason.MAJORITY_UNREACHABLE, text)
        for node in self._copies:
            report = self._reports.get(node)
            if report is None:
                return _HeldUp(ChangeReason.REPORT_MISSING, f"{node} has not reported yet")
            if report.waits_for:
                text = f"{node} waits for {report.waits_for}"
                return _HeldUp(ChangeReason.SOURCE_UNREACHABLE, text)
        return _HeldUp(None, f"{change.kind} of {change.node_id}")

    def _has_majority(self, topology: Topology) -> bool:
        live = [
            m.node_id
            for m in topology.all_members
            if m.node_id == self._ports.node_id or self._ports.is_live(m.node_id)
        ]
        return has_majority(voter_sets(topology), live)


assert STEP_INTERVAL_S < _SAY_AGAIN_S
