"""Strong keys broken on purpose: each function takes one thing away, which its docstring names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nodecore.consensus.acceptor import Acceptor, AcceptorState, AcceptReply
from nodecore.consensus.ballot import Ballot
from nodecore.consensus.proposer import Proposer
from nodecore.effects import DiskWrite
from nodecore.errors import Code
from nodecore.ids import NodeId, Now
from nodecore.requests import Failed, Unknown
from nodecore.simulation.disk import SimDisk
from nodecore.storage.disk import Area
from nodecore.strong import replica as strong_replica
from nodecore.strong.instance import KeyInstance
from nodecore.strong.operations import Operation
from nodecore.strong.record import Record, current_of
from nodecore.strong.registers import Registers
from nodecore.strong.room import StrongRoom
from nodecore.strong.round import Round
from nodecore.strong.rounds import Rounds

Patch = pytest.MonkeyPatch


def read_without_equality_test(patch: Patch) -> None:
    """A one-round read takes what this node holds as soon as a majority has answered anything."""

    def answered(self: Round, _ballot: Ballot) -> bool:
        return all(
            2 * sum(voter in self.reported for voter in voters) > len(voters)
            for voters in self.quorums
        )

    patch.setattr(Round, "agreed", answered)


def read_from_one(patch: Patch) -> None:
    """A read is answered from this node alone, without asking anybody."""
    patch.setattr(Round, "agreed", lambda _self, _ballot: True)


def half_is_a_majority(patch: Patch) -> None:
    """One acceptor fewer is enough."""

    def majority(self: Proposer, answered: dict[NodeId, None]) -> bool:
        return all(
            2 * sum(voter in answered for voter in voters) >= len(voters) - 1
            for voters in self.quorums
        )

    patch.setattr(Proposer, "_majority", majority)


def promise_forgotten(patch: Patch) -> None:
    """Acceptors promise, and then accept lower ballots all the same."""

    def accept(
        self: Acceptor, ballot: Ballot, value: object
    ) -> tuple[AcceptReply, AcceptorState | None]:
        self.state = AcceptorState(self.state.promised, ballot, value)
        return AcceptReply(granted=True, promised=ballot), self.state

    class Careless(Acceptor):  # type: ignore[misc]
        __slots__ = ()

    Careless.accept = accept  # type: ignore[method-assign]
    patch.setattr(strong_replica, "Acceptor", Careless)


def promise_not_persisted(patch: Patch) -> None:
    """What was only promised does not survive a crash."""
    original = Registers.put

    def put(
        self: Registers,
        key: bytes,
        slot: int,
        state: AcceptorState,
        now: Now,
        on_durable: Callable[[Now], None] | None,
    ) -> None:
        before = self.get(key, slot)
        if before is not None and before.accepted_ballot == state.accepted_ballot:
            self._place(key, slot, state, now)
            if on_durable is not None:
                on_durable(now)
        else:
            original(self, key, slot, state, now, on_durable)

    patch.setattr(Registers, "put", put)


def amnesia(patch: Patch) -> None:
    """A restarted node votes with empty registers, and does not know that it lost anything."""
    patch.setattr(Registers, "restore", lambda _self, _now: None)


def wiped_node_votes(patch: Patch) -> None:
    """A node whose disk was wiped is no learner."""
    patch.setattr(StrongRoom, "votes", lambda _self, _key, _slot: True)


def one_sided_eviction(patch: Patch) -> None:
    """An acceptor drops a register now and then, as if memory were short."""
    original = Registers.put
    puts = [0]

    def put(self: Registers, key: bytes, slot: int, *rest: Any) -> None:
        original(self, key, slot, *rest)
        puts[0] += 1
        if puts[0] % 17 == 0:
            self.remove(key, slot, rest[1])

    patch.setattr(Registers, "put", put)


def old_owners_alone(patch: Patch) -> None:
    """In a joint epoch the old owners decide alone."""
    original = Rounds.place

    def place(self: Rounds, key: bytes, slot: int) -> Any:
        found = original(self, key, slot)
        return found._replace(quorums=found.quorums[:1])

    patch.setattr(Rounds, "place", place)


def copies_by_accepted_ballot(patch: Patch) -> None:
    """A copied register is installed by comparing accepted ballots only: promises are undone."""

    def copy(self: Any, key: bytes, copied: AcceptorState, now: Now) -> int:
        slot = self._slot_of(key)
        held = self._registers.get(key, slot)
        if held is None or copied.accepted_ballot > held.accepted_ballot:
            ballot = copied.accepted_ballot
            state = AcceptorState(ballot, ballot, copied.accepted)
            self._registers.put(key, slot, state, now, None)
        return strong_replica.GRANTED

    patch.setattr(strong_replica.StrongReplica, "_copy_register", copy)


def changes_run_again(patch: Patch) -> None:
    """A change whose first try may have been chosen is run again: it may count twice."""
    original = KeyInstance._run

    def run(self: KeyInstance, *arguments: Any) -> Any:
        tried, self._tried = self._tried, []
        try:
            return original(self, *arguments)
        finally:
            self._tried = tried

    patch.setattr(KeyInstance, "_run", run)


def unknown_told_as_failed(patch: Patch) -> None:
    """A strong change that may have happened is reported as one that did not."""
    original = Operation.settle

    def settle(self: Operation, result: object, now: Now) -> None:
        if isinstance(result, Unknown):
            result = Failed(Code.NO_QUORUM, "it did not happen")
        original(self, result, now)

    patch.setattr(Operation, "settle", settle)


def strong_records_never_written(patch: Patch) -> None:
    """Registers never reach the disk."""
    original = SimDisk.write

    def write(self: SimDisk, effect: DiskWrite) -> str:
        kept = tuple(record for record in effect.records if record[0] != Area.STRONG)
        return original(self, replace(effect, records=kept))

    patch.setattr(SimDisk, "write", write)


def read_not_written_back(patch: Patch) -> None:
    """A read that finds its owners apart answers with the highest value, and leaves them apart."""
    original = KeyInstance._accept

    def accept(self: KeyInstance, round_: Round, now: Now) -> None:
        batch = round_.batch
        if batch is not None and not batch.changes:
            self._settle(round_, batch, now)
        else:
            original(self, round_, now)

    patch.setattr(KeyInstance, "_accept", accept)


def change_is_read_then_write(patch: Patch) -> None:
    """A change is computed from what was read first, and written over whatever is there by then."""
    original = Operation.__init__

    def init(self: Operation, evaluate: Any, *rest: Any, **options: Any) -> None:
        first: list[Any] = []

        def once(*arguments: Any) -> Any:
            if not first:
                found = evaluate(*arguments)
                if found[1] is None:
                    return found
                first.append(found)
            return first[0]

        original(self, once, *rest, **options)

    patch.setattr(Operation, "__init__", init)


def expiry_by_a_fast_clock(patch: Patch) -> None:
    """Owners let values expire by clocks that are ahead by more than clocks may be."""

    def expired(self: Record, now: Now) -> bool:
        return not self.dead and 0 < self.expires_ms <= now.wall_ms + 600

    patch.setattr(Record, "expired", expired)


def held_leases_ignored(patch: Patch) -> None:
    """A value that is going to expire does not keep SET NX from writing."""

    def found(record: Record | None, flushed_epoch: int, now: Now) -> Any:
        mortal = record is not None and record.expires_ms > 0
        return None if mortal else current_of(record, flushed_epoch, now)

    patch.setattr("nodecore.strong.operations.current_of", found)


def new_owners_alone(patch: Patch) -> None:
    """The ring is flipped at once: the owners to be decide as soon as a change has begun."""
    original = Rounds.place

    def place(self: Rounds, key: bytes, slot: int) -> Any:
        found = original(self, key, slot)
        return found._replace(quorums=found.quorums[-1:])

    patch.setattr(Rounds, "place", place)
