"""The votes of one node in the chain: the acceptor of the next epoch and its durable record.

Every change is persisted before the reply is handed out. A node that came back without its memory
can't know what it promised in its earlier life; it abstains until it has found out what still matters
of that (``recall``), or until its member entry was born in an epoch that was proposed after its return.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Final, final

from nodecore.consensus.acceptor import Acceptor, AcceptorState, AcceptReply, PromiseReply
from nodecore.consensus.ballot import NO_BALLOT, Ballot
from nodecore.consensus.record import AcceptorRecord
from nodecore.ids import NodeId
from nodecore.placement.topology import Topology

ACCEPTOR_RECORD: Final = "acceptor"


@final
class Voter:
    """Promises and acceptances of this node for the epoch after its newest document."""

    def __init__(self, node_id: NodeId, persist: Callable[[str, object], None]) -> None:
        self.node_id = node_id
        self.record = AcceptorRecord(0)
        self.waits = False
        """Whether this node is still finding out whether it is new: see ``memory``."""
        self._persist = persist
        self._acceptor = Acceptor()

    def enter(self, document: Topology, abstains_until_born: int | None = None) -> None:
        """The document was chosen: begin the instance after it, with nothing promised.

        ``abstains_until_born`` None: as before, unless this document readmits the node.
        """
        if abstains_until_born is None:
            abstains_until_born = self.record.abstains_until_born
        member = document.member(self.node_id)
        if member is not None and member.born >= abstains_until_born:
            abstains_until_born = 0
        changed = abstains_until_born != self.record.abstains_until_born
        self.record = AcceptorRecord(document.epoch + 1, abstains_until_born=abstains_until_born)
        self._acceptor = Acceptor()
        if changed:
            self._store(self.record)

    def readmit(self, document: Topology) -> None:
        """An operator vouches that this node has promised nothing that follows ``document``."""
        if self.abstaining:
            self.enter(document, 0)

    def recall(self, state: AcceptorState) -> None:
        """A vote that begins at ``state`` contradicts nothing that this node may have forgotten.

        Written down in any case: a later life is to know that its votes are all there.
        """
        state = self.record.state.joined(state)
        self._acceptor = Acceptor(state)
        self._store(replace(self.record, state=state, abstains_until_born=0))

    def restore(self, plain: object, document: Topology) -> None:
        """Take up an earlier life's record.

        Raises:
            InvalidTopology: the record is damaged.
        """
        record = AcceptorRecord.from_plain(plain)
        if record.epoch == document.epoch + 1:
            self.record = record
            self._acceptor = Acceptor(record.state)
        else:
            # The node stopped between learning a document and its next vote.
            self.record = replace(self.record, abstains_until_born=record.abstains_until_born)

    @property
    def abstaining(self) -> bool:
        """Whether this node lost its memory and may not vote yet."""
        return self.record.abstains_until_born > 0

    @property
    def may_vote(self) -> bool:
        """Whether this node may promise and accept."""
        return not self.abstaining and not self.waits

    @property
    def has_accepted(self) -> bool:
        """Whether a value was accepted that is not known to be chosen."""
        return self.record.state.accepted_ballot > NO_BALLOT

    @property
    def has_voted(self) -> bool:
        """Whether anything was promised in this instance."""
        return self.record.state.promised > NO_BALLOT

    @property
    def known(self) -> AcceptorState:
        """The votes of this instance, the ballots that this node itself proposed with included."""
        return replace(self.record.state, promised=self.highest_known)

    @property
    def highest_known(self) -> Ballot:
        """The highest ballot that was promised here or used by this node in this instance."""
        counter = self.record.counter_used
        used = Ballot(counter, self.node_id) if counter else NO_BALLOT
        return max(self.record.state.promised, used)

    def new_ballot(self, floor: Ballot, rng: Random) -> Ballot:
        """A ballot above ``floor`` and everything known here, noted durably as used."""
        ballot = max(floor, self.highest_known).next_for(self.node_id, rng)
        self._store(replace(self.record, counter_used=ballot.counter))
        return ballot

    def prepare(self, ballot: Ballot) -> PromiseReply:
        """Phase 1."""
        reply, state = self._acceptor.prepare(ballot)
        self._store_state(state)
        return reply

    def accept(self, ballot: Ballot, value: object) -> AcceptReply:
        """Phase 2; the caller has judged the value."""
        reply, state = self._acceptor.accept(ballot, value)
        self._store_state(state)
        return reply

    def _store_state(self, state: AcceptorState | None) -> None:
        if state is not None:
            self._store(replace(self.record, state=state))

    def _store(self, record: AcceptorRecord) -> None:
        self.record = record
        self._persist(ACCEPTOR_RECORD, record.to_plain())
