"""Scenarios of clocks that are set wrong while a cluster is under load.

As ``scenarios``: each harms a cluster, waits for what must follow, and returns its run for judgement.
A clock that runs ahead must not make versions that win for ever, one that was set back must not make
versions twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from nodecore.ids import Version
from nodecore.replication.versions import milliseconds_of
from nodecore.requests import Failed, Unknown, Write
from nodecore.simulation.cluster import SimCluster
from nodecore.simulation.run import Expectations, Run

Trace: TypeAlias = "Callable[[str], None] | None"

_KEYS: Final = tuple(b"ahead:%d" % number for number in range(20))
_AHEAD_MS: Final = 30_000
_BACK_MS: Final = 20_000


def clock_jump(seed: int, trace: Trace = None) -> Run:
    """A clock jumps half a minute ahead and is put right: nothing that it dated stays anywhere."""
    run = Run(seed, 4, trace=trace)
    run.begin()
    cluster = run.cluster
    name = run.rng.choice(["n1", "n2", "n3", "n4"])
    process = cluster.process(name)
    process.clock.jump(_AHEAD_MS)
    outcomes: list[object] = []
    # Before anybody has noticed: this node still believes that it may date writes.
    for key in _KEYS:
        cluster.submit(name, Write((key,), (b"from the future",)), outcomes.append)
    cluster.wait(lambda: len(outcomes) == len(_KEYS), 10.0, "every write is answered")
    assert all(isinstance(outcome, Failed | Unknown) for outcome in outcomes), outcomes
    failed = sum(isinstance(outcome, Failed) for outcome in outcomes)
    run.reached("certainly-failed", failed)
    counters = process.node.statistics(process.clock.now()).counters
    run.reached("undone", counters["versions_undone"])
    assert not _from_the_future(cluster, _KEYS), "versions of a wrong clock stay"
    cluster.run(2.0)
    process.clock.jump(-_AHEAD_MS)
    cluster.run(5.0)
    run.expect = Expectations(success=0.9)
    return run


def clock_set_back(seed: int, trace: Trace = None) -> Run:
    """A node dies, its clock is set back, it returns: it must not date anything twice."""
    run = Run(seed, 3, trace=trace)
    run.begin()
    cluster = run.cluster
    cluster.run(1.0)
    name = run.rng.choice(["n1", "n2", "n3"])
    process = cluster.process(name)
    highest = process.node.table.hlc_high
    cluster.crash(name)
    process.clock.jump(-_BACK_MS)
    cluster.restart(name)
    cluster.wait_stable()
    node = process.node
    assert node.table.hlc_high >= highest, "versions were forgotten"
    if not node.clock.may_coordinate(process.clock.now()):
        run.reached("dates-nothing")
    cluster.run(3.0)
    process.clock.jump(_BACK_MS)
    cluster.wait(
        lambda: process.node.clock.may_coordinate(process.clock.now()),
        20.0,
        "it dates writes again",
    )
    run.reached("dates-again")
    cluster.run(2.0)
    run.expect = Expectations(success=0.9, lag_s=12.0)
    return run


def _from_the_future(cluster: SimCluster, keys: tuple[bytes, ...]) -> list[tuple[str, bytes]]:
    """Who holds which of the keys in a version that lies ahead of the world's time."""
    found: list[tuple[str, bytes]] = []
    for process in cluster.running_members:
        wall_ms = process.clock.now().wall_ms - process.clock.skew_ms
        for key in keys:
            entry = process.node.table.get(key)
            if entry is not None:
                version = Version(entry.hlc, entry.node)
                if milliseconds_of(version.hlc) > wall_ms + _AHEAD_MS / 2:
                    found.append((str(process.node_id), key))
    return found


CLOCKS: Final = (clock_jump, clock_set_back)
