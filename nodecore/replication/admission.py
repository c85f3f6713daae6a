"""Who may become a member or cease to be one: judges requests and turns them into documents.

An id with a live holder at another address is taken; with a failed holder that one is removed
first, if the rules allow it. A member that asks again from its own address has lost its memory: it
is given the document and copies its slots anew (``consensus`` keeps it from voting meanwhile). One
change at a time: whoever comes second is told to ask again.

Carrying a change out is ``migration``'s and ``change_driver``'s.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from nodecore.consensus.outcome import ProposalOutcome, ProposalResult
from nodecore.doors.session import OnOutcome
from nodecore.errors import Code
from nodecore.ids import NodeId, Now
from nodecore.placement.proposals import (
    Refused,
    may_remove,
    propose_cancel,
    propose_join,
    propose_leave,
    propose_remove,
)
from nodecore.placement.topology import Member, Topology
from nodecore.placement.voters import has_majority, voter_sets
from nodecore.replication.change_ports import ChangePorts
from nodecore.replication.departure import OPERATOR_CANCEL
from nodecore.requests import Done, Failed, Outcome, Unknown
from transport.messages import ErrorReply, JoinReply, Lane


class Admission:
    """See the module.

    Args:
        ports: the node.
        topology: gives the newest document, None before there is one.
    """

    def __init__(self, ports: ChangePorts, topology: Callable[[], Topology | None]) -> None:
        self._ports = ports
        self._id = ports.node_id
        self._topology = topology

    def request_leave(self, node: NodeId, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        """Let a live member hand over its slots and go; answered once the change has begun."""
        topology = self._topology()
        if topology is None:
            return _NOT_READY
        if self._ports.is_failed(node):
            return Failed(Code.UNREACHABLE, f"{node} has failed: remove it instead")
        return self.propose(partial(propose_leave, topology, node, self._id), on_outcome, now)

    def request_remove(self, node: NodeId, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        """Remove a member that is not alive; answered once the change has begun."""
        topology = self._topology()
        if topology is None:
            return _NOT_READY
        if node == self._id or self._ports.is_live(node):
            return Failed(Code.REFUSED, f"{node} is alive: let it leave instead")
        return self.propose(partial(propose_remove, topology, node, self._id), on_outcome, now)

    def cancel(self, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        """Take the change under way back; answered once the old owners stand alone again."""
        topology = self._topology()
        if topology is None:
            return _NOT_READY
        return self.propose(partial(propose_cancel, topology, OPERATOR_CANCEL), on_outcome, now)

    def propose(
        self, draft: Callable[[], Topology], on_outcome: OnOutcome, now: Now
    ) -> Outcome | None:
        """Propose what ``draft`` makes of the newest document; answered with its epoch."""
        try:
            document = draft()
        except Refused as refused:
            return Failed(refused.code, str(refused))
        lost = self._voters_lost()
        if lost:
            # Known beforehand, it is refused at once instead of being tried until the deadline.
            text = (
                f"no majority of the voters is reachable, nothing can be decided without "
                f"{', '.join(lost)}: bring them back, or give them up (ringdeck cluster recover)"
            )
            return Failed(Code.NO_QUORUM, text, 1.0)
        self._ports.propose(document, partial(_tell, on_outcome), now)
        return None

    def _voters_lost(self) -> list[NodeId]:
        """The voters that can't be reached, when the others are no majority."""
        topology = self._topology()
        if topology is None:
            return []
        sets = voter_sets(topology)
        voters = sorted({voter: None for voters in sets for voter in voters})
        live = [node for node in voters if node == self._id or self._ports.is_live(node)]
        return [] if has_majority(sets, live) else [node for node in voters if node not in live]

    def on_join(self, peer: NodeId, stream: int, plain: object, now: Now) -> None:
        """A node asks to be made a member."""
        reply = partial(self._ports.send, peer, Lane.CONTROL, stream)
        topology = self._topology()
        try:
            member = msgspec.convert(plain, Member)
        except msgspec.ValidationError as error:
            reply(ErrorReply(Code.BAD_REQUEST, f"member entry: {error}"))
            return
        if topology is None or all(m.node_id != self._id for m in topology.members):
            reply(ErrorReply(Code.NOT_READY, "this node is no member itself"))
            return
        known = topology.member(member.node_id)
        if known is not None:
            if known.node_id != self._id and known.addresses == member.addresses:
                reply(JoinReply(topology.to_plain()))
            else:
                code, text = self._replace(topology, member.node_id, now)
                reply(ErrorReply(code, text))
            return
        try:
            document = propose_join(topology, member, self._id)
        except Refused as refused:
            reply(ErrorReply(refused.code, str(refused)))
            return
        self._ports.propose(document, partial(_tell_joiner, reply), now)

    def _replace(self, topology: Topology, node: NodeId, now: Now) -> tuple[Code, str]:
        """A known id asks from another address: only a failed holder makes room for it."""
        if not self._ports.is_failed(node):
            return Code.TAKEN, f"{node} is a member at another address"
        live = [m.node_id for m in topology.members if self._ports.is_live(m.node_id)]
        reason = may_remove(topology, [*live, self._id], node)
        if reason is not None:
            return Code.CHANGE_RUNNING, f"{node} has failed and can't be removed yet: {reason}"
        document = propose_remove(topology, node, self._id)
        self._ports.propose(document, _ignore, now)
        return Code.CHANGE_RUNNING, f"{node} has failed and is being removed first"


def _tell(on_outcome: OnOutcome, result: ProposalResult, now: Now) -> None:
    epoch = 0 if result.document is None else result.document.epoch
    code = result.code or Code.INTERNAL
    match result.outcome:
        case ProposalOutcome.CHOSEN:
            on_outcome(Done({"epoch": epoch}), now)
        case ProposalOutcome.UNKNOWN:
            on_outcome(Unknown(code, result.text), now)
        case _:
            on_outcome(Failed(code, result.text), now)


def _tell_joiner(reply: partial[None], result: ProposalResult, _now: Now) -> None:
    if result.outcome is ProposalOutcome.CHOSEN and result.document is not None:
        reply(JoinReply(result.document.to_plain()))
    else:
        code = Code.CHANGE_RUNNING if result.outcome is ProposalOutcome.LOST else result.code
        reply(ErrorReply(code or Code.NO_QUORUM, result.text))


def _ignore(_result: ProposalResult, _now: Now) -> None:
    """Whoever wanted it asks again."""


_NOT_READY: Final = Failed(Code.NOT_READY, "this node knows no topology yet")
