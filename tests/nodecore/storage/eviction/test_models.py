"""Every policy evicts what its naive model evicts, whatever is asked for, overwritten or removed."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nodecore.storage.eviction import make_policy
from nodecore.storage.eviction.key_table import KeyTable
from tests.nodecore.storage.eviction.models import MODELS

KEYS = st.integers(0, 25)
EXPIRIES = st.integers(0, 6).map(lambda number: number * 1000)
STEPS = settings(
    max_examples=15,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class PolicyMachine(RuleBasedStateMachine):
    """A cache of some objects under one policy, beside the model."""

    policy_name = ""
    removes = True

    @initialize(limit=st.sampled_from([1, 3, 10, 17]))
    def start(self, limit: int) -> None:
        self.limit = limit
        self.policy = make_policy(self.policy_name, limit, in_objects=True)
        self.model = MODELS[self.policy_name](limit)
        self.table = KeyTable()
        self.policy.bind(self.table, Random(1))

    @rule(key=KEYS, size=st.integers(1, 9), expires_ms=EXPIRIES)
    def request(self, key: int, size: int, expires_ms: int) -> None:
        entry = self.table.entries.get(b"%d" % key)
        if entry is not None:
            entry.counter = min(3, entry.counter + 1)
            entry.expires_ms = expires_ms
            self.policy.on_hit(entry)
            self.model.hit(key, expires_ms)
            return
        self.policy.before_insert(b"%d" % key)
        self.model.arriving(key)
        while len(self.table) >= self.limit:
            self.evict()
        self.policy.on_insert(self.table.add(b"%d" % key, size, expires_ms))
        self.model.insert(key, size, expires_ms)

    def evict(self) -> None:
        victim = self.policy.victim()
        assert victim is not None
        key = int(victim.key)
        assert key in self.model.victims()
        self.policy.on_evicted(victim)
        self.table.remove(victim.key)
        self.model.evict(key)

    @precondition(lambda self: self.removes)
    @rule(key=KEYS)
    def remove(self, key: int) -> None:
        entry = self.table.entries.get(b"%d" % key)
        if entry is not None:
            self.policy.on_remove(entry)
            self.table.remove(entry.key)
            self.model.remove(key)

    @invariant()
    def stays_bounded(self) -> None:
        assert len(self.table) <= self.limit
        assert all(entry.queue for entry in self.table.entries.values())


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_policy_evicts_what_its_model_evicts(name: str) -> None:
    # A removal moves SIEVE's hand differently in an array than in a list, by design: none there.
    members = {"policy_name": name, "removes": name != "sieve"}
    run_state_machine_as_test(type("Machine", (PolicyMachine,), members), settings=STEPS)
