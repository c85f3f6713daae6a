"""Scenarios of nodes that come back, and of clusters that lost their majority for good.

As ``scenarios``: each harms a cluster under load, waits for what must follow, and returns its run for
judgement. Here the harm is an absence: shorter or longer than the grace after which a node is removed,
broken off half-way, or without end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from nodecore.ids import NodeId
from nodecore.placement.recovery import propose_recovery
from nodecore.placement.topology import Topology
from nodecore.requests import Done, Failed
from nodecore.simulation.run import Expectations, Run

Trace: TypeAlias = "Callable[[str], None] | None"

_GRACE_S: Final = 15.0
"""``down_grace_s`` of simulated nodes."""
_REMOVAL_S: Final = 60.0
_JOIN_S: Final = 40.0


def _is_member(run: Run, name: str) -> bool:
    return name in run.cluster.members()


def _wait_removed(run: Run, name: str) -> None:
    run.cluster.wait(
        lambda: not _is_member(run, name) and not run.cluster.topology().joint,
        _REMOVAL_S,
        f"{name} is removed",
    )
    run.reached("removed")


def _wait_member(run: Run, name: str) -> None:
    run.cluster.wait(
        lambda: _is_member(run, name) and run.cluster.is_stable(),
        _JOIN_S,
        f"{name} is a member and holds its copies",
    )
    run.reached("member")


def dead_returns_after_removal(seed: int, trace: Trace = None) -> Run:
    """A node is killed, removed, and started again with its disk, which still names it a member."""
    run = Run(seed, 4, trace=trace)
    run.begin()
    run.cluster.crash("n2")
    _wait_removed(run, "n2")
    run.cluster.run(run.rng.uniform(0.0, 3.0))
    run.cluster.restart("n2")
    _wait_member(run, "n2")
    return run


def dies_while_rejoining(seed: int, trace: Trace = None) -> Run:
    """A removed node learns that it is no member, dies, and starts from a disk that says so."""
    run = Run(seed, 4, trace=trace)
    run.begin()
    run.cluster.crash("n2")
    _wait_removed(run, "n2")
    # Nobody has a majority: the join that n2 asks for can't be decided before it dies again.
    run.cluster.cut(["n1"], ["n3", "n4"])
    run.cluster.cut(["n3"], ["n4"])
    run.cluster.restart("n2")

    def knows() -> bool:
        document = run.cluster.node("n2").chain.document
        return document is not None and document.member(NodeId("n2")) is None

    run.cluster.wait(knows, 10.0, "n2 knows that it was removed")
    run.cluster.crash("n2")
    run.reached("died-again")
    # What it has asked for is given up by then.
    run.cluster.run(12.0)
    run.cluster.heal()
    run.cluster.run(run.rng.uniform(0.0, 2.0))
    run.cluster.restart("n2")
    _wait_member(run, "n2")
    run.expect = Expectations(success=0.7, reads_since_s=run.world.now_s)
    return run


def returns_while_another_is_away(seed: int, trace: Trace = None) -> Run:
    """A removed node returns while a second one has just died: it need not wait for that one."""
    run = Run(seed, 5, trace=trace)
    run.begin()
    run.cluster.crash("n2")
    _wait_removed(run, "n2")
    run.cluster.crash("n4")
    run.cluster.run(run.rng.uniform(0.0, 1.0))
    run.cluster.restart("n2")
    run.cluster.wait(lambda: _is_member(run, "n2"), 25.0, "n2 is a member again")
    run.reached("member")
    run.cluster.restart("n4")
    run.cluster.wait_stable(_JOIN_S)
    return run


def join_while_another_is_away(seed: int, trace: Trace = None) -> Run:
    """A node is added while a member is down, before or after it has been found to have failed."""
    run = Run(seed, 3, trace=trace)
    run.begin()
    run.cluster.crash("n2")
    run.cluster.run(run.rng.choice([0.05, 1.0, 6.0, _GRACE_S - 0.5, _GRACE_S + 5.0]))
    run.cluster.add()
    run.cluster.wait(
        lambda: _is_member(run, "n4") and not run.cluster.topology().joint, 30.0, "n4 is a member"
    )
    run.reached("joined")
    run.cluster.restart("n2")
    _wait_member(run, "n2")
    return run


def _recovered_by(run: Run, keep: list[str]) -> Topology:
    """What ``ringdeck cluster recover --accept-loss`` does: draft on the newest, hand to each."""
    cluster = run.cluster
    document = propose_recovery(cluster.topology(), [NodeId(name) for name in keep])
    arguments: dict[str, object] = {"document": document.to_plain(), "accept_loss": True}
    for name in keep:
        outcomes = cluster.admin(name, "change.recover", arguments)
        assert outcomes, f"{name} did not answer"
        assert isinstance(outcomes[0], Done), outcomes
    return document


def recovery(seed: int, trace: Trace = None) -> Run:
    """Two of three die for good: the third founds a new generation and takes new members in."""
    run = Run(seed, 3, trace=trace)
    run.begin()
    run.workload.stop()
    run.cluster.run(1.0)
    run.cluster.crash("n2")
    run.cluster.crash("n3")
    run.cluster.run(8.0)
    refused = run.cluster.admin("n1", "change.recover", {"document": {}, "accept_loss": False})
    assert isinstance(refused[0], Failed), refused
    held = len(run.cluster.node("n1").table)
    _recovered_by(run, ["n1"])
    run.cluster.wait(run.cluster.is_stable, 10.0, "n1 goes on alone")
    assert len(run.cluster.node("n1").table) == held, "the survivor lost entries"
    run.reached("recovered")
    run.cluster.add()
    _wait_member(run, "n4")
    run.cluster.add()
    _wait_member(run, "n5")
    return run


def recovery_and_return(seed: int, trace: Trace = None) -> Run:
    """A cluster is recovered without nodes that return after all: they begin anew as members."""
    run = Run(seed, 5, trace=trace)
    run.begin()
    run.workload.stop()
    run.cluster.run(1.0)
    for name in ("n3", "n4", "n5"):
        run.cluster.crash(name)
    run.cluster.run(8.0)
    recovered = _recovered_by(run, ["n1", "n2"])
    run.cluster.wait_stable(20.0)
    run.reached("recovered")
    for name in ("n3", "n4", "n5"):
        run.cluster.restart(name)
    # The three were a majority of the former life, and must not found it again.
    for name in ("n3", "n4", "n5"):
        _wait_member(run, name)
    for process in run.cluster.running:
        assert process.node.topology.generation == recovered.generation, process.node_id
    run.reached("fenced")
    # Slots of which all owners were among the three lost what they held in memory.
    run.expect = Expectations(reads_since_s=run.world.now_s + 3600.0)
    return run


RETURNING: Final = (
    dead_returns_after_removal,
    dies_while_rejoining,
    returns_while_another_is_away,
    join_while_another_is_away,
    recovery,
    recovery_and_return,
)
