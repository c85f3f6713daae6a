"""Strong keys in simulated clusters: histories under faults are linearizable, and most work is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nodecore.simulation.cluster import ClusterOptions, SimCluster
from nodecore.simulation.history import History, Result
from nodecore.simulation.network import NetworkOptions
from nodecore.simulation.strong_history import judge_strong
from nodecore.simulation.strong_load import StrongLoad, StrongOptions
from nodecore.simulation.world import World

LOAD = StrongOptions(clients=5, registers=2, counters=2, interval_s=0.03)
LEARNED_S = 30.0


class Story:
    """One cluster under load on strong keys."""

    def __init__(self, seed: int, nodes: int = 3, **settings: object) -> None:
        network = NetworkOptions(control_loss=0.02, control_reordering=0.05)
        options = ClusterOptions(nodes=nodes, network=network, settings=settings)
        self.world = World(seed, None)
        self.rng = self.world.rng("story")
        self.cluster = SimCluster(self.world, options)
        self.history = History()
        self.load = StrongLoad(self.cluster, self.history, LOAD)
        self.cluster.start()
        self.cluster.wait(self.votes, LEARNED_S, "everybody votes")
        self.load.start()
        self.run(0.5)

    def run(self, seconds: float) -> None:
        self.cluster.run(seconds)

    def votes(self) -> bool:
        """Whether no running member has anything to learn."""
        return all(process.node.strong.settled for process in self.cluster.running_members)

    def settle(self) -> None:
        self.cluster.wait_stable(60.0)
        self.cluster.wait(self.votes, LEARNED_S, "everybody votes")

    def counters(self, name: str) -> int:
        """Sum of a counter over the running nodes."""
        return sum(process.node.strong.counters()[name] for process in self.cluster.running)

    def judge(self, success: float = 0.9) -> None:
        """End the load, read everything everywhere, and have it judged."""
        self.settle()
        self.run(0.5)
        self.load.pause()
        self.cluster.wait(lambda: self.load.open == 0, 20.0, "every operation has ended")
        for process in self.cluster.running_members:
            self.load.read_all(str(process.node_id))
        found = judge_strong(self.history.by_key())
        assert not found.violations, found.violations
        assert found.inconclusive == 0
        done = sum(operation.result is Result.OK for operation in self.history)
        assert done >= success * len(self.history), (done, len(self.history))


def quiet(seed: int) -> Story:
    story = Story(seed)
    story.run(2.0)
    assert story.counters("strong_one_round") > 0
    assert story.counters("strong_rounds") > 0
    return story


def crashes(seed: int) -> Story:
    """kill -9 of one node after another, each back with its disk: nobody has anything to learn."""
    story = Story(seed)
    for _round in range(3):
        name = story.rng.choice(["n1", "n2", "n3"])
        story.cluster.crash(name)
        story.run(story.rng.uniform(0.2, 2.0))
        story.cluster.restart(name)
        story.run(story.rng.uniform(0.5, 1.5))
    assert story.counters("strong_slots_learned") == 0
    return story


def wiped(seed: int) -> Story:
    """A node comes back on an empty disk: it must not vote before it has learned."""
    story = Story(seed)
    for name in ("n2", "n1"):
        story.cluster.crash(name)
        story.run(story.rng.uniform(0.1, 1.0))
        story.cluster.restart(name, wiped=True)
        story.run(story.rng.uniform(0.1, 0.5))
        story.settle()
    assert story.counters("strong_slots_learned") > 0
    return story


def wiped_beside_one_that_lags(seed: int) -> Story:
    """One owner has missed writes, another has forgotten them: these two are no majority."""
    story = Story(seed)
    story.cluster.crash("n3")
    story.run(1.0)
    story.cluster.restart("n2", wiped=True)
    story.cluster.crash("n1")
    story.cluster.restart("n3")
    story.run(4.0)
    assert story.cluster.node("n2").strong.replica.refused_learning > 0
    story.cluster.restart("n1")
    return story


def join_and_leave(seed: int) -> Story:
    story = Story(seed)
    story.cluster.add()
    story.cluster.wait(lambda: len(story.cluster.members()) == 4, 30.0, "n4 is a member")
    name = story.rng.choice(["n1", "n2", "n3", "n4"])
    story.cluster.leave(name)
    gone = story.cluster.process(name)
    story.cluster.wait(lambda: not gone.running, 30.0, f"{name} has left")
    return story


def crash_while_joining(seed: int) -> Story:
    story = Story(seed, 4)
    story.cluster.add()
    story.cluster.wait(lambda: story.cluster.topology().joint, 10.0, "joint")
    name = story.rng.choice(["n1", "n2", "n3", "n4"])
    story.cluster.crash(name)
    story.run(story.rng.uniform(0.2, 1.5))
    story.cluster.restart(name, wiped=story.rng.random() < 0.5)
    story.cluster.wait(lambda: "n5" in story.cluster.members(), 60.0, "n5 is a member")
    return story


def cuts(seed: int) -> Story:
    """One node is cut off, with a word or without, one way or both, for a few seconds at a time."""
    story = Story(seed)
    for _round in range(2):
        name = story.rng.choice(["n1", "n2", "n3"])
        others = [other for other in ("n1", "n2", "n3") if other != name]
        abrupt, both = story.rng.random() < 0.5, story.rng.random() < 0.6
        story.cluster.cut([name], others, abrupt=abrupt, both=both)
        story.run(story.rng.uniform(0.5, 4.0))
        story.cluster.heal()
        story.run(1.0)
    return story


def everybody_dies(seed: int) -> Story:
    """kill -9 of all: what was acknowledged was written down before."""
    story = Story(seed)
    for name in ("n1", "n2", "n3"):
        story.cluster.crash(name)
        story.run(story.rng.uniform(0.0, 0.3))
    for name in ("n1", "n2", "n3"):
        story.cluster.restart(name)
        story.run(story.rng.uniform(0.0, 1.0))
    story.settle()
    assert story.counters("strong_slots_learned") == 0
    return story


def removed_and_back(seed: int) -> Story:
    """A node is removed for being dead, and joins anew on its old disk."""
    story = Story(seed, 4)
    story.cluster.crash("n2")
    story.cluster.wait(lambda: "n2" not in story.cluster.members(), 60.0, "n2 is removed")
    story.cluster.restart("n2")
    story.cluster.wait(lambda: "n2" in story.cluster.members(), 60.0, "n2 has joined anew")
    return story


def pauses(seed: int) -> Story:
    """A stopped process that goes on acknowledges nothing from before."""
    story = Story(seed)
    for _round in range(2):
        process = story.cluster.process(story.rng.choice(["n1", "n2", "n3"]))
        process.pause()
        story.run(story.rng.uniform(0.5, 3.0))
        process.resume()
        story.run(1.0)
    return story


STORIES: list[tuple[Callable[[int], Story], float]] = [
    (quiet, 0.99),
    (crashes, 0.7),
    (wiped, 0.7),
    (wiped_beside_one_that_lags, 0.2),
    (join_and_leave, 0.85),
    (crash_while_joining, 0.6),
    (cuts, 0.4),
    (pauses, 0.5),
    (everybody_dies, 0.5),
    (removed_and_back, 0.5),
]


QUICK = (quiet, cuts)


@pytest.mark.parametrize(("story", "success"), [entry for entry in STORIES if entry[0] in QUICK])
def test_histories_are_linearizable(story: Callable[[int], Story], success: float) -> None:
    story(1).judge(success)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("story", "success"), [entry for entry in STORIES if entry[0] not in QUICK]
)
def test_long_histories_are_linearizable(story: Callable[[int], Story], success: float) -> None:
    story(1).judge(success)


@pytest.mark.swarm
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 103))
@pytest.mark.parametrize(("story", "success"), STORIES)
def test_histories_over_seeds(story: Callable[[int], Story], success: float, seed: int) -> None:
    story(seed).judge(0.5 * success)


def test_founders_that_die_before_they_vote_have_lost_nothing() -> None:
    """Two of three owners, back on their disks, are no majority of forgetful ones: all vote soon."""
    world = World(7, None)
    cluster = SimCluster(world, ClusterOptions(nodes=3))
    cluster.cut(["n1"], ["n2"])
    cluster.start()
    n3 = cluster.node("n3").strong
    cluster.wait(lambda: n3.settled, 5.0, "n3 votes")
    for name in ("n1", "n2"):
        assert cluster.node(name).strong.founding.undecided
        cluster.restart(name)
    cluster.heal()
    running = cluster.running_members
    cluster.wait(lambda: all(p.node.strong.settled for p in running), LEARNED_S, "everybody votes")
    assert not any(p.node.strong.counters()["strong_slots_learned"] for p in running)
