"""What is expected of the core of a broken cluster."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nodecore.effects import Emit
from nodecore.simulation.core import Core
from nodecore.simulation.history import History, Operation, Result
from nodecore.simulation.swarm import SwarmRun
from nodecore.simulation.swarm_options import draw


def core_of(run: SwarmRun) -> Core:
    processes = [run.cluster.process(f"n{number}") for number in (1, 2, 3)]
    return Core(run.cluster, run.options, processes, run.reached)


def failed_write(at_s: float) -> History:
    """Of one write at n1, refused at once."""
    history = History()
    operation = history.begin(Operation("core-1", "write", b"k", b"v", at_s))
    operation.node, operation.result, operation.text = "n1", Result.FAIL, "NOREPLICAS"
    operation.answered_s = at_s
    return history


def test_nothing_is_expected_of_a_core_that_has_lost_its_memory() -> None:
    run = SwarmRun(draw(44), 44)
    run.cluster.start()
    core = core_of(run)
    node = core.processes[0].node
    names = {process.node_id for process in core.processes}
    keys = [b"k%d" % number for number in range(200)]
    inside = {key: names.issuperset(node.owners(node.table.slot_of(key))) for key in keys}
    assert set(inside.values()) == {True, False}
    assert not any(map(core._memory_is_away, keys)), "everybody has its memory"
    for process in core.processes:
        process.node.coordinator.reader.filled = lambda _slot: False
    for key in keys:
        assert core._memory_is_away(key) is not inside[key], "whom they need is in the core"


@pytest.mark.parametrize(
    ("heard_slowly", "expected"), [([], True), (["n9"], True), (["n2"], False)]
)
def test_owners_behind_an_open_breaker_are_not_counted_on(
    heard_slowly: list[str], expected: bool
) -> None:
    run = SwarmRun(draw(44), 44)
    run.cluster.start()
    core = core_of(run)
    core.look([])
    assert len(run.cluster.members()) == 5
    assert run.options.replicas == 3, "one owner of each key is in the core for sure"
    for peer in heard_slowly:
        event = Emit("breaker.open", f"breaker to {peer}", fields=(("peer", peer),))
        core.processes[0].events.append((run.world.now_s, event))
    history = failed_write(run.world.now_s)
    assert bool(core.judge(history, History(), 0.0, one_sided=False)) is expected
    assert not core.judge(history, History(), 0.0, one_sided=True)


def suspected(whole: bool) -> Emit:
    kind = "member.alive" if whole else "member.suspect"
    return Emit(kind, "n2 is something", fields=(("node", "n2"),))


def unlinked(whole: bool) -> Emit:
    word = "up" if whole else "down"
    return Emit(f"link.{word}", f"data link to n2 is {word}", fields=(("peer", "n2"),))


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("event", [suspected, unlinked])
def test_owners_that_are_away_for_a_moment_are_not_counted_on(
    event: Callable[[bool], Emit], ends: bool
) -> None:
    run = SwarmRun(draw(44), 44)
    run.cluster.start()
    core = core_of(run)
    core.look([])
    events, now_s = core.processes[0].events, run.world.now_s
    events.append((now_s, event(False)))
    if ends:
        events.append((now_s + 1, event(True)))
    history = failed_write(now_s)
    assert bool(core.judge(history, History(), 0.0, one_sided=False)) is not ends
