"""Scenarios of keyspaces whose policy changes while they are in use, and of their partition rules.

As ``scenarios``: each acts on a cluster under load, waits for what must follow, and returns its run
for judgement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from nodecore.errors import Code
from nodecore.requests import Change, Done, Failed, Outcome, Read, Request, Update, Write
from nodecore.simulation.run import Expectations, Run

Trace: TypeAlias = "Callable[[str], None] | None"

_SETTLED_S: Final = 30.0
_MINORITY_S: Final = 15.0
_OPERATION_S: Final = 2.5
"""A little more than the operation timeout: nothing may hang."""


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


def partition_policies(seed: int, trace: Trace = None) -> Run:
    """One of three is cut off: available keys go on there, read-only and refusing ones as promised."""
    run = Run(seed, 3, trace=trace)
    run.begin()
    _edit(run, "keyspace.set", pattern="key:1*", on_partition="read-only")
    _edit(run, "keyspace.set", pattern="key:2*", on_partition="refuse")
    _wait_settled(run)
    lonely = run.rng.choice(["n1", "n2", "n3"])
    others = [name for name in ("n1", "n2", "n3") if name != lonely]
    run.cluster.cut([lonely], others, abrupt=run.rng.random() < 0.5)
    policy = run.cluster.node(lonely).coordinator.policy
    run.cluster.wait(lambda: policy.minority, _MINORITY_S, f"{lonely} has noticed")
    run.reached("minority")
    expected = (
        (b"key:1", Code.READ_ONLY, None),
        (b"key:2", Code.NO_QUORUM, Code.NO_QUORUM),
        (b"key:3", None, None),
    )
    for key, written, read in expected:
        # A key of its own beside the load's, so that only this changes it.
        _check_code(_run(run, lonely, Write((key + b":x",), (b"v",))), written)
        _check_code(_run(run, lonely, Update(key + b":y", Change.INCREMENT, (1,))), written)
        _check_code(_run(run, lonely, Read((key,))), read)
    for key, _written, _read in expected:
        _check_code(_run(run, others[0], Write((key + b":z",), (b"v",))), None)
    run.cluster.run(2.0)
    run.cluster.heal()
    healed_s = run.world.now_s
    run.cluster.wait_stable(30.0)
    run.cluster.wait(lambda: not policy.minority, _MINORITY_S, f"{lonely} sees the others")
    run.cluster.run(6.0)
    for name in ("n1", "n2", "n3"):
        outcome = _run(run, name, Read((b"key:3:x", b"key:1:z", b"key:2:z", b"key:1:x")))
        assert isinstance(outcome, Done), outcome
        assert isinstance(outcome.result, list)
        found = [value is not None for value in outcome.result]
        assert found == [True, True, True, False], f"{name} has {found} after the merge"
    run.reached("merged")
    run.expect = Expectations(success=0.7, reads_since_s=healed_s + 6.0)
    return run


def _run(run: Run, name: str, request: Request) -> Outcome:
    """The outcome of one request at a node, within the operation's time."""
    outcomes: list[Outcome] = []
    run.cluster.submit(name, request, outcomes.append)
    run.cluster.wait(lambda: bool(outcomes), _OPERATION_S, f"{name} answers {request}")
    return outcomes[0]


def _check_code(outcome: Outcome, code: Code | None) -> None:
    """That a request failed with this code, or (None) did not fail."""
    found: object = outcome
    if isinstance(outcome, Done) and isinstance(outcome.result, list):
        found = outcome.result[0]
    if code is None:
        assert isinstance(outcome, Done), outcome
        assert not isinstance(found, Failed), found
    else:
        assert isinstance(found, Failed), f"{found} instead of {code.name}"
        assert found.code is code, f"{found} instead of {code.name}"


KEYSPACE_CHANGES: Final = (
    copies_raised,
    copies_lowered,
    lowered_without_an_owner,
    narrower_pattern,
    partition_policies,
)
