"""The verbs ``change.*`` and ``cluster.history``: operators steer changes of the owners from any node.

What a verb decides goes into the chain of documents, so no node has to be asked in particular. Only
the progress is known to the coordinator alone: ``change.status`` asks it for that. Refusals carry a
``ChangeReason``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

import msgspec

from nodecore.change_history import LINES_KEPT
from nodecore.doors.session import OnOutcome
from nodecore.errors import Code
from nodecore.ids import NodeId, Now
from nodecore.limits import MEMBERS_MAX
from nodecore.node_preview import JOINS_MAX, preview_wish, slot_sizes
from nodecore.placement.change_reasons import ChangeReason
from nodecore.placement.rules import APPROVALS
from nodecore.placement.steering import (
    describe,
    propose_approval,
    propose_change_policy,
    propose_pause,
    propose_rejection,
)
from nodecore.placement.topology import RingSettings, Topology, Wish
from nodecore.requests import Done, Failed, Outcome
from nodecore.verb_arguments import (
    Arguments,
    BadArgument,
    number_argument,
    table_argument,
    text_argument,
)

if TYPE_CHECKING:
    from nodecore.node import Node

_KINDS: Final = ("join", "leave", "remove", "replace", "rebalance", "proposal")
_NOT_READY: Final = Failed(
    Code.NOT_READY, "this node knows no topology yet", 0.5, ChangeReason.NO_TOPOLOGY
)


def change_add(node: Node, _arguments: Arguments, _on: OnOutcome, _now: Now) -> Outcome:
    """A node is added by starting it with ``join``: this says where it should knock."""
    topology = node.chain.document
    if topology is None:
        return _NOT_READY
    if topology.joint:
        text = "another change is running"
        return Failed(Code.CHANGE_RUNNING, text, 1.0, ChangeReason.ANOTHER_CHANGE)
    join = [m.addresses.native for m in topology.members if node.is_live(m.node_id)]
    return Done({"cluster_id": topology.cluster_id, "epoch": int(topology.epoch), "join": join})


def change_leave(
    node: Node, arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """``node_id``: a live member hands over its slots and goes."""
    node_id = NodeId(text_argument(arguments, "node_id", str(node.node_id)))
    return node.topology_changes.admission.request(Wish("leave", node_id), on_outcome, now)


def change_remove(
    node: Node, arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """``node_id``: a member that is not alive goes."""
    wish = Wish("remove", NodeId(text_argument(arguments, "node_id")))
    return node.topology_changes.admission.request(wish, on_outcome, now)


def change_rebalance(
    node: Node, arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """``weights`` and ``zones`` by member, ``placement``, ``vnodes``; none of them: even it out."""
    topology = node.chain.document
    if topology is None:
        return _NOT_READY
    wish = _rebalance_wish(node, topology, arguments)
    return node.topology_changes.admission.request(wish, on_outcome, now)


def change_cancel(
    node: Node, _arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """Back to the old owners."""
    return node.topology_changes.admission.cancel(on_outcome, now)


def change_pause(
    node: Node, _arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """The change stands still until it is resumed."""
    admission = node.topology_changes.admission
    return admission.steer(lambda t: propose_pause(t, paused=True), on_outcome, now)


def change_resume(
    node: Node, _arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """It goes on."""
    admission = node.topology_changes.admission
    return admission.steer(lambda t: propose_pause(t, paused=False), on_outcome, now)


def change_policy(
    node: Node, arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """``approval`` (``auto``, ``manual``) and ``bytes_per_s`` (0: as each node is configured)."""
    approval, rate = arguments.get("approval"), arguments.get("bytes_per_s")
    if approval is None and rate is None:
        raise BadArgument("approval or bytes_per_s must be given")
    if approval is not None and approval not in APPROVALS:
        raise BadArgument("approval must be auto or manual")
    mode = None if approval is None else str(approval)
    limit = None if rate is None else int(number_argument(arguments, "bytes_per_s", 0, 0, 2**40))
    return node.topology_changes.admission.steer(
        lambda t: propose_change_policy(t, approval=mode, bytes_per_s=limit), on_outcome, now
    )


def change_approve(
    node: Node, _arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """The change that waits may begin."""
    admission = node.topology_changes.admission
    return admission.steer(lambda t: propose_approval(t, node.node_id), on_outcome, now)


def change_reject(
    node: Node, _arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """The change that waits is turned down."""
    admission = node.topology_changes.admission
    return admission.steer(lambda t: propose_rejection(t, now.wall_ms), on_outcome, now)


def change_preview(
    node: Node, arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """``kind``, and what that kind takes: ``node_id``, ``count``, ``replaces``, settings."""
    kind = text_argument(arguments, "kind", "join")
    if kind not in _KINDS:
        raise BadArgument(f"kind {kind!r} is none of {', '.join(_KINDS)}")
    topology = node.chain.document
    if topology is None:
        return _NOT_READY
    count = int(number_argument(arguments, "count", 1, 1, JOINS_MAX))
    if kind == "proposal":
        if topology.proposal is None:
            text = "no change waits for approval"
            return Failed(Code.BAD_REQUEST, text, reason=ChangeReason.NO_PROPOSAL)
        return preview_wish(node, topology.proposal, 1, on_outcome, now)
    if kind == "rebalance":
        wish = _rebalance_wish(node, topology, arguments)
    elif kind == "replace":
        old = NodeId(text_argument(arguments, "replaces"))
        # Addresses do not matter for placement, they must only differ from the others'.
        member = topology.member(old) or topology.members[0]
        name = NodeId(text_argument(arguments, "node_id"))
        wish = Wish("replace", name, replace(member, node_id=name), old)
    else:
        default = "" if kind == "join" else None
        wish = Wish(kind, NodeId(text_argument(arguments, "node_id", default)))
    return preview_wish(node, wish, count, on_outcome, now)


def _rebalance_wish(node: Node, topology: Topology, arguments: Arguments) -> Wish:
    weights = table_argument(arguments, "weights")
    zones = table_argument(arguments, "zones")
    if len(weights) + len(zones) > 2 * MEMBERS_MAX:
        raise BadArgument("weights and zones name more than all members")
    ring = topology.ring
    placement = text_argument(arguments, "placement", ring.placement)
    vnodes = int(number_argument(arguments, "vnodes", ring.vnodes, 1, 4096))
    following = RingSettings(vnodes, ring.hash, placement)
    return Wish(
        "rebalance",
        node.node_id,
        ring_next=None if following == ring else following,
        weights=tuple(
            (NodeId(name), number_argument(weights, name, 1, 0.01, 100)) for name in weights
        ),
        zones=tuple((NodeId(name), text_argument(zones, name, "")) for name in zones),
    )


def change_status(
    node: Node, arguments: Arguments, on_outcome: OnOutcome, now: Now
) -> Outcome | None:
    """What is under way, waits, or was last; the progress as its coordinator tells it.

    ``local`` true: this node does not ask the coordinator.
    """
    topology = node.chain.document
    if topology is None:
        return _NOT_READY
    change = topology.change
    own = _status(node, topology)
    if change is None or change.coordinator == node.node_id or arguments.get("local") is True:
        return Done(own)

    def on_answers(answers: Mapping[NodeId, object], then: Now) -> None:
        said = answers.get(change.coordinator)
        if isinstance(said, dict) and said.get("epoch") == own["epoch"]:
            on_outcome(Done({**said, "answered_by": str(change.coordinator)}), then)
            return
        text = f"its coordinator {change.coordinator} does not answer; another takes over"
        silent = {"reason": text, "reason_code": str(ChangeReason.COORDINATOR_SILENT)}
        on_outcome(Done({**own, **({} if change.paused else silent)}), then)

    asked = node.peer_questions.ask(
        [change.coordinator], "change.status", {"local": True}, on_answers, now
    )
    return None if asked else Done(own)


def _status(node: Node, topology: Topology) -> dict[str, object]:
    change, wish, policy = topology.change, topology.proposal, topology.change_policy
    found: dict[str, object] = {
        "epoch": int(topology.epoch),
        "state": "stable" if wish is None else "proposal",
        "kind": "",
        "node_id": "",
        "replaces": "",
        "coordinator": "",
        "slots_total": 0,
        "slots_done": 0,
        "keys_moved": 0,
        "bytes_moved": 0,
        "started_wall_ms": 0,
        "paused": False,
        "reason": topology.reason,
        "reason_code": "",
        "approval": policy.approval,
        "bytes_per_s": policy.bytes_per_s,
        "answered_by": str(node.node_id),
        "proposal": None,
    }
    if wish is not None:
        found |= {"kind": wish.kind, "node_id": str(wish.node_id), "replaces": str(wish.replaces)}
        found["reason"] = f"the {describe(wish)} waits for approval"
        found["reason_code"] = str(ChangeReason.APPROVAL_NEEDED)
        found["proposal"] = msgspec.to_builtins(wish)
    if change is not None:
        progress = node.topology_changes.progress()
        found |= {
            "state": "paused" if change.paused else "joint",
            "kind": change.kind,
            "node_id": str(change.node_id),
            "replaces": str(change.replaces),
            "coordinator": str(change.coordinator),
            "paused": change.paused,
            "reason_code": str(ChangeReason.PAUSED) if change.paused else "",
        }
        if progress is not None:
            found |= asdict(progress)
    return found


def cluster_history(node: Node, arguments: Arguments, _on: OnOutcome, _now: Now) -> Outcome:
    """``count``: that many of the newest documents, oldest first."""
    count = int(number_argument(arguments, "count", LINES_KEPT, 1, LINES_KEPT))
    lines = [msgspec.to_builtins(line) for line in node.change_history.lines(count)]
    return Done({"node": str(node.node_id), "epoch": int(node.epoch()), "history": lines})


STEERING_VERBS: Final = {
    "change.add": change_add,
    "change.approve": change_approve,
    "change.cancel": change_cancel,
    "change.leave": change_leave,
    "change.pause": change_pause,
    "change.policy": change_policy,
    "change.preview": change_preview,
    "change.rebalance": change_rebalance,
    "change.reject": change_reject,
    "change.remove": change_remove,
    "change.resume": change_resume,
    "change.status": change_status,
    "cluster.history": cluster_history,
    "slots.sizes": slot_sizes,
}
