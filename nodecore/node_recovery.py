"""The verb ``change.recover``: a survivor takes up the first document of a new generation.

The operator's command has asked everybody who can be reached, drafted the document
(``placement.recovery``) and had its price accepted. This node judges what it can judge itself: that the
document may follow what it knows, that it is one of the survivors, and that from here, too, no
majority of the voters can be reached, or else that strong keys stay closed because most of their owners
have lost their state. What the command says twice is done once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nodecore.doors.session import OnOutcome
from nodecore.effects import Emit, Severity
from nodecore.errors import Code, InvalidTopology
from nodecore.ids import Now
from nodecore.placement.recovery import recovery_refusal
from nodecore.placement.topology import Topology
from nodecore.requests import Done, Failed, Outcome

if TYPE_CHECKING:
    from nodecore.node import Node


def recover(
    node: Node, arguments: Mapping[str, object], _on_outcome: OnOutcome, now: Now
) -> Outcome:
    """``document``: the recovered cluster's first document; ``accept_loss`` must be true."""
    current = node.chain.document
    if current is None:
        return Failed(Code.NOT_READY, "this node knows no topology yet", 0.5)
    if arguments.get("accept_loss") is not True:
        return Failed(Code.BAD_REQUEST, "change.recover: accept_loss must be true")
    try:
        recovered = Topology.from_plain(arguments.get("document"))
    except InvalidTopology as error:
        return Failed(Code.BAD_REQUEST, f"change.recover: {error}")
    if recovered == current:
        node.chain.install(recovered, now)
        return _done(recovered)
    if all(member.node_id != node.node_id for member in recovered.members):
        return Failed(Code.REFUSED, f"{node.node_id} is not among the survivors")
    members = [member.node_id for member in current.all_members]
    refusal = recovery_refusal(current, [name for name in members if node.is_live(name)])
    if refusal is not None and not node.strong.learning.lost:
        # It may take a moment until this node, too, has found the others to be gone.
        return Failed(Code.NOT_READY, f"as {node.node_id} sees it, {refusal}", 0.5)
    found = node.chain.install(recovered, now)
    if found:
        return Failed(
            Code.REFUSED, f"{node.node_id} can't take up the document: {'; '.join(found)}"
        )
    lost = [name for name in members if recovered.member(name) is None]
    text = (
        f"generation {recovered.generation} begins at epoch {recovered.epoch} without "
        f"{', '.join(lost) or 'any loss of members'}: an operator accepted the loss"
    )
    node.emit(
        Emit(
            "cluster.recovered",
            text[:1000],
            Severity.WARNING,
            (("generation", recovered.generation), ("epoch", int(recovered.epoch))),
        )
    )
    return _done(recovered)


def _done(document: Topology) -> Done:
    return Done({"epoch": int(document.epoch), "generation": document.generation})
