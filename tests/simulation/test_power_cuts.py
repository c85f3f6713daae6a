"""What keyspaces promise of disks is kept: through kills and losses of power, damage and full disks."""

from __future__ import annotations

import os
import random

import pytest

from nodecore.requests import Done, Outcome, Read, Value, Write
from nodecore.simulation.cluster import ClusterOptions, SimCluster
from nodecore.simulation.world import World
from nodecore.storage.disk import Area

CUTS = int(os.environ.get("RINGDECK_POWER_CUTS", "200"))
CUTS_PER_WORLD = 20
CLUSTER_EVERY = 10
"""One world in so many has three nodes, which takes ten times as long to bring back. A node of its own
is the harder case: no other copy makes up for what its disk has lost."""
MIB = 1 << 20


def cluster(seed: int, nodes: int = 3, durability: str = "process") -> SimCluster:
    """Nodes with disks whose default keyspace promises ``durability``."""
    settings = {"data_dir": "disk", "maxmemory_bytes": MIB, "disk_bytes_max": 16 * MIB}
    made = SimCluster(World(seed), ClusterOptions(nodes=nodes, settings=settings))
    made.start()
    if durability != "memory":
        done = made.admin("n1", "keyspace.set", {"pattern": "*", "durability": durability})
        made.wait(lambda: bool(done), 20.0, "the keyspace is set")
        assert isinstance(done[0], Done), done
        made.wait_stable()
    return made


class Load:
    """Unique values for few keys; remembers the last acknowledged one, and what came after it."""

    def __init__(self, made: SimCluster, seed: int) -> None:
        self.made = made
        self.rng = random.Random(seed)
        self.acknowledged: dict[bytes, bytes] = {}
        self.possible: dict[bytes, list[bytes]] = {}
        self.writes = 0

    def write(self) -> None:
        name = self.rng.choice(self.made.names())
        key = b"k%d" % self.rng.randrange(40)
        self.writes += 1
        value = b"%d" % self.writes
        self.possible.setdefault(key, []).append(value)

        def settled(outcome: Outcome) -> None:
            if (
                isinstance(outcome, Done)
                and outcome.copies >= min(2, len(self.made.processes))
                and self.possible[key][-1] == value
            ):
                self.acknowledged[key] = value
                self.possible[key] = [value]

        self.made.submit(name, Write((key,), (value,)), settled)

    def check(self) -> None:
        """Nothing older than what was acknowledged is read, anywhere."""
        keys = tuple(self.acknowledged)
        for name in self.made.names():
            for key, found in zip(keys, read_all(self.made, name, keys), strict=True):
                value = self.acknowledged[key]
                assert found in [value, *self.possible[key]], (name, key, found, value)


def read_all(made: SimCluster, name: str, keys: tuple[bytes, ...]) -> list[bytes | None]:
    outcomes: list[Outcome] = []
    made.submit(name, Read(keys), outcomes.append)
    made.wait(lambda: bool(outcomes), 10.0, "a read ends")
    outcome = outcomes[0]
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.result, list)
    values: list[bytes | None] = []
    for found in outcome.result:
        assert found is None or isinstance(found, Value), found
        values.append(None if found is None else found.value)
    return values


def read(made: SimCluster, name: str, key: bytes) -> bytes | None:
    return read_all(made, name, (key,))[0]


def come_back(made: SimCluster) -> None:
    for process in made.processes.values():
        if not process.running:
            process.start()
    made.wait(made.all_ready, 60.0, "all are back")


