"""Named scenarios: what happens to a cluster under load, told as a short story each.

A scenario starts a cluster, does harm, waits for what must follow, and returns its run for judgement
(see ``run``). Seeds vary delays, clocks, load and the moments of harm. The table ``SCENARIOS`` is what
the command line and the tests iterate over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from nodecore.requests import Done
from nodecore.simulation.changing import CHANGING
from nodecore.simulation.checkers import LAG_AFTER_CRASH_S
from nodecore.simulation.clock_jumps import CLOCKS
from nodecore.simulation.cluster import ClusterOptions
from nodecore.simulation.keyspace_changes import KEYSPACE_CHANGES
from nodecore.simulation.network import NetworkOptions
from nodecore.simulation.returning import RETURNING
from nodecore.simulation.run import Expectations, Run

Trace: TypeAlias = "Callable[[str], None] | None"
Scenario: TypeAlias = Callable[[int, Trace], Run]

_JOIN_S: Final = 30.0
_REMOVAL_S: Final = 60.0
_AFTER_CRASH: Final = Expectations(lag_s=LAG_AFTER_CRASH_S)


def _joined(run: Run, count: int) -> Callable[[], bool]:
    return lambda: len(run.cluster.members()) == count and run.cluster.is_stable()


def _wait_joint(run: Run) -> None:
    run.cluster.wait(lambda: run.cluster.topology().joint, 10.0, "the change has begun")
    run.reached("joint")


def join(seed: int, trace: Trace = None) -> Run:
    """A fourth node joins under load; nothing is lost or invisible meanwhile."""
    run = Run(seed, 3, trace=trace)
    run.begin()
    run.cluster.add()
    run.cluster.wait(_joined(run, 4), _JOIN_S, "n4 is a member")
    run.cluster.run(0.5)
    if len(run.cluster.node("n4").table):
        run.reached("entries-moved")
    run.expect = Expectations(success=1.0)
    return run


def join_one_by_one(seed: int, trace: Trace = None) -> Run:
    """One node alone becomes three by two joins that are asked for at the same time."""
    run = Run(seed, 1, trace=trace)
    run.begin()
    run.cluster.add()
    run.cluster.add(seeds=["n1"])
    run.cluster.wait(_joined(run, 3), _JOIN_S, "both are members")
    run.expect = Expectations(success=1.0)
    return run


def join_over_bad_network(seed: int, trace: Trace = None) -> Run:
    """Control messages are lost, doubled and reordered, and clocks are up to a quarter of a second apart."""
    network = NetworkOptions(control_loss=0.05, control_duplication=0.05, control_reordering=0.1)
    options = ClusterOptions(nodes=3, network=network, clock_skew_ms_max=120.0)
    run = Run(seed, options=options, trace=trace)
    run.begin()
    run.cluster.add()
    run.cluster.wait(_joined(run, 4), _REMOVAL_S, "n4 is a member")
    run.cluster.run(2.0)
    if run.cluster.network.lost:
        run.reached("lost", run.cluster.network.lost)
    run.expect = Expectations(success=0.98)
    return run


def leave(seed: int, trace: Trace = None) -> Run:
    """A node leaves in order: it hands over its slots first, and ends itself."""
    run = Run(seed, 4, trace=trace)
    run.begin()
    name = run.rng.choice(["n1", "n2", "n3", "n4"])
    outcomes = run.cluster.leave(name)
    run.cluster.wait(_joined(run, 3), _JOIN_S, f"{name} is no member")
    assert outcomes, "the leave was not answered"
    assert isinstance(outcomes[0], Done), outcomes
    process = run.cluster.process(name)
    run.cluster.wait(lambda: not process.running, 10.0, f"{name} has ended itself")
    assert process.stopped is not None
    assert process.stopped.exit_code == 0, process.stopped
    run.reached("stopped-itself")
    return run


def leave_to_two(seed: int, trace: Trace = None) -> Run:
    """Three become two: owners that stay must catch up, because fewer have to agree on a miss."""
    run = Run(seed, 3, trace=trace)
    run.begin()
    run.cluster.leave("n3", via="n1")
    run.cluster.wait(_joined(run, 2), _JOIN_S, "n3 is no member")
    return run


def crash_and_removal(seed: int, trace: Trace = None) -> Run:
    """A node dies for good: after the grace it is removed and its copies are rebuilt."""
    run = Run(seed, 4, trace=trace)
    run.begin()
    name = run.rng.choice(["n1", "n2", "n3", "n4"])
    run.cluster.crash(name)
    run.cluster.wait(_joined(run, 3), _REMOVAL_S, f"{name} is removed")
    run.reached("removed")
    run.expect = _AFTER_CRASH
    return run


def crash_without_room(seed: int, trace: Trace = None) -> Run:
    """With three nodes and three copies a dead node is never removed by itself; it comes back."""
    run = Run(seed, 3, trace=trace)
    run.begin()
    run.cluster.crash("n2")
    run.cluster.run(25.0)
    assert len(run.cluster.members()) == 3, "removed although too few would remain"
    waits = [
        event
        for process in run.cluster.running
        for _at_s, event in process.events
        if event.kind == "change.removal-waits"
    ]
    assert waits, "nobody said why the dead node stays"
    run.reached("removal-refused")
    run.cluster.restart("n2")
    run.cluster.wait(run.cluster.is_stable, _JOIN_S, "n2 is refilled")
    run.expect = _AFTER_CRASH
    return run


def restart(seed: int, trace: Trace = None) -> Run:
    """A process dies and returns at once: it refills before it answers."""
    run = Run(seed, 3, trace=trace)
    run.begin()
    for name in ("n1", "n3"):
        run.cluster.crash(name)
        run.cluster.run(run.rng.uniform(0.1, 4.0))
        run.cluster.restart(name)
        run.cluster.run(0.02)
        left = run.cluster.node(name).topology_changes.filling.left
        if left:
            run.reached("unfilled")
        run.cluster.wait_stable()
        run.cluster.run(1.0)
    run.expect = _AFTER_CRASH
    return run


def restart_wiped(seed: int, trace: Trace = None) -> Run:
    """A process returns under its name without its disk: it must ask, and has forgotten its votes."""
    run = Run(seed, 3, trace=trace)
    run.begin()
    run.cluster.crash("n2")
    run.cluster.run(run.rng.uniform(0.5, 5.0))
    process = run.cluster.process("n2")
    process.disk.wipe()
    process.start()
    run.cluster.wait_stable(60.0)
    run.cluster.wait(lambda: not run.cluster.node("n2").chain.abstaining, 30.0, "n2 may vote again")
    run.reached("readmitted")
    run.expect = _AFTER_CRASH
    return run


def restart_all(seed: int, trace: Trace = None) -> Run:
    """Every process dies and returns: memory is gone, the cluster must serve again."""
    run = Run(seed, 3, trace=trace)
    run.cluster.start()
    run.cluster.run(1.0)
    for name in ("n1", "n2", "n3"):
        run.cluster.crash(name)
    run.cluster.run(1.0)
    run.cluster.start(20.0)
    run.reached("cold-start")
    run.begin()
    return run


def partition(seed: int, trace: Trace = None) -> Run:
    """Two of five are cut off for a while, and healed before anybody is removed."""
    run = Run(seed, 5, trace=trace)
    run.begin()
    abrupt = run.rng.random() < 0.5
    run.cluster.cut(["n4", "n5"], ["n1", "n2", "n3"], abrupt=abrupt)
    run.cluster.run(8.0)
    run.reached("partitioned")
    run.cluster.heal()
    healed_s = run.world.now_s
    run.cluster.wait_stable(30.0)
    run.cluster.run(8.0)
    # Both sides went on: a slot of which two owners are on the small side took writes there.
    run.expect = Expectations(success=0.8, reads_since_s=healed_s + 15.0)
    return run


def partition_one_way(seed: int, trace: Trace = None) -> Run:
    """Nothing gets from n3 to n1, while everything gets back."""
    run = Run(seed, 4, trace=trace)
    run.begin()
    run.cluster.cut(["n3"], ["n1"], both=False)
    run.cluster.run(5.0)
    run.cluster.heal()
    healed_s = run.world.now_s
    run.cluster.wait_stable(30.0)
    run.cluster.run(5.0)
    run.expect = Expectations(success=0.8, reads_since_s=healed_s + 10.0)
    return run


def removed_returns(seed: int, trace: Trace = None) -> Run:
    """A node is cut off until it is removed; healed, it hands over and joins anew."""
    run = Run(seed, 4, trace=trace)
    run.begin()
    run.cluster.cut(["n4"], ["n1", "n2", "n3"])
    run.cluster.wait(
        lambda: all(
            run.cluster.node(name).topology.member(run.cluster.process("n4").node_id) is None
            for name in ("n1", "n2", "n3")
        ),
        _REMOVAL_S,
        "n4 is removed",
    )
    run.reached("removed")
    run.cluster.heal()
    healed_s = run.world.now_s
    run.cluster.wait(_joined(run, 4), _REMOVAL_S, "n4 has joined anew")
    run.reached("rejoined")
    run.cluster.run(2.0)
    run.expect = Expectations(success=0.7, reads_since_s=healed_s + 15.0)
    return run


def target_dies(seed: int, trace: Trace = None) -> Run:
    """A joining node dies in the joint epoch: the change cancels itself."""
    run = Run(seed, 3, trace=trace)
    run.begin()
    run.cluster.add()
    _wait_joint(run)
    run.cluster.crash("n4")
    run.cluster.wait(_joined(run, 3), _JOIN_S, "the join is cancelled")
    assert "cancelled" in run.cluster.topology().reason, run.cluster.topology().reason
    run.reached("cancelled")
    run.expect = _AFTER_CRASH
    return run


def coordinator_dies(seed: int, trace: Trace = None) -> Run:
    """The coordinator of a join dies in the joint epoch: another member finishes it."""
    run = Run(seed, 4, trace=trace)
    run.begin()
    run.cluster.add()
    _wait_joint(run)
    change = run.cluster.topology().change
    assert change is not None
    run.cluster.crash(change.coordinator)
    run.cluster.wait(
        lambda: "n5" in run.cluster.members() and not run.cluster.topology().joint,
        _JOIN_S,
        "n5 is a member",
    )
    run.reached("takeover")
    run.cluster.restart(change.coordinator)
    run.cluster.wait_stable()
    run.expect = _AFTER_CRASH
    return run


def source_dies(seed: int, trace: Trace = None) -> Run:
    """A node that others copy from dies in the joint epoch: another replica continues."""
    run = Run(seed, 4, trace=trace)
    run.begin()
    run.cluster.add()
    _wait_joint(run)
    change = run.cluster.topology().change
    assert change is not None
    others = [name for name in ("n1", "n2", "n3", "n4") if name != change.coordinator]
    victim = run.rng.choice(others)
    run.cluster.crash(victim)
    run.cluster.wait(
        lambda: "n5" in run.cluster.members() and not run.cluster.topology().joint,
        _JOIN_S,
        "n5 is a member",
    )
    run.reached("other-source")
    run.cluster.restart(victim)
    run.cluster.wait_stable()
    run.expect = _AFTER_CRASH
    return run


def target_restarts(seed: int, trace: Trace = None) -> Run:
    """A joining node dies in the joint epoch and returns at once, with its disk: it copies anew."""
    run = Run(seed, 3, trace=trace)
    run.begin()
    run.cluster.add()
    _wait_joint(run)
    run.cluster.crash("n4")
    run.cluster.run(0.2)
    run.cluster.restart("n4")
    run.cluster.wait(_joined(run, 4), _REMOVAL_S, "n4 is a member")
    run.reached("copied-anew")
    run.expect = _AFTER_CRASH
    return run


def pause(seed: int, trace: Trace = None) -> Run:
    """A process is stopped for two seconds and goes on: nobody is removed, nothing is lost."""
    run = Run(seed, 3, trace=trace)
    run.begin()
    name = run.rng.choice(["n1", "n2", "n3"])
    process = run.cluster.process(name)
    process.pause()
    run.cluster.run(2.0)
    process.resume()
    resumed_s = run.world.now_s
    run.cluster.run(3.0)
    run.reached("resumed")
    # What the stopped process had in hand it may still answer from before.
    run.expect = Expectations(success=0.9, reads_since_s=resumed_s + 2.0)
    return run


def flush_while_joining(seed: int, trace: Trace = None) -> Run:
    """FLUSHALL in the joint epoch of a join: nothing written before it returns."""
    run = Run(seed, 3, trace=trace)
    run.begin()
    run.workload.stop()
    run.cluster.add()
    _wait_joint(run)
    outcomes = run.cluster.admin("n1", "flush", {})
    run.cluster.wait(lambda: bool(outcomes), 10.0, "the flush is answered")
    run.cluster.wait(_joined(run, 4), _JOIN_S, "n4 is a member")
    if isinstance(outcomes[0], Done):
        run.reached("flushed")
        run.history.operations.clear()
        keys = [len(process.node.table) for process in run.cluster.running]
        run.cluster.run(2.0)
        live = [
            sum(process.node.local_count(slot) for slot in range(16_384))
            for process in run.cluster.running
        ]
        assert not any(live), f"{live} live keys after a flush ({keys} entries before the sweep)"
        run.workload.preload()
    return run


SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.__name__.replace("_", "-"): scenario
    for scenario in (
        join,
        join_one_by_one,
        join_over_bad_network,
        leave,
        leave_to_two,
        crash_and_removal,
        crash_without_room,
        restart,
        restart_wiped,
        restart_all,
        partition,
        partition_one_way,
        removed_returns,
        target_dies,
        target_restarts,
        coordinator_dies,
        source_dies,
        pause,
        flush_while_joining,
        *CLOCKS,
        *RETURNING,
        *CHANGING,
        *KEYSPACE_CHANGES,
    )
}
