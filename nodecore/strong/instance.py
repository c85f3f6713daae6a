"""One key at its coordinator: the operations that wait for it, and the round that is under way.

What seems to change nothing begins with a *look*: when a majority (of both sets of owners in a joint
epoch) reports the ballot that this node has accepted too, its value is chosen and up to date, and the
answer costs one round trip. Everything else, and every disagreement, is a CASPaxos round: prepare,
run the operations on the highest accepted value, accept. One round at a time; what arrives
meanwhile waits for the next and shares it.

A round that fails after its Accept left may or may not have been chosen. The next one finds out: its
ballot stands in the history of the value it adopts, or it was not and never will be chosen, and the
operations run again. When that can't be told, or time is up, the outcome is unknown.

Messages, timers and epochs are the coordinator's. Sources: Rystsov, "CASPaxos" (arXiv 1802.07000).
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple, Protocol, final

from nodecore.consensus.acceptor import AcceptReply, PromiseReply
from nodecore.consensus.ballot import NO_BALLOT, Ballot
from nodecore.consensus.proposer import Phase, Proposer
from nodecore.errors import Code
from nodecore.ids import NodeId, Now
from nodecore.requests import Failed
from nodecore.strong.ballots import CHANGES_MAX, ballot_above
from nodecore.strong.operations import Batch, Operation, run_batch
from nodecore.strong.ports import BACKOFF_S_MAX, BACKOFF_S_MIN, TRIES_MAX
from nodecore.strong.record import Record, was_applied
from nodecore.strong.replica import GRANTED, OUTRANKED, Kind, Row, Told
from nodecore.strong.round import Asker, Place, Round, Stage


class Host(Protocol):
    """The coordinator, as an instance sees it."""

    node: NodeId
    rng: Random
    counters: dict[str, int]

    def place(self, key: bytes, slot: int) -> Place: ...
    def ask(self, peer: NodeId, row: Row, asker: Asker) -> None:
        """Put a question; its answer, or failure, comes to the asker."""

    def watch(self, round_: Round, now: Now) -> None:
        """Have ``KeyInstance.on_overdue`` called when the round has taken too long."""

    def unwatch(self, round_: Round) -> None:
        """The round has ended."""

    def later(self, instance: KeyInstance, delay_s: float, now: Now) -> None:
        """Have ``KeyInstance.go_on`` called."""

    def forget(self, instance: KeyInstance) -> None:
        """Nothing waits any more."""


class _Tried(NamedTuple):
    """A round that may have been chosen although it failed."""

    ballot: Ballot
    results: list[tuple[Operation, object]]


@final
class KeyInstance:
    """See the module."""

    __slots__ = (
        "_attempts", "_batch_now", "_highest", "_host", "_queue", "_tried", "key", "round", "slot",
        "waiting",
    )  # fmt: skip

    def __init__(self, host: Host, key: bytes, slot: int) -> None:
        self._host = host
        self.key = key
        self.slot = slot
        self.round: Round | None = None
        self.waiting = False
        """Between two rounds."""
        self._queue: list[Operation] = []
        self._tried: list[_Tried] = []
        self._attempts = 0
        self._highest = NO_BALLOT
        self._batch_now: Now | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, operation: Operation) -> None:
        """Let an operation wait for the next round."""
        self._queue.append(operation)

    def go_on(self, now: Now) -> None:
        """Begin the next round if none is under way."""
        self.waiting = False
        if self.round is not None:
            return
        self._queue = [operation for operation in self._queue if not operation.settled]
        if not self._queue:
            self._host.forget(self)
            return
        place = self._host.place(self.key, self.slot)
        operations, self._queue = self._queue[:CHANGES_MAX], self._queue[CHANGES_MAX:]
        if not place.quorums:
            self.round = Round(self, Stage.LOOKING, place, operations)
            self._fail(Failed(Code.NOT_READY, "nobody owns this key yet", 0.5), now)
        elif self._may_look(place, operations, now):
            self._look(place, operations, now)
        else:
            self._prepare(place, operations, now)

    def on_topology(self, now: Now) -> None:
        """Owners or epoch are others now: the round can't be finished."""
        if self.round is not None:
            self._put_back()
            self._host.later(self, 0.0, now)
            self.waiting = True

    # -- looks -------------------------------------------------------------------------------

    def _may_look(self, place: Place, operations: list[Operation], now: Now) -> bool:
        if place.state is None or self._attempts or self._tried:
            return False
        record = _record(place.state.accepted)
        batch = run_batch(operations, record, _PROBE, place.flushed_epoch, now)
        return not batch.must_accept

    def _look(self, place: Place, operations: list[Operation], now: Now) -> None:
        round_ = self._begin(Round(self, Stage.LOOKING, place, operations), now)
        row = Row(Kind.LOOK, self.key, NO_BALLOT, None)
        for voter in round_.voters:
            self._host.ask(voter, row, round_)

    def _on_look(self, round_: Round, now: Now) -> None:
        ballot = round_.known.accepted_ballot
        if round_.agreed(ballot):
            flushed_epoch = self._host.place(self.key, self.slot).flushed_epoch
            record = _record(round_.known.accepted)
            batch = run_batch(round_.operations, record, _PROBE, flushed_epoch, now)
            if not batch.must_accept:
                self._host.counters["strong_one_round"] += 1
                self._settle(round_, batch, now)
                return
        elif round_.may_agree(ballot):
            return
        self._put_back()
        place = self._host.place(self.key, self.slot)
        operations, self._queue = self._queue[:CHANGES_MAX], self._queue[CHANGES_MAX:]
        self._prepare(place, operations, now)

    # -- rounds ------------------------------------------------------------------------------

    def _prepare(self, place: Place, operations: list[Operation], now: Now) -> None:
        round_ = self._begin(Round(self, Stage.PREPARING, place, operations), now)
        host = self._host
        host.counters["strong_rounds"] += 1
        highest = max(self._highest, round_.known.promised)
        round_.ballot = ballot_above(highest, place.floor, place.epoch, host.node)
        self._highest = round_.ballot

        def choose(accepted: object, adopted: bool) -> object:
            round_.batch = self._run(round_, _record(accepted) if adopted else None, place)
            return round_.batch.record

        round_.proposer = Proposer(round_.ballot, round_.quorums, choose)
        row = Row(Kind.PREPARE, self.key, round_.ballot, list(round_.known.accepted_ballot))
        for voter in round_.voters:
            host.ask(voter, row, round_)

    def _run(self, round_: Round, record: Record | None, place: Place) -> Batch:
        """What the round proposes on an accepted value, given what earlier tries may have done to it."""
        now = self._batch_now
        assert now is not None
        done: list[tuple[Operation, object]] = []
        # What was told to have failed must never happen.
        again = [operation for operation in round_.operations if not operation.settled]
        for tried in self._tried:
            applied = was_applied(record, tried.ballot)
            if applied is False:
                continue
            for operation, result in tried.results:
                if operation in again:
                    again.remove(operation)
                    if applied:
                        done.append((operation, result))
                    else:
                        operation.give_up(now)
        batch = run_batch(again, record, round_.ballot, place.flushed_epoch, now)
        return batch._replace(results=done + batch.results)

    def _on_promise(self, round_: Round, voter: NodeId, told: Told, now: Now) -> None:
        proposer = round_.proposer
        assert proposer is not None
        record: object = told.record
        if told.code == GRANTED and told.record is None and told.accepted > NO_BALLOT:
            # The answer leaves out what this node had accepted itself.
            if told.accepted != round_.known.accepted_ballot:
                self._on_failure(
                    round_, voter, Failed(Code.INTERNAL, "a promise without its value"), now
                )
                return
            record = round_.known.accepted
        self._batch_now = now
        if told.code == GRANTED:
            round_.reported[voter] = told.accepted
        reply = PromiseReply(told.code == GRANTED, told.promised, told.accepted, record)
        phase = proposer.on_promise(voter, reply)
        if phase is Phase.PREEMPTED:
            self._preempted(proposer.preempted_by, now)
        elif phase is Phase.ACCEPTING:
            self._accept(round_, now)

    def _accept(self, round_: Round, now: Now) -> None:
        batch = round_.batch
        assert batch is not None
        same = len(dict.fromkeys(round_.reported.values())) == 1
        if batch.record is None or (same and not batch.must_accept):
            # A majority has accepted the value that was found: it is chosen already.
            self._settle(round_, batch, now)
            return
        round_.stage = Stage.ACCEPTING
        round_.failed.clear()
        for operation in batch.changes:
            operation.proposed = True
        row = Row(Kind.ACCEPT, self.key, round_.ballot, batch.record)
        for voter in round_.voters:
            self._host.ask(voter, row, round_)

    def _on_accepted(self, round_: Round, voter: NodeId, told: Told, now: Now) -> None:
        proposer = round_.proposer
        assert proposer is not None
        promised = round_.ballot if told.code == GRANTED else told.promised
        phase = proposer.on_accepted(voter, AcceptReply(told.code == GRANTED, promised))
        if phase is Phase.PREEMPTED:
            self._preempted(proposer.preempted_by, now)
        elif phase is Phase.CHOSEN:
            assert round_.batch is not None
            self._settle(round_, round_.batch, now)

    # -- answers -----------------------------------------------------------------------------

    def on_told(self, round_: Round, voter: NodeId, kind: Kind, told: Told, now: Now) -> None:
        """An acceptor has answered."""
        if self.round is not round_ or kind is not _ASKED[round_.stage]:
            return
        if told.code not in (GRANTED, OUTRANKED):
            self._on_failure(round_, voter, _refusal(voter, told.code), now)
        elif round_.stage is Stage.LOOKING:
            round_.reported[voter] = told.accepted
            self._on_look(round_, now)
        elif round_.stage is Stage.PREPARING:
            self._on_promise(round_, voter, told, now)
        else:
            self._on_accepted(round_, voter, told, now)

    def on_failure(
        self, round_: Round, voter: NodeId, kind: Kind, reason: Failed, now: Now
    ) -> None:
        """No answer came, or none that can be used."""
        if self.round is round_ and kind is _ASKED[round_.stage]:
            self._on_failure(round_, voter, reason, now)

    def on_overdue(self, round_: Round, now: Now) -> None:
        """The round has taken too long."""
        if self.round is round_:
            self._fail(Failed(Code.NO_QUORUM, "no majority of the owners answered in time"), now)

    def _on_failure(self, round_: Round, voter: NodeId, reason: Failed, now: Now) -> None:
        round_.failed[voter] = None
        for operation in round_.operations:
            operation.reason = reason
        if round_.stage is Stage.LOOKING:
            self._on_look(round_, now)
        elif not round_.may_succeed():
            if reason.code is not Code.OUT_OF_MEMORY:
                text = f"no majority of the owners of this key: {reason.text}"
                reason = Failed(Code.NO_QUORUM, text, reason.retry_after_s)
            self._fail(reason, now)

    # -- ends --------------------------------------------------------------------------------

    def _begin(self, round_: Round, now: Now) -> Round:
        self.round = round_
        self._host.watch(round_, now)
        return round_

    def _settle(self, round_: Round, batch: Batch, now: Now) -> None:
        self._end()
        self._attempts = 0
        self._tried.clear()
        for operation, result in batch.results:
            operation.settle(result, now)
        self.go_on(now)

    def _preempted(self, by: Ballot, now: Now) -> None:
        self._highest = max(self._highest, by)
        self._host.counters["strong_preempted"] += 1
        self._fail(Failed(Code.OVERLOADED, "other changes of the key came first"), now)

    def _fail(self, reason: Failed, now: Now) -> None:
        """The round is lost: wait a moment and try above whatever stood in the way."""
        assert self.round is not None
        for operation in self.round.operations:
            operation.reason = reason
            if reason.code is Code.OUT_OF_MEMORY:
                operation.give_up(now)
        self._put_back()
        self._attempts += 1
        if len(self._tried) > TRIES_MAX:
            for operation, _result in self._tried.pop(0).results:
                operation.give_up(now)
        most_s = min(BACKOFF_S_MIN * 2.0**self._attempts, BACKOFF_S_MAX)
        self.waiting = True
        self._host.later(self, self._host.rng.uniform(0.0, most_s), now)

    def _put_back(self) -> None:
        """Its operations wait again, before all others; what was to be accepted is remembered."""
        round_ = self.round
        assert round_ is not None
        self._end()
        batch = round_.batch
        if round_.stage is Stage.ACCEPTING and batch is not None and batch.changes:
            self._tried.append(_Tried(round_.ballot, batch.results))
        self._queue[:0] = round_.operations

    def _end(self) -> None:
        round_, self.round = self.round, None
        if round_ is not None:
            self._host.unwatch(round_)


_PROBE = Ballot(CHANGES_MAX, "")
"""Stands for a ballot where nothing is to be written."""
_ASKED = {
    Stage.LOOKING: Kind.LOOK,
    Stage.PREPARING: Kind.PREPARE,
    Stage.ACCEPTING: Kind.ACCEPT,
}


def _record(accepted: object) -> Record | None:
    return accepted if isinstance(accepted, Record) else None


def _refusal(voter: NodeId, number: int) -> Failed:
    try:
        code = Code(number)
    except ValueError:
        code = Code.INTERNAL
    words = code.name.lower().replace("_", " ")
    return Failed(code, f"{voter}: {words}")