@pytest.mark.slow
@pytest.mark.timeout(120 + 20 * CUTS_PER_WORLD)
@pytest.mark.parametrize("seed", range(max(1, CUTS // CUTS_PER_WORLD)))
def test_power_is_cut_and_no_acknowledged_write_is_lost(seed: int) -> None:
    made = cluster(seed, nodes=1 if seed % CLUSTER_EVERY else 3, durability="power")
    load = Load(made, seed)
    for _cut in range(min(CUTS, CUTS_PER_WORLD)):
        for _ in range(load.rng.randrange(5, 40)):
            load.write()
            made.run(load.rng.uniform(0, 0.01))
        made.cut_power()
        come_back(made)
        load.check()
    assert len(load.acknowledged) > 10


def test_a_power_cut_loses_what_only_promised_to_survive_a_kill() -> None:
    """The counterpart: the cut really cuts."""
    made = cluster(3, nodes=1, durability="process")
    load = Load(made, 3)
    outcomes: list[Outcome] = []
    made.submit("n1", Write((b"k",), (b"v",)), outcomes.append)
    made.run(0.5)
    assert isinstance(outcomes[0], Done)
    made.cut_power()
    come_back(made)
    assert read(made, "n1", b"k") is None
    assert load.writes == 0


@pytest.mark.parametrize("seed", range(3))
def test_all_nodes_are_killed_at_once_and_no_acknowledged_write_is_lost(seed: int) -> None:
    made = cluster(seed, durability="process")
    load = Load(made, seed)
    for _kill in range(4):
        for _ in range(load.rng.randrange(5, 40)):
            load.write()
            made.run(load.rng.uniform(0, 0.01))
        for name in made.names():
            made.crash(name)
        come_back(made)
        load.check()
    assert len(load.acknowledged) > 5


@pytest.mark.parametrize("pattern", ["strong:*", "strong:careful:*"])
def test_strong_keys_outlive_power_once_that_is_promised(pattern: str) -> None:
    """Those that were there before it was promised, and those of others, too; nobody has to learn."""
    made = cluster(3, durability="memory")

    def votes() -> bool:
        return all(process.node.strong.settled for process in made.running_members)

    made.wait(votes, 30.0, "everybody votes")
    keys = tuple(b"strong:%d" % number for number in range(30))
    done = write_each(made, keys[:15])
    set_ = made.admin("n1", "keyspace.set", {"pattern": pattern, "durability": "power"})
    made.run(2.0)
    assert isinstance(set_[0], Done)
    done += write_each(made, keys[15:])
    assert done == [True] * len(keys)
    made.cut_power()
    come_back(made)
    assert votes()
    assert read_all(made, "n2", keys) == list(keys)


def test_strong_keys_are_not_believed_after_a_cut_that_they_did_not_promise_to_survive() -> None:
    made = cluster(4, durability="memory")
    made.run(5.0)
    assert write_each(made, (b"strong:k",)) == [True]
    made.cut_power()
    come_back(made)
    assert all(process.node.strong.learning.lacking for process in made.running_members)


def test_nodes_killed_between_a_document_and_what_follows_from_it_go_on_voting() -> None:
    """All of them at once: the newer document is kept, the judgement of the slots is of the one before."""
    made = cluster(5, durability="memory")
    made.run(5.0)
    keys = tuple(b"strong:%d" % number for number in range(10))
    assert write_each(made, keys) == [True] * len(keys)
    before = [process.disk.load()["strong"] for process in made.processes.values()]
    done = made.admin("n1", "keyspace.set", {"pattern": "other:*", "ttl_ms": 1_000})
    made.run(1.0)
    assert isinstance(done[0], Done)
    for process, record in zip(made.processes.values(), before, strict=True):
        process.crash()
        process.disk.save("strong", record)
    come_back(made)
    assert all(process.node.strong.settled for process in made.running_members)
    assert read_all(made, "n3", keys) == list(keys)


def write_each(made: SimCluster, keys: tuple[bytes, ...]) -> list[bool]:
    outcomes: list[Outcome] = []
    for key in keys:
        made.submit("n1", Write((key,), (key,)), outcomes.append)
    made.wait(lambda: len(outcomes) == len(keys), 10.0, "every write ends")
    return [isinstance(outcome, Done) for outcome in outcomes]


def test_a_write_of_durability_power_waits_for_its_disks() -> None:
    made = cluster(1, durability="power")
    for process in made.processes.values():
        process.disk.fsync_s = 0.4
    outcomes: list[Outcome] = []
    made.submit("n1", Write((b"k",), (b"v",)), outcomes.append)
    made.run(0.3)
    assert outcomes == []
    made.wait(lambda: bool(outcomes), 3.0, "the write ends")
    assert isinstance(outcomes[0], Done)


def test_a_disk_that_never_flushes_ends_in_an_unknown_outcome() -> None:
    made = cluster(1, nodes=1, durability="power")
    made.process("n1").disk.fsync_s = 60.0
    outcomes: list[Outcome] = []
    made.submit("n1", Write((b"k",), (b"v",)), outcomes.append)
    made.wait(lambda: bool(outcomes), 10.0, "the write ends")
    assert not isinstance(outcomes[0], Done)


def test_a_full_disk_stops_a_node_that_has_promised() -> None:
    made = cluster(2, durability="process")
    made.process("n2").disk.refuses = "no space left on device"
    for number in range(40):
        made.submit("n1", Write((b"k%d" % number,), (b"v",)), lambda _outcome: None)
    made.run(1.0)
    stopped = made.process("n2").stopped
    assert stopped is not None
    assert stopped.exit_code == 1
    assert "no space" in stopped.reason


def test_a_flush_that_fails_stops_its_node_and_acknowledges_nothing() -> None:
    made = cluster(4, nodes=1, durability="power")
    outcomes: list[Outcome] = []
    made.submit("n1", Write((b"k",), (b"before",)), outcomes.append)
    made.wait(lambda: bool(outcomes), 3.0, "the first write ends")
    made.process("n1").disk.fsync_fails = "fsync: input/output error"
    made.submit("n1", Write((b"k",), (b"after",)), outcomes.append)
    made.run(1.0)
    stopped = made.process("n1").stopped
    assert stopped is not None
    assert (stopped.exit_code, stopped.reason) == (1, "fsync: input/output error")
    assert not any(isinstance(outcome, Done) for outcome in outcomes[1:])
    made.process("n1").disk.fsync_fails = ""
    come_back(made)
    assert read(made, "n1", b"k") == b"before"


def test_torn_records_are_never_served() -> None:
    made = cluster(9, durability="power")
    load = Load(made, 9)
    victim = made.process("n2")
    # Its flushes are slow, so that many records are on their way when it dies.
    victim.disk.tears, victim.disk.fsync_s = 1.0, 0.1
    for _cut in range(3):
        for _ in range(30):
            load.write()
            made.run(0.004)
        victim.crash()
        made.run(0.5)
        come_back(made)
        load.check()
    upkeep = made.node("n2").disk_upkeep
    assert upkeep is not None
    assert upkeep.statistics().counters["checksum_failures"] > 0


def test_damaged_records_are_repaired_by_the_other_owners() -> None:
    made = cluster(5, durability="process")
    values = {b"k%d" % number: b"v%d" % number * 20 for number in range(120)}
    for key, value in values.items():
        made.submit("n1", Write((key,), (value,)), lambda _outcome: None)
    made.run(2.0)
    for name in made.names():
        made.crash(name)
    victim = made.process("n2")
    for _ in range(60):
        assert victim.disk.damage(Area.CACHE) is not None
    come_back(made)
    for name in made.names():
        assert read_all(made, name, tuple(values)) == list(values.values())
    tier = made.node("n2").disk_upkeep
    assert tier is not None
    assert tier.statistics().counters["checksum_failures"] > 20
    made.run(5.0)
    held = [made.node(name).store.statistics().keys for name in made.names()]
    assert held == [len(values)] * 3


def test_a_disk_that_cannot_be_read_makes_no_key_missing() -> None:
    made = cluster(6, durability="memory")
    values = {b"k%d" % number: b"v" * 3_000 for number in range(700)}
    for number, (key, value) in enumerate(values.items()):
        made.submit("n1", Write((key,), (value,)), lambda _outcome: None)
        if number % 20 == 0:
            made.run(0.1)
    made.run(2.0)
    upkeep = made.node("n1").disk_upkeep
    assert upkeep is not None
    assert upkeep.statistics().keys_cold > 100
    made.process("n1").disk.unreadable = 0.5
    found = read_all(made, "n1", tuple(values)[:80])
    assert found == [b"v" * 3_000] * 80
