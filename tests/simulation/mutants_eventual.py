"""Eventual keys broken on purpose: each function takes one thing away, which its docstring names."""

from __future__ import annotations

from typing import Any

import pytest

from nodecore.ids import NodeId, Now, Version
from nodecore.replication import migration
from nodecore.replication.anti_entropy import AntiEntropy
from nodecore.replication.epochs import Epochs
from nodecore.replication.hints import Hints
from nodecore.replication.job import Job, Part
from nodecore.replication.replica import Replica
from nodecore.replication.versions import HybridClock
from nodecore.requests import Failed, Unknown
from nodecore.routing import Route
from nodecore.storage import tombstones
from nodecore.storage.memory import Store
from nodecore.table.interface import Kind

Patch = pytest.MonkeyPatch


def fallback_ack_counts(patch: Patch) -> None:
    """One acknowledgement is enough for any level."""
    patch.setattr(Route, "writes_needed", lambda _self, _level, _count: 1)


def slots_complete_without_copies(patch: Patch) -> None:
    """New and restarted owners answer before they hold anything, and nothing is copied."""
    patch.setattr(migration, "wants", lambda *_arguments: {})
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
    original = Hints.add

    def add(self: Hints, target: NodeId, hint: Any) -> None:
        if hint.kind != Kind.TOMBSTONE:
            original(self, target, hint)

    patch.setattr(Hints, "add", add)

    patch.setattr(tombstones, "TOMBSTONE_S", 0.1)
    patch.setattr(tombstones.Tombstones, "floor", lambda _self, _slot: 0)


def stale_epochs_admitted(patch: Patch) -> None:
    """Requests of any epoch are served, whatever the owners are now."""
    patch.setattr(Epochs, "admit", lambda *_arguments: True)


def version_from_own_clock(patch: Patch) -> None:
    """Versions come from the clock of their node alone, whatever it has seen of others."""
    original = HybridClock.next
    high: dict[int, int] = {}

    def following(self: HybridClock, now: Now) -> Version:
        version = original(self, now)
        hlc = high[self.node_tag] = max(high.get(self.node_tag, 0) + 1, now.wall_ms << 16)
        return version._replace(hlc=hlc)

    patch.setattr(HybridClock, "next", following)
