"""A value's way through one instance: rounds, retries with back-off, a deadline.

The node's own vote is cast directly, the others' by messages. A campaign ends when its instance is
decided (by it or by others) or at its deadline; it knows whether voters may have accepted its own
value, which is the difference between "failed" and "unknown".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, final

from nodecore.consensus.acceptor import AcceptorState, AcceptReply, PromiseReply
from nodecore.consensus.ballot import NO_BALLOT, Ballot
from nodecore.consensus.proposer import Phase, Proposer
from nodecore.consensus.settings import ChainSettings
from nodecore.consensus.voter import Voter
from nodecore.ids import NodeId, Now
from nodecore.timers import Timer, Timers
from transport.messages import Accept, Message, Prepare


class Instance(NamedTuple):
    """What is to be decided, and by whom."""

    epoch: int
    quorums: Sequence[Sequence[NodeId]]
    value: object
    """Proposed when no earlier value turns up."""


class CampaignPorts(NamedTuple):
    """How a campaign reaches the chain."""

    send: Callable[[NodeId, Message], None]
    on_own_acceptance: Callable[[Now], None]
    """This node's own acceptor accepted a value."""
    on_chosen: Callable[[object, Now], None]
    """A majority accepted this value."""
    on_deadline: Callable[[Now], None]


@final
class Campaign:
    """See the module; :meth:`begin` starts it, :meth:`end` forgets it."""

    def __init__(
        self,
        instance: Instance,
        ports: CampaignPorts,
        voter: Voter,
        timers: Timers,
        rng: Random,
        settings: ChainSettings,
    ) -> None:
        self.instance = instance
        self.rounds = 0
        self.own_value_sent = False
        """Whether voters were asked to accept ``instance.value``."""
        self._ports = ports
        self._voter = voter
        self._timers = timers
        self._rng = rng
        self._settings = settings
        self._floor: Ballot = NO_BALLOT
        self._round: Proposer | None = None
        self._deadline: Timer | None = None
        self._step: Timer | None = None
        self._ended = False

    def begin(self, now: Now) -> None:
        """Begin the first round."""
        self._deadline = self._timers.schedule(
            now.mono_s + self._settings.deadline_s, self._on_deadline
        )
        self._begin_round(now)

    def end(self) -> None:
        """Stop; no callback comes any more."""
        self._ended = True
        self._round = None
        self._timers.cancel(self._deadline)
        self._timers.cancel(self._step)

    @property
    def asked_for(self) -> AcceptorState:
        """The value that the running round asks voters to accept, as if it was accepted here."""
        round_ = self._round
        if round_ is None or round_.phase is not Phase.ACCEPTING:
            return AcceptorState()
        return AcceptorState(round_.ballot, round_.ballot, round_.value)

    def on_promise(self, voter: NodeId, reply: PromiseReply, now: Now) -> None:
        """A voter answered phase 1."""
        round_ = self._round
        if round_ is None or round_.phase is not Phase.PREPARING:
            return
        phase = round_.on_promise(voter, reply)
        if phase is Phase.PREEMPTED:
            self._retry_later(round_, now)
        elif phase is Phase.ACCEPTING:
            self._ask_acceptance(round_, now)

    def on_accepted(self, voter: NodeId, reply: AcceptReply, now: Now) -> None:
        """A voter answered phase 2."""
        round_ = self._round
        if round_ is None or round_.phase is not Phase.ACCEPTING:
            return
        phase = round_.on_accepted(voter, reply)
        if phase is Phase.PREEMPTED:
            self._retry_later(round_, now)
        elif phase is Phase.CHOSEN:
            self._ports.on_chosen(round_.value, now)

    def _begin_round(self, now: Now) -> None:
        self.rounds += 1
        ballot = self._voter.new_ballot(self._floor, self._rng)
        self._floor = ballot
        round_ = self._round = Proposer(ballot, self.instance.quorums, self._choose)
        self._step = self._timers.schedule(
            now.mono_s + self._settings.round_timeout_s, self._on_round_timeout
        )
        self._ask(round_, Prepare(self.instance.epoch, ballot.counter, ballot.proposer))
        if self._votes(round_):
            self.on_promise(self._voter.node_id, self._voter.prepare(ballot), now)

    def _choose(self, accepted: object, exists: bool) -> object:
        return accepted if exists else self.instance.value

    def _ask_acceptance(self, round_: Proposer, now: Now) -> None:
        if not round_.adopted:
            self.own_value_sent = True
        ballot, value = round_.ballot, round_.value
        self._ask(round_, Accept(self.instance.epoch, ballot.counter, ballot.proposer, value))
        if self._votes(round_):
            reply = self._voter.accept(ballot, value)
            if reply.granted:
                self._ports.on_own_acceptance(now)
            self.on_accepted(self._voter.node_id, reply, now)

    def _votes(self, round_: Proposer) -> bool:
        return not self._ended and self._voter.node_id in round_.voters and self._voter.may_vote

    def _ask(self, round_: Proposer, message: Message) -> None:
        for voter in round_.voters:
            if voter != self._voter.node_id:
                self._ports.send(voter, message)

    def _retry_later(self, round_: Proposer, now: Now) -> None:
        self._floor = max(self._floor, round_.preempted_by)
        self._round = None
        settings = self._settings
        longest = min(settings.backoff_s_max, settings.backoff_s_min * 2.0 ** min(self.rounds, 32))
        delay_s = self._rng.uniform(settings.backoff_s_min, max(settings.backoff_s_min, longest))
        self._timers.cancel(self._step)
        self._step = self._timers.schedule(now.mono_s + delay_s, self._begin_round)

    def _on_round_timeout(self, now: Now) -> None:
        if self._round is not None:
            self._retry_later(self._round, now)

    def _on_deadline(self, now: Now) -> None:
        self.end()
        self._ports.on_deadline(now)
