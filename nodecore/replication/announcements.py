"""What members say of a step in the chain: events for people, the goodbye to a node that has left.

The coordinator of a change speaks of it, and the proposer of a document without one; so each step is
told once, and by a node that can be asked about it. Decides nothing about the change itself.
"""

from __future__ import annotations

from nodecore.effects import Emit, Severity
from nodecore.placement.steering import describe
from nodecore.placement.topology import Change, Topology
from nodecore.replication.change_ports import ChangePorts
from transport.messages import ChangeStep, Lane


def announce(ports: ChangePorts, previous: Topology | None, topology: Topology) -> None:
    """Say what has begun, ended or waits since ``previous``."""
    own = ports.node_id
    before = None if previous is None else previous.change
    ended = None if topology.joint else before
    if ended is not None and ended.kind in ("leave", "replace") and ended.leaver != own:
        adopted = ChangeStep(topology.epoch, "adopted", {})
        ports.send(ended.leaver, Lane.CONTROL, 0, adopted)
    text = f"epoch {topology.epoch}: {topology.reason}"
    begun = topology.change
    if begun is not None and begun.coordinator == own:
        ports.emit(Emit(_step(before, begun), text, Severity.NOTICE))
    elif ended is not None and ended.coordinator == own:
        ports.emit(Emit("change.ended", text, Severity.NOTICE))
    if topology.proposer == own:
        _announce_wish(ports, previous, topology)


def _step(before: Change | None, begun: Change) -> str:
    if before is None or before.paused == begun.paused:
        return "change.begun"
    return "change.paused" if begun.paused else "change.resumed"


def _announce_wish(ports: ChangePorts, previous: Topology | None, topology: Topology) -> None:
    waited = None if previous is None else previous.proposal
    waits = topology.proposal
    if waits is not None and waits != waited:
        text = (
            f"the {describe(waits)} waits for approval: ringdeck cluster change approve (or reject)"
        )
        ports.emit(Emit("change.proposed", text, Severity.WARNING))
    elif waited is not None and waits is None:
        kind = "change.approved" if topology.joint else "change.rejected"
        ports.emit(Emit(kind, f"epoch {topology.epoch}: {topology.reason}", Severity.NOTICE))
