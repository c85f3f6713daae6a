"""Answers of acceptors as messages and back."""

from __future__ import annotations

from nodecore.consensus.acceptor import AcceptReply, PromiseReply
from nodecore.consensus.ballot import Ballot
from transport.messages import Accepted, Promise


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
