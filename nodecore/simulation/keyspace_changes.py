"""Scenarios of keyspaces whose policy changes while they are in use, and of their partition rules.

As ``scenarios``: each acts on a cluster under load, waits for what must follow, and returns its run
for judgement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from nodecore.errors import Code
from nodecore.requests import Done, Failed
from nodecore.simulation.run import Expectations, Run

Trace: TypeAlias = "Callable[[str], None] | None"

_SETTLED_S: Final = 30.0


def _edit(run: Run, verb: str, **arguments: object) -> Done:
    """Run a verb of an operator at some node, as often as other changes make it wait."""
    for _attempt in range(20):
        name = run.rng.choice([str(process.node_id) for process in run.cluster.running])
        outcomes = run.cluster.admin(name, verb, arguments)
        run.cluster.wait(lambda: bool(outcomes), 10.0, f"{verb} is answered")  # noqa: B023
        outcome = outcomes[0]
        if isinstance(outcome, Done):
            return outcome
        assert isinstance(outcome, Failed), outcome
        assert outcome.code in (Code.CHANGE_RUNNING, Code.STALE_EPOCH), outcome
        run.cluster.run(0.5)
    raise AssertionError(f"{verb} was never taken")


def _wait_settled(run: Run) -> None:
    """Every member has adopted the newest document, made its copies and given up the others."""

    def settled() -> bool:
        epoch = run.cluster.topology().epoch
        nodes = [process.node for process in run.cluster.running_members]
        return all(
            node.epoch() == epoch
            and not node.topology_changes.filling.left
            and not node.topology_changes.surplus.left
            for node in nodes
        )

    run.cluster.wait(settled, _SETTLED_S, "all copies are where they belong")


def _copies(run: Run, key: bytes) -> list[str]:
    """Who holds the key."""
    return [
        str(process.node_id)
        for process in run.cluster.running_members
        if process.node.store.get(key, process.clock.now()) is not None
    ]


def _check_copies(run: Run, count: int) -> None:
    """Once the load has stopped: the keys that exist have exactly so many copies."""
    for key in run.workload.keys:
        holders = _copies(run, key)
        assert not holders or len(holders) == count, f"{key!r} is held by {holders}, not {count}"


def copies_raised(seed: int, trace: Trace = None) -> Run:
    """N of the default keyspace goes from 2 to 3 under load: every key gets its third copy."""
    run = Run(seed, 4, trace=trace)
    run.cluster.start()
    if run.rng.random() < 0.5:
        # Without a wider keyspace beside it no third owner exists before.
        _edit(run, "keyspace.delete", pattern="strong:*")
    _edit(run, "keyspace.set", pattern="*", n=2, w=2)
    _wait_settled(run)
    run.workload.preload()
    _check_copies(run, 2)
    run.workload.start()
    run.cluster.run(0.3)
    _edit(run, "keyspace.set", pattern="*", n=3)
    _wait_settled(run)
    run.reached("raised")
    run.cluster.run(1.0)
    return run


def copies_lowered(seed: int, trace: Trace = None) -> Run:
    """N of the default keyspace goes from 3 to 2 under load: the third copies go, nothing is lost."""
    run = Run(seed, 4, trace=trace)
    run.begin()
    if run.rng.random() < 0.5:
        _edit(run, "keyspace.delete", pattern="strong:*")
    _edit(run, "keyspace.set", pattern="*", n=2)
    _wait_settled(run)
    run.workload.stop()
    run.cluster.run(3.0)
    _check_copies(run, 2)
    run.reached("lowered")
    run.workload.start()
    run.cluster.run(1.0)
    return run


def lowered_without_an_owner(seed: int, trace: Trace = None) -> Run:
    """N falls while an owner that stays is down: what only the others hold is kept until it returns."""
    run = Run(seed, 4, trace=trace)
    run.begin()
    run.cluster.crash("n2")
    run.cluster.run(2.0)
    _edit(run, "keyspace.set", pattern="*", n=2, w=1)
    run.cluster.run(3.0)
    run.cluster.restart("n2")
    _wait_settled(run)
    run.reached("lowered")
    settled_s = run.world.now_s
    run.cluster.run(2.0)
    # With W=1 what is read while nodes disagree about who is alive may be from before.
    run.expect = Expectations(success=0.9, reads_since_s=settled_s + 1.0)
    return run


def narrower_pattern(seed: int, trace: Trace = None) -> Run:
    """A pattern gets one copy, then three, then loses its policy: each time its keys follow alone."""
    run = Run(seed, 4, trace=trace)
    run.begin()
    _edit(run, "keyspace.set", pattern="key:1*", n=1, w=1)
    _wait_settled(run)
    run.workload.stop()
    run.cluster.run(2.0)
    for key in run.workload.keys:
        holders = _copies(run, key)
        wanted = 1 if key.startswith(b"key:1") else 3
        assert not holders or len(holders) == wanted, f"{key!r} is held by {holders}"
    run.reached("narrow")
    run.workload.start()
    _edit(run, "keyspace.set", pattern="key:1*", n=3)
    _wait_settled(run)
    run.cluster.run(0.5)
    _edit(run, "keyspace.delete", pattern="key:1*")
    _wait_settled(run)
    run.expect = Expectations(success=0.95)
    return run


KEYSPACE_CHANGES: Final = (
    copies_raised,
    copies_lowered,
    lowered_without_an_owner,
    narrower_pattern,
)
