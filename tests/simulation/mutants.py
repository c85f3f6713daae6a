"""Mutants: the product is broken on purpose, in one small way each, and the swarm must notice.

A mutant is a function that patches the product; its docstring says what is lost. ``MUTANTS`` names them
all. ``Needs`` picks among the seeds those that can notice at all, so that the search is short: a seed
without strong keys can't notice what happens to them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from nodecore.consensus.acceptor import Acceptor, AcceptorState, AcceptReply
from nodecore.consensus.ballot import Ballot
from nodecore.consensus.proposer import Proposer
from nodecore.effects import DiskWrite
from nodecore.errors import Code
from nodecore.ids import NodeId, Now
from nodecore.replication import migration
from nodecore.replication.anti_entropy import AntiEntropy
from nodecore.replication.hints import Hints
from nodecore.replication.job import Job, Part
from nodecore.replication.replica import Replica
from nodecore.requests import Failed, Unknown
from nodecore.routing import Route
from nodecore.simulation.swarm_options import SwarmOptions
from nodecore.storage.disk import Area
from nodecore.storage.memory import Store
from nodecore.strong import replica as strong_replica
from nodecore.strong.instance import KeyInstance
from nodecore.strong.operations import Operation
from nodecore.strong.registers import Registers
from nodecore.strong.room import StrongRoom
from nodecore.strong.round import Round
from nodecore.strong.rounds import Rounds
from nodecore.table.interface import Kind

Patch = pytest.MonkeyPatch
Needs = Callable[[SwarmOptions], bool]


@dataclass(frozen=True)
class Mutant:
    """One way to break the product."""

    apply: Callable[[Patch], None]
    needs: Needs


def always(_options: SwarmOptions) -> bool:
    return True


def strong(options: SwarmOptions) -> bool:
    return options.strong


def strong_alone(options: SwarmOptions) -> bool:
    return options.strong_alone


def with_faults(*names: str, keys: Needs = always) -> Needs:
    """Seeds that enable one of these faults."""
    return lambda options: keys(options) and any(name in options.rates for name in names)


CRASHES = ("crash", "crash-wiped", "crash-torn", "replace")
CHANGES = ("join", "leave", "replace")
CUTS = ("cut-one-way", "cut-two-ways", "swizzle", "pause")


# -- strong keys -----------------------------------------------------------------------------


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
    from nodecore.simulation.disk import SimDisk

    original = SimDisk.write

    def write(self: SimDisk, effect: DiskWrite) -> str:
        kept = tuple(record for record in effect.records if record[0] != Area.STRONG)
        return original(self, replace(effect, records=kept))

    patch.setattr(SimDisk, "write", write)


# -- eventual keys ---------------------------------------------------------------------------


def fallback_ack_counts(patch: Patch) -> None:
    """One acknowledgement is enough for any level."""
    patch.setattr(Route, "writes_needed", lambda _self, _level, _count: 1)


def slots_complete_without_copies(patch: Patch) -> None:
    """New and restarted owners answer before they hold anything, and nothing is copied."""
    patch.setattr(migration, "wants", lambda *_arguments: [])
    patch.setattr(migration.TopologyChanges, "is_complete", lambda _self, _slot: True)


def doubt_not_told(patch: Patch) -> None:
    """A write that some owner holds is reported as not done."""
    original = Job._outcome_of

    def outcome_of(self: Job, rows: Any, copies: int | None) -> Any:
        outcome = original(self, rows, copies)
        if isinstance(outcome, Unknown):
            return Failed(outcome.code, outcome.text.partition(";")[0])
        return outcome

    patch.setattr(Job, "_outcome_of", outcome_of)
    patch.setattr(Part, "touched", property(lambda _self: False))


def versions_not_compared(patch: Patch) -> None:
    """Hints and copies are applied over whatever is there."""
    original = Store.apply

    def apply(self: Store, key: bytes, *arguments: Any) -> Any:
        if arguments[4] in ("hint", "repair"):
            self.table.remove(key)
        return original(self, key, *arguments)

    patch.setattr(Store, "apply", apply)


def copies_forgotten(patch: Patch) -> None:
    """An owner acknowledges and forgets: every third copy is dropped."""
    original = Replica.on_write
    calls = [0]

    def on_write(self: Replica, message: Any, now: Now) -> Any:
        reply = original(self, message, now)
        calls[0] += 1
        if calls[0] % 3 == 0:
            for key in message.keys:
                self.store.table.remove(key)
        return reply

    patch.setattr(Replica, "on_write", on_write)


def nothing_made_up_for(patch: Patch) -> None:
    """Neither hints nor digests bring owners together again."""
    patch.setattr(AntiEntropy, "step", lambda _self, _now: None)
    patch.setattr(Hints, "add", lambda _self, _target, _hint: None)


def tombstones_collected_early(patch: Patch) -> None:
    """A deletion is forgotten at once: no floor and no hint remembers that it was."""
    from nodecore.storage import tombstones

    original = Hints.add

    def add(self: Hints, target: NodeId, hint: Any) -> None:
        if hint.kind != Kind.TOMBSTONE:
            original(self, target, hint)

    patch.setattr(Hints, "add", add)

    patch.setattr(tombstones, "TOMBSTONE_S", 0.1)
    patch.setattr(tombstones.Tombstones, "floor", lambda _self, _slot: 0)


def stale_epochs_admitted(patch: Patch) -> None:
    """Requests of any epoch are served, whatever the owners are now."""
    from nodecore.replication.epochs import Epochs

    patch.setattr(Epochs, "admit", lambda *_arguments: True)


MUTANTS: dict[str, Mutant] = {
    mutant.apply.__name__: mutant
    for mutant in (
        Mutant(read_without_equality_test, with_faults(*CUTS, keys=strong)),
        Mutant(read_from_one, strong),
        Mutant(half_is_a_majority, strong),
        Mutant(promise_forgotten, strong_alone),
        Mutant(promise_not_persisted, strong_alone),
        Mutant(amnesia, strong_alone),
        Mutant(wiped_node_votes, with_faults("crash-wiped", "crash-torn", keys=strong)),
        Mutant(one_sided_eviction, strong_alone),
        Mutant(old_owners_alone, with_faults(*CHANGES, keys=strong)),
        Mutant(copies_by_accepted_ballot, with_faults(*CHANGES, "crash-wiped", keys=strong)),
        Mutant(changes_run_again, strong_alone),
        Mutant(unknown_told_as_failed, strong_alone),
        Mutant(strong_records_never_written, strong_alone),
        Mutant(fallback_ack_counts, with_faults(*CUTS)),
        Mutant(slots_complete_without_copies, with_faults(*CHANGES, *CRASHES)),
        Mutant(doubt_not_told, with_faults(*CUTS)),
        Mutant(versions_not_compared, with_faults(*CUTS)),
        Mutant(copies_forgotten, always),
        Mutant(nothing_made_up_for, with_faults(*CUTS)),
        Mutant(
            tombstones_collected_early,
            with_faults(*CUTS, keys=lambda options: options.deletes > 0.2),
        ),
        Mutant(stale_epochs_admitted, with_faults(*CHANGES)),
    )
}
