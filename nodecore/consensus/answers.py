"""Answers of acceptors as messages and back, and how a voter answers a request."""

from __future__ import annotations

from nodecore.consensus.acceptor import AcceptReply, PromiseReply
from nodecore.consensus.ballot import Ballot
from nodecore.consensus.voter import Voter
from nodecore.errors import InvalidTopology
from nodecore.ids import NodeId
from nodecore.placement.rules import step_problems
from nodecore.placement.topology import Topology
from nodecore.placement.voters import voter_sets
from transport.messages import Accept, Accepted, Message, Prepare, Promise


def answer_of(
    voter: Voter, current: Topology, peer: NodeId, request: Prepare | Accept
) -> Message | list[str]:
    """The vote of ``voter`` on what follows ``current``; none, and what is wrong with the document.

    Strangers get no vote, nor does anybody from a node that has none or may not vote yet: an empty list.
    """
    voters = [node_id for voters in voter_sets(current) for node_id in voters]
    known = current.member(peer) is not None and request.proposer == peer
    if not known or voter.node_id not in voters or not voter.may_vote:
        return []
    ballot = Ballot(request.counter, request.proposer)
    if isinstance(request, Prepare):
        return promise_message(request.epoch, voter.prepare(ballot))
    found = plain_step_problems(current, request.document)
    return found or accepted_message(request.epoch, voter.accept(ballot, request.document))


def plain_step_problems(current: Topology, plain: object) -> list[str]:
    """What keeps a document in plain data from following ``current``; empty: nothing."""
    try:
        return step_problems(current, Topology.from_plain(plain))
    except InvalidTopology as error:
        return [str(error)]


def promise_of(message: Promise) -> PromiseReply:
    """The answer to phase 1 that a message carries."""
    return PromiseReply(
        message.granted,
        Ballot(message.promised_counter, message.promised_proposer),
        Ballot(message.accepted_counter, message.accepted_proposer),
        message.accepted,
    )


def promise_message(epoch: int, reply: PromiseReply) -> Promise:
    """An answer to phase 1 of the instance ``epoch``."""
    return Promise(epoch, reply.granted, *reply.promised, *reply.accepted_ballot, reply.accepted)


def accepted_of(message: Accepted) -> AcceptReply:
    """The answer to phase 2 that a message carries."""
    return AcceptReply(message.granted, Ballot(message.promised_counter, message.promised_proposer))


def accepted_message(epoch: int, reply: AcceptReply) -> Accepted:
    """An answer to phase 2 of the instance ``epoch``."""
    return Accepted(epoch, reply.granted, *reply.promised)
