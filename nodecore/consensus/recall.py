"""What a voter without memory may have promised, found out from everybody who could count on it.

A node that lost its memory, or founds a cluster and can't know that it never did so before, asks all
other members, and votes again when each has answered in the same epoch: how high it has promised or
proposed, and the latest value that it has accepted or is asking others to accept. The voter promises
the highest and accepts the latest of these. That keeps whatever anybody may still count on: its
forgotten promises and acceptances were given to campaigns of members, a campaign that still runs has
told its ballot and value, and one that has ended counts nobody's vote.

While somebody does not answer, the voter asks for an epoch in which it is born anew: that takes a
majority of the voters, but not everybody.

An epoch that only nodes without memory ever knew is lost with them. That takes as many wiped nodes as
a majority has, within the time in which they alone knew it.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple, final

from nodecore.consensus.acceptor import AcceptorState
from nodecore.consensus.answers import plain_step_problems
from nodecore.consensus.ballot import COUNTER_MAX, NO_BALLOT
from nodecore.consensus.record import AcceptorRecord
from nodecore.consensus.settings import ChainSettings
from nodecore.errors import InvalidTopology
from nodecore.ids import NodeId, Now
from nodecore.placement.topology import Topology
from nodecore.timers import Timer, Timers
from transport.messages import ChangeStep, Message

RECALL: Final = "recall"
RECALLED: Final = "recalled"


class RecallPorts(NamedTuple):
    """How the question reaches the chain."""

    send: Callable[[NodeId, Message], None]
    on_recalled: Callable[[AcceptorState, Now], None]
    """Whatever was forgotten, a vote that begins at this state contradicts nothing of it."""
    on_overdue: Callable[[Now], None]
    """Not everybody could answer so far: time to ask for readmission."""


def testimony_to(question: ChangeStep, state: AcceptorState) -> ChangeStep:
    """The answer of a member to a voter without memory.

    ``state``: what it knows of the instance that follows the epoch of the question: the highest ballot
    that it promised or proposed with, and the latest value that it accepted or asks others to accept.
    """
    life = question.fields.get("life") if isinstance(question.fields, dict) else None
    record = AcceptorRecord(question.epoch + 1, state)
    return ChangeStep(question.epoch, RECALLED, {"life": life, "record": record.to_plain()})


@final
class Recall:
    """Asks until everybody has answered; see the module."""

    def __init__(
        self,
        node_id: NodeId,
        ports: RecallPorts,
        timers: Timers,
        rng: Random,
        settings: ChainSettings,
    ) -> None:
        self._node_id = node_id
        self._ports = ports
        self._timers = timers
        self._rng = rng
        self._settings = settings
        self._document: Topology | None = None
        self._life = 0
        self._pending: dict[NodeId, None] = {}
        self._state = AcceptorState()
        self._asked = 0
        self._overdue_s = 0.0
        self._timer: Timer | None = None

    def ask_about(self, document: Topology | None, now: Now) -> None:
        """Find out about the instance after ``document``; None: there is nothing to find out."""
        if document is self._document:
            return
        self._document = document
        self._timers.cancel(self._timer)
        if document is None:
            return
        self._life = self._rng.getrandbits(53)
        self._pending = {
            m.node_id: None for m in document.all_members if m.node_id != self._node_id
        }
        self._state = AcceptorState()
        self._asked = 0
        self._overdue_s = self._next_overdue_s(now)
        self._ask_later(now)

    def _next_overdue_s(self, now: Now) -> float:
        """With jitter, so that not all who ask begin a campaign at once."""
        return now.mono_s + self._settings.readmit_s * self._rng.uniform(1.0, 2.0)

    def _ask_later(self, now: Now) -> None:
        settings = self._settings
        delay_s = min(settings.recall_s_max, settings.recall_s_min * 2.0 ** min(self._asked, 32))
        self._timer = self._timers.schedule(
            now.mono_s + delay_s * self._rng.uniform(0.5, 1.0), self._on_timer
        )

    def _on_timer(self, now: Now) -> None:
        document = self._document
        if document is None:
            return
        self._asked += 1
        for node_id in self._pending:
            self._ports.send(node_id, ChangeStep(document.epoch, RECALL, {"life": self._life}))
        self._ask_later(now)
        if now.mono_s >= self._overdue_s:
            self._overdue_s = self._next_overdue_s(now)
            self._ports.on_overdue(now)

    def on_testimony(self, peer: NodeId, step: ChangeStep, now: Now) -> None:
        """A member answered; an answer that is damaged or of another life or epoch is none."""
        document = self._document
        if document is None or step.epoch != document.epoch or peer not in self._pending:
            return
        fields = step.fields if isinstance(step.fields, dict) else {}
        # An answer to an earlier life bears another number.
        if fields.get("life") != self._life:
            return
        try:
            told = AcceptorRecord.from_plain(fields.get("record")).state
        except InvalidTopology:
            return
        if not _is_possible(document, told):
            return
        del self._pending[peer]
        self._state = self._state.joined(told)
        if not self._pending:
            self._ports.on_recalled(self._state, now)


def _is_possible(document: Topology, told: AcceptorState) -> bool:
    if max(told.promised, told.accepted_ballot).counter > COUNTER_MAX:
        return False
    return told.accepted_ballot == NO_BALLOT or not plain_step_problems(document, told.accepted)
