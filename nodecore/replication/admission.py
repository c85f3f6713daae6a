"""Who may become a member or cease to be one: judges requests and turns them into documents.

An id with a live holder at another address is taken; with a failed holder that one is removed
first, if the rules allow it. A member that asks again from its own address has lost its memory: it
is given the document and copies its slots anew (``consensus`` keeps it from voting meanwhile). One
change at a time: whoever comes second is told to ask again.

Under the ``manual`` policy what is asked for becomes a proposal, see ``placement.steering``. Steps
that steer a change are drafted anew when another document comes first: they mean the newest state.

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
from nodecore.placement.change_reasons import ChangeReason, Obstacle, reason_of
from nodecore.placement.proposals import Refused, may_remove, propose_cancel
from nodecore.placement.steering import propose_wish
from nodecore.placement.topology import NOBODY, Member, Topology, Wish
from nodecore.placement.voters import has_majority, voter_sets
from nodecore.replication.change_ports import ChangePorts
from nodecore.replication.departure import OPERATOR_CANCEL
from nodecore.requests import Done, Failed, Outcome, Unknown
from transport.messages import ErrorReply, JoinReply, Lane

STEER_TRIES: Final = 4
"""Documents that may come first before a step of steering is given up."""


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

    def request(self, wish: Wish, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        """An operator wants a change; answered once it has begun, or waits for approval."""
        obstacle = self._forbids(wish)
        if obstacle is not None:
            code = (
                Code.UNREACHABLE if obstacle.reason is ChangeReason.MEMBER_FAILED else Code.REFUSED
            )
            return Failed(code, obstacle.text, reason=obstacle.reason)
        return self.steer(
            lambda topology: propose_wish(topology, wish, self._id, now.wall_ms), on_outcome, now, 1
        )

    def _forbids(self, wish: Wish) -> Obstacle | None:
        node, ports = wish.node_id, self._ports
        if wish.kind == "leave" and ports.is_failed(node):
            text = f"{node} has failed: remove it instead"
            return Obstacle(ChangeReason.MEMBER_FAILED, text)
        if wish.kind == "remove" and (node == self._id or ports.is_live(node)):
            text = f"{node} is alive: let it leave instead"
            return Obstacle(ChangeReason.MEMBER_ALIVE, text)
        return None

    def cancel(self, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        """Take the change under way back; answered once the old owners stand alone again."""
        return self.steer(lambda t: propose_cancel(t, OPERATOR_CANCEL), on_outcome, now)

    def steer(
        self,
        draft: Callable[[Topology], Topology],
        on_outcome: OnOutcome,
        now: Now,
        tries: int = STEER_TRIES,
    ) -> Outcome | None:
        """Propose what ``draft`` makes of the newest document, and again if another came first."""

        def on_result(outcome: Outcome, then: Now) -> None:
            lost = isinstance(outcome, Failed) and outcome.reason == ChangeReason.OVERTAKEN
            if not lost or tries <= 1:
                on_outcome(outcome, then)
                return
            again = self.steer(draft, on_outcome, then, tries - 1)
            if again is not None:
                on_outcome(_too_late(again), then)

        topology = self._topology()
        if topology is None:
            return _NOT_READY
        return self.propose(partial(draft, topology), on_result, now)

    def propose(
        self, draft: Callable[[], Topology], on_outcome: OnOutcome, now: Now
    ) -> Outcome | None:
        """Propose what ``draft`` makes of the newest document; answered with its epoch."""
        try:
            document = draft()
        except Refused as refused:
            return Failed(refused.code, str(refused), reason=refused.reason)
        lost = self._voters_lost()
        if lost:
            # Known beforehand, it is refused at once instead of being tried until the deadline.
            text = (
                f"no majority of the voters is reachable, nothing can be decided without "
                f"{', '.join(lost)}: bring them back, or give them up (ringdeck cluster recover)"
            )
            return Failed(Code.NO_QUORUM, text, 1.0, ChangeReason.MAJORITY_UNREACHABLE)
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

    def on_join(
        self, peer: NodeId, stream: int, plain: object, now: Now, replaces: NodeId = NOBODY
    ) -> None:
        """A node asks to be made a member, maybe in the place of ``replaces``."""
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
                reply(self._replace(topology, member.node_id, now))
            return
        # One that has gone already makes room for anybody: then this is a join like any other.
        if replaces and topology.member(replaces) is not None:
            wish = Wish("replace", member.node_id, member, replaces)
        else:
            wish = Wish("join", member.node_id, member)
        try:
            document = propose_wish(topology, wish, self._id, now.wall_ms)
        except Refused as refused:
            reply(_error(refused.code, str(refused), refused.reason))
            return
        self._ports.propose(document, partial(_tell_joiner, reply), now)

    def _replace(self, topology: Topology, node: NodeId, now: Now) -> ErrorReply:
        """A known id asks from another address: only a failed holder makes room for it."""
        if not self._ports.is_failed(node):
            text = f"{node} is a member at another address"
            return _error(Code.TAKEN, text, ChangeReason.ALREADY_A_MEMBER)
        live = [m.node_id for m in topology.members if self._ports.is_live(m.node_id)]
        obstacle = may_remove(topology, [*live, self._id], node)
        if obstacle is not None:
            text = f"{node} has failed and can't be removed yet: {obstacle.text}"
            return _error(Code.CHANGE_RUNNING, text, obstacle.reason)
        try:
            document = propose_wish(topology, Wish("remove", node), self._id, now.wall_ms)
        except Refused as refused:
            text = f"{node} has failed and can't be removed yet: {refused}"
            return _error(Code.CHANGE_RUNNING, text, refused.reason)
        self._ports.propose(document, _ignore, now)
        text = f"{node} has failed and is being removed first"
        return _error(Code.CHANGE_RUNNING, text, ChangeReason.ANOTHER_CHANGE)


def _error(code: Code, text: str, reason: ChangeReason) -> ErrorReply:
    return ErrorReply(code, text, reason=reason)


def _tell(on_outcome: OnOutcome, result: ProposalResult, now: Now) -> None:
    code = result.code or Code.INTERNAL
    match result.outcome:
        case ProposalOutcome.CHOSEN:
            document = result.document
            plain: dict[str, object] = {"epoch": 0 if document is None else int(document.epoch)}
            if document is not None and document.proposal is not None:
                plain["waits_for_approval"] = True
            on_outcome(Done(plain), now)
        case ProposalOutcome.UNKNOWN:
            on_outcome(Unknown(code, result.text), now)
        case ProposalOutcome.LOST:
            on_outcome(Failed(code, result.text, reason=ChangeReason.OVERTAKEN), now)
        case _:
            on_outcome(Failed(code, result.text, reason=reason_of(code)), now)


def _too_late(outcome: Outcome) -> Outcome:
    """A step that found no change any more on its second try was overtaken by the end of it."""
    if isinstance(outcome, Failed) and outcome.reason == ChangeReason.NO_CHANGE:
        text = "the change has ended meanwhile"
        return Failed(outcome.code, text, reason=ChangeReason.TOO_LATE)
    return outcome


def _tell_joiner(reply: partial[None], result: ProposalResult, _now: Now) -> None:
    document = result.document
    if result.outcome is ProposalOutcome.CHOSEN and document is not None:
        if document.joint:
            reply(JoinReply(document.to_plain()))
        else:
            reply(_error(Code.CHANGE_RUNNING, document.reason, ChangeReason.APPROVAL_NEEDED))
        return
    lost = result.outcome is ProposalOutcome.LOST
    code = Code.CHANGE_RUNNING if lost else result.code or Code.NO_QUORUM
    reply(_error(code, result.text, reason_of(code)))


def _ignore(_result: ProposalResult, _now: Now) -> None:
    """Whoever wanted it asks again."""


_NOT_READY: Final = Failed(
    Code.NOT_READY, "this node knows no topology yet", reason=ChangeReason.NO_TOPOLOGY
)
