"""The chain of topology documents at one node: votes, proposes, learns, spreads.

Epoch e+1 is one instance of single-decree Paxos among the voters of document e (majorities of both
sets when it is joint) and never overwritten. This class composes the node's votes, at most one
running campaign, and the newest chosen document. Whoever asks about a past epoch is answered with
that document; whoever is ahead is asked for its own.

A value that voters accepted but nobody announced (its proposer died) is finished by whichever
voter notices first. A node that lost its memory finds out what it may have promised (``recall``), or
asks the others for an epoch in which it is born anew, and votes from then on.

It does not decide what a document should say (``placement.proposals``) nor what follows from one
(the node's ``on_document``).

Sources: Lamport, "Paxos made simple"; Ongaro, "Consensus: bridging theory and practice", 4.3
(joint consensus).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Final, NamedTuple, final

from nodecore.consensus.acceptor import AcceptorState
from nodecore.consensus.answers import accepted_of, answer_of, promise_of
from nodecore.consensus.campaign import Campaign, CampaignPorts, Instance
from nodecore.consensus.memory import Memory
from nodecore.consensus.outcome import OnResult, ProposalOutcome, ProposalResult, result_of
from nodecore.consensus.recall import RECALL, RECALLED, Recall, RecallPorts, testimony_to
from nodecore.consensus.resend import ResendLimit
from nodecore.consensus.settings import ChainSettings
from nodecore.consensus.voter import ACCEPTOR_RECORD, Voter
from nodecore.effects import Emit, Severity
from nodecore.errors import Code, InvalidTopology
from nodecore.ids import Epoch, NodeId, Now
from nodecore.placement.proposals import propose_readmission
from nodecore.placement.recovery import recovery_problems
from nodecore.placement.rules import problems, step_problems
from nodecore.placement.topology import Topology
from nodecore.placement.voters import voter_sets
from nodecore.timers import Timer, Timers
from transport.messages import (
    Accept,
    Accepted,
    ChangeStep,
    ErrorReply,
    Lane,
    Message,
    Prepare,
    Promise,
    TopologyDocument,
    TopologyFetch,
)

TOPOLOGY_RECORD: Final = "topology"


class ChainPorts(NamedTuple):
    """How the chain reaches its node."""

    send: Callable[[NodeId, Lane, int, Message], None]
    persist: Callable[[str, object], None]
    """Name and plain data; durable before anything that is sent afterwards leaves."""
    emit: Callable[[Emit], None]
    on_document: Callable[[Topology, Topology | None, Now], None]
    """A newer document was adopted: (new, previous, now)."""


class _Pending(NamedTuple):
    document: Topology
    on_result: OnResult


@final
class Chain:
    """See the module. Call :meth:`restore`, then :meth:`start` for a first member of a cluster."""

    def __init__(
        self,
        node_id: NodeId,
        ports: ChainPorts,
        timers: Timers,
        rng: Random,
        settings: ChainSettings | None = None,
    ) -> None:
        self.node_id = node_id
        self.document: Topology | None = None
        """The newest chosen document known."""
        self.refused = 0
        """Messages whose documents broke the rules."""
        self.campaigns = 0
        """Campaigns begun by this node, background ones included."""
        self._ports = ports
        self._timers = timers
        self._rng = rng
        self._settings = settings or ChainSettings()
        self._voter = Voter(node_id, ports.persist)
        self._memory = Memory(self._voter, asks=self._settings.readmit_s > 0)
        self._campaign: Campaign | None = None
        self._pending: _Pending | None = None
        self._settle: Timer | None = None
        self._recall = Recall(
            node_id,
            RecallPorts(self._send, self._on_recalled, self._on_overdue),
            timers,
            rng,
            self._settings,
        )
        self._resend = ResendLimit(self._settings.resend_s)

    def restore(self, records: Mapping[str, object], now: Now) -> None:
        """Take up the records of an earlier life, as they were given to ``persist``.

        Raises:
            InvalidTopology: a record is damaged; the node must not vote on a guess.
        """
        plain = records.get(TOPOLOGY_RECORD)
        if plain is None:
            return
        document = Topology.from_plain(plain)
        _require_sound(document)
        self.document = document
        self._voter.enter(document, 0)
        if ACCEPTOR_RECORD in records:
            self._voter.restore(records[ACCEPTOR_RECORD], document)
        self._memory.on_restored(document, ACCEPTOR_RECORD in records)
        self._watch(now)

    def start(self, document: Topology, now: Now) -> None:
        """Adopt the first document of a new cluster, unless an earlier life knows one.

        Raises:
            InvalidTopology: the document breaks the rules.
        """
        _require_sound(document)
        if self.document is None:
            self._adopt(document, now)
            self._memory.on_started(document)
            self._watch(now)

    @property
    def epoch(self) -> Epoch:
        """Of the newest chosen document; 0 when none is known."""
        return Epoch(0) if self.document is None else self.document.epoch

    @property
    def abstaining(self) -> bool:
        """Whether this node lost its memory, or may have, and may not vote yet."""
        return not self._voter.may_vote

    def propose(self, document: Topology, on_result: OnResult, now: Now) -> None:
        """Have ``document`` chosen as the successor of the newest one, stamped with who and when.

        ``on_result`` is called exactly once, at the latest at the deadline; at once when the
        document can't be proposed at all.
        """
        document = replace(document, proposer=self.node_id, proposed_ms=now.wall_ms)
        current = self.document
        if current is None:
            refusal = Code.NOT_READY, "this node knows no topology yet"
        elif self._pending is not None:
            refusal = Code.CHANGE_RUNNING, "this node has another proposal under way"
        elif document.epoch <= current.epoch:
            refusal = Code.STALE_EPOCH, f"epoch {document.epoch} is decided already"
        elif found := step_problems(current, document):
            refusal = Code.BAD_REQUEST, "; ".join(found)
        else:
            self._pending = _Pending(document, on_result)
            self._begin_campaign(current, document.to_plain(), now)
            return
        on_result(ProposalResult(ProposalOutcome.FAILED, current, *refusal), now)

    def _begin_campaign(self, current: Topology, value: object, now: Now) -> None:
        if self._campaign is not None:
            self._campaign.end()
        self.campaigns += 1
        self._campaign = Campaign(
            Instance(current.epoch + 1, voter_sets(current), value),
            CampaignPorts(self._send, self._watch, self._on_chosen, self._on_deadline),
            self._voter,
            self._timers,
            self._rng,
            self._settings,
        )
        self._campaign.begin(now)

    def _on_chosen(self, value: object, now: Now) -> None:
        # Every value was judged before it was proposed or accepted, so it parses.
        previous, chosen = self.document, Topology.from_plain(value)
        self._adopt(chosen, now)
        self._spread(chosen, previous or chosen)

    def _spread(self, chosen: Topology, past: Topology) -> None:
        for node_id in dict.fromkeys(m.node_id for m in (*chosen.all_members, *past.all_members)):
            if node_id != self.node_id:
                self._send(node_id, TopologyDocument(chosen.epoch, chosen.to_plain()))

    def install(self, document: Topology, now: Now) -> list[str]:
        """Take up the first document of a new generation (an operator's word); returns why not.

        Promises of the former life bind nobody any more: a node that abstained votes again.
        """
        previous = self.document
        if previous is None:
            return ["this node knows no topology yet"]
        if document == previous:
            self._voter.readmit(document)
            self._watch(now)
        elif found := recovery_problems(previous, document):
            return found
        else:
            self._memory.settle()
            self._adopt(document, now, abstains=0)
            self._spread(document, previous)
        return []

    def _on_deadline(self, now: Now) -> None:
        campaign, self._campaign = self._campaign, None
        pending, self._pending = self._pending, None
        self._watch(now)
        if campaign is None or pending is None:
            return
        if campaign.own_value_sent:
            outcome, text = ProposalOutcome.UNKNOWN, "voters may have accepted the proposal"
        else:
            outcome, text = ProposalOutcome.FAILED, "no majority of the voters answered in time"
        pending.on_result(ProposalResult(outcome, self.document, Code.NO_QUORUM, text), now)

    def learn(self, plain: object, now: Now) -> bool:
        """A peer says that this document was chosen; True when it was adopted."""
        try:
            document = Topology.from_plain(plain)
        except InvalidTopology as error:
            self._refuse(str(error))
            return False
        found = problems(document)
        current = self.document
        if current is not None and document.cluster_id != current.cluster_id:
            found.append(f"belongs to cluster {document.cluster_id}, not {current.cluster_id}")
        if found:
            self._refuse("; ".join(found))
            return False
        if current is not None and document.age <= current.age:
            if document.age == current.age and document != current:
                self._refuse(f"another document of epoch {document.epoch} is said to be chosen")
            return False
        self._adopt(document, now)
        self._memory.settle()
        return True

    def _adopt(self, document: Topology, now: Now, abstains: int | None = None) -> None:
        previous = self.document
        self.document = document
        if self._memory.lost(document):
            abstains = document.epoch + 1
        # The vote first: a crash between the two must not forget that we have to abstain.
        self._voter.enter(document, abstains)
        self._ports.persist(TOPOLOGY_RECORD, document.to_plain())
        if previous is not None:
            self._memory.settle()
        campaign, self._campaign = self._campaign, None
        if campaign is not None:
            campaign.end()
        self._watch(now)
        self._ports.on_document(document, previous, now)
        pending, self._pending = self._pending, None
        if pending is not None:
            sent = campaign is not None and campaign.own_value_sent
            pending.on_result(result_of(pending.document, document, sent=sent), now)

    def hear_epoch(self, peer: NodeId, epoch: int, now: Now) -> None:
        """A peer mentioned its epoch: fetch what it knows more, send what it knows less."""
        if epoch > self.epoch:
            self._fetch(peer, now)
        elif epoch < self.epoch and self._resend.allows(peer, "document", now):
            self._send_document(peer, 0)

    def _fetch(self, peer: NodeId, now: Now) -> None:
        if self._resend.allows(peer, "fetch", now):
            self._send(peer, TopologyFetch(self.epoch))

    def on_message(self, peer: NodeId, stream: int, message: Message, now: Now) -> bool:
        """Handle a message of the chain; False when it is none. Answers go out on ``stream``."""
        match message:
            case Prepare() | Accept():
                self._on_request(peer, stream, message, now)
            case Promise():
                if self._campaign is not None and message.epoch == self.epoch + 1:
                    self._campaign.on_promise(peer, promise_of(message), now)
            case Accepted():
                if self._campaign is not None and message.epoch == self.epoch + 1:
                    self._campaign.on_accepted(peer, accepted_of(message), now)
            case TopologyDocument():
                self.learn(message.document, now)
            case TopologyFetch():
                self._send_document(peer, stream)
            case ChangeStep(step=step) if step == RECALL:
                self._testify(peer, message, now)
            case ChangeStep(step=step) if step == RECALLED:
                self._recall.on_testimony(peer, message, now)
            case _:
                return False
        return True

    def _on_request(self, peer: NodeId, stream: int, message: Prepare | Accept, now: Now) -> None:
        current = self.document
        if current is None or message.epoch > current.epoch + 1:
            self._fetch(peer, now)
            return
        if message.epoch <= current.epoch:
            self._send_document(peer, stream)
            return
        answer = answer_of(self._voter, current, peer, message)
        if isinstance(answer, Message):
            self._watch(now)
            self._ports.send(peer, Lane.CONTROL, stream, answer)
        elif answer:
            self._refuse("; ".join(answer))

    def _testify(self, peer: NodeId, question: ChangeStep, now: Now) -> None:
        """Tell a voter without memory what its forgotten votes could still be good for."""
        current = self.document
        if current is None or current.member(peer) is None:
            return
        if question.epoch != current.epoch:
            self.hear_epoch(peer, question.epoch, now)
            return
        state = self._voter.known
        if self._campaign is not None:
            state = state.joined(self._campaign.asked_for)
        self._send(peer, testimony_to(question, state))

    def _refuse(self, text: str) -> None:
        self.refused += 1
        self._ports.emit(Emit("topology.refused", text[:500], Severity.ERROR))

    def _send_document(self, peer: NodeId, stream: int) -> None:
        if self.document is None:
            reply: Message = ErrorReply(Code.NOT_READY, "this node knows no topology yet")
        else:
            reply = TopologyDocument(self.document.epoch, self.document.to_plain())
        self._ports.send(peer, Lane.CONTROL, stream, reply)

    def _send(self, peer: NodeId, message: Message) -> None:
        self._ports.send(peer, Lane.CONTROL, 0, message)

    def _watch(self, now: Now) -> None:
        """See to it that an accepted value is finished, and that a node without memory returns."""
        if not self._voter.has_accepted:
            self._timers.cancel(self._settle)
        elif self._settle is None or not self._settle.active:
            # With jitter, so that not all voters begin at once.
            delay_s = self._settings.settle_s * self._rng.uniform(1.0, 2.0)
            self._settle = self._timers.schedule(now.mono_s + delay_s, self._on_settle)
        document = self.document
        self._recall.ask_about(document if self._memory.doubts(document) else None, now)

    def _on_settle(self, now: Now) -> None:
        current = self.document
        if current is None or not self._voter.has_accepted:
            return
        if self._campaign is None:
            self._begin_campaign(current, self._voter.record.state.accepted, now)
        else:
            self._watch(now)

    def _on_recalled(self, state: AcceptorState, now: Now) -> None:
        self._memory.settle()
        self._voter.recall(state)
        self._watch(now)

    def _on_overdue(self, now: Now) -> None:
        self._memory.wait_no_longer()
        current = self.document
        if current is None or not self._voter.abstaining or self._pending is not None:
            return
        if current.member(self.node_id) is not None:
            self.propose(propose_readmission(current, self.node_id), _ignore, now)


def _require_sound(document: Topology) -> None:
    found = problems(document)
    if found:
        raise InvalidTopology("; ".join(found))


def _ignore(result: ProposalResult, now: Now) -> None:
    """Readmission is asked for again until a document grants it."""
