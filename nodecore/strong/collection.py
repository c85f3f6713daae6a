"""Sweeps away what is dead: expired values become tombstones, tombstones that all hold are forgotten.

The first owner of a slot does it, for registers without a live value that have been left alone for
longer than any operation takes. A round writes the tombstone once more; if all N owners then report
having accepted it, each is told to forget it and to grant nothing up to its ballot any more (the
slot's *floor*). With an owner missing, or owners changing, the tombstone stays. Of a tombstone that one
owner was not told to forget the first owner knows nothing any more: the others sweep too, once in a while.

Sources: the deletion of gryadka, the reference implementation of CASPaxos (issue 7).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, final

from nodecore.consensus.ballot import NO_BALLOT, Ballot
from nodecore.ids import NodeId, Now
from nodecore.requests import Failed
from nodecore.routing import Routing
from nodecore.strong.operations import Operation, bury
from nodecore.strong.registers import Registers
from nodecore.strong.replica import GRANTED, Kind, Row, Told
from nodecore.strong.rounds import Rounds

COLLECT_AFTER_S: Final = 30.0
"""Far beyond the time in which a lost round is looked for in a key's history."""
COLLECTED_PER_TICK_MAX: Final = 64
EXPIRED_PER_TICK_MAX: Final = 64
LEFT_BEHIND_SHARE: Final = 0.05
"""How often an owner that is not the first looks after a tombstone: ten minutes on average."""
LOOKED_PER_TICK_MAX: Final = 512


@final
class Collection:
    """One node's part in it."""

    def __init__(
        self, registers: Registers, rounds: Rounds, slot_of: Callable[[bytes], int]
    ) -> None:
        self._registers = registers
        self._rounds = rounds
        self._slot_of = slot_of
        self._routing: Routing | None = None
        self._busy: dict[bytes, None] = {}

    def on_topology(self, routing: Routing) -> None:
        """A newer document is in force."""
        self._routing = routing

    def tick(self, now: Now) -> None:
        """Begin with what is due."""
        routing = self._routing
        if routing is None:
            return
        for key in self._registers.wheel.due(now.wall_ms, EXPIRED_PER_TICK_MAX):
            slot = self._slot_of(key)
            if self._is_mine(key, slot) and not self._bury(key, slot, _ignore, now):
                self._registers.wheel.add(key, now.wall_ms)
        if routing.topology.joint:
            return
        idle = self._registers.idle
        due: list[bytes] = []
        for _looked, (key, since_s) in zip(range(LOOKED_PER_TICK_MAX), idle.items(), strict=False):
            if now.mono_s - since_s < COLLECT_AFTER_S or len(due) >= COLLECTED_PER_TICK_MAX:
                break
            due.append(key)
        for key in due:
            # Whatever comes of it, it is looked at again only after another while.
            del idle[key]
            idle[key] = now.mono_s
            slot = self._slot_of(key)
            if self._is_mine(key, slot) or self._rounds.rng.random() < LEFT_BEHIND_SHARE:
                self._bury(key, slot, partial(self._on_buried, key, slot), now)

    def _is_mine(self, key: bytes, slot: int) -> bool:
        assert self._routing is not None
        return self._routing.route(key, slot).owners[:1] == (self._rounds.node,)

    def _bury(
        self, key: bytes, slot: int, on_buried: Callable[[object, Now], None], now: Now
    ) -> bool:
        if key in self._busy:
            return False
        self._busy[key] = None

        def settled(result: object, at: Now) -> None:
            del self._busy[key]
            on_buried(result, at)

        self._rounds.start(key, slot, Operation(bury(), settled, force=True), now)
        return True

    def _on_buried(self, key: bytes, slot: int, result: object, now: Now) -> None:
        state, node = self._registers.get(key, slot), self._rounds.node
        if result is not True or state is None or state.accepted_ballot.proposer != node:
            return
        quorums = self._rounds.place(key, slot).quorums
        if len(quorums) == 1:
            Census(self._rounds, key, state.accepted_ballot, quorums[0]).begin()


@final
class Census:
    """Asks all owners of a key whether they hold its tombstone, then has all of them forget it."""

    def __init__(
        self, rounds: Rounds, key: bytes, ballot: Ballot, owners: tuple[NodeId, ...]
    ) -> None:
        self._rounds = rounds
        self._key = key
        self._ballot = ballot
        self._waiting = dict.fromkeys(owners)
        self._owners = owners
        self.alive = True
        """Nobody has missed the tombstone so far."""

    def begin(self) -> None:
        """Ask."""
        for owner in self._owners:
            self._rounds.ask(owner, Row(Kind.LOOK, self._key, NO_BALLOT, None), self)

    def on_told(self, voter: NodeId, kind: Kind, told: Told, _now: Now) -> None:
        """See ``Asker``."""
        if kind is not Kind.LOOK or not self.alive:
            return
        self.alive = told.code == GRANTED and told.accepted == self._ballot
        self._waiting.pop(voter, None)
        if self.alive and not self._waiting:
            for owner in self._owners:
                row = Row(Kind.COLLECT, self._key, self._ballot, None)
                self._rounds.ask(owner, row, self)

    def on_failure(self, _voter: NodeId, _kind: Kind, _reason: Failed, _now: Now) -> None:
        """See ``Asker``."""
        self.alive = False


def _ignore(_result: object, _now: Now) -> None:
    """An expired key that could not be buried is buried by whoever reads it."""
