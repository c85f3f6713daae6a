"""The acceptor of one instance (an epoch of the topology, a strong key): promise and accept.

Values are opaque. Each method returns the reply and the new state to persist, or None when nothing
changed; the caller must make that state durable *before* it lets the reply leave, else a crash
could break a promise.

A ballot is granted once in phase 1: a proposer that lost its memory and numbers its rounds anew is
refused instead of being taken for its former self.

Sources: Lamport, "Paxos made simple"; Rystsov, "CASPaxos" (arXiv 1802.07000).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from nodecore.consensus.ballot import COUNTER_MAX, NO_BALLOT, Ballot


@dataclass(frozen=True, slots=True)
class AcceptorState:
    """All that an acceptor must never forget about an instance."""

    promised: Ballot = NO_BALLOT
    accepted_ballot: Ballot = NO_BALLOT
    accepted: object = None
    """The value of ``accepted_ballot``; meaningless while that is NO_BALLOT."""

    def joined(self, other: AcceptorState) -> AcceptorState:
        """The lowest state that keeps what both promised, with the later value."""
        later = max(self, other, key=lambda state: state.accepted_ballot)
        promised = max(self.promised, other.promised, later.accepted_ballot)
        return replace(later, promised=promised)


@dataclass(frozen=True, slots=True)
class PromiseReply:
    """Answer to phase 1."""

    granted: bool
    promised: Ballot
    """The ballot asked for when granted, else the one that stands in the way."""
    accepted_ballot: Ballot
    accepted: object


@dataclass(frozen=True, slots=True)
class AcceptReply:
    """Answer to phase 2."""

    granted: bool
    promised: Ballot
    """The accepted ballot when granted, else the one that stands in the way."""


@final
class Acceptor:
    """One instance's promises."""

    __slots__ = ("state",)

    def __init__(self, state: AcceptorState = AcceptorState()) -> None:
        self.state = state

    def prepare(self, ballot: Ballot) -> tuple[PromiseReply, AcceptorState | None]:
        """Phase 1: promise to accept nothing below ``ballot``, and tell what was accepted."""
        state = self.state
        granted = state.promised < ballot and ballot.counter <= COUNTER_MAX
        if granted:
            self.state = replace(state, promised=ballot)
        reply = PromiseReply(granted, self.state.promised, state.accepted_ballot, state.accepted)
        return reply, self.state if granted else None

    def accept(self, ballot: Ballot, value: object) -> tuple[AcceptReply, AcceptorState | None]:
        """Phase 2: accept unless a higher ballot was promised. A repeated message changes nothing."""
        state = self.state
        if ballot < state.promised or ballot == NO_BALLOT or ballot.counter > COUNTER_MAX:
            return AcceptReply(granted=False, promised=state.promised), None
        if ballot == state.accepted_ballot:
            return AcceptReply(granted=True, promised=ballot), None
        self.state = AcceptorState(promised=ballot, accepted_ballot=ballot, accepted=value)
        return AcceptReply(granted=True, promised=ballot), self.state
