"""What is dead goes: expired values are buried, tombstones that all hold are forgotten."""

from __future__ import annotations

from nodecore.requests import Applied, Change
from nodecore.strong.collection import COLLECT_AFTER_S, Collection
from nodecore.strong.operations import read, update, write
from nodecore.strong.record import Record
from tests.nodecore.strong.cluster import StrongCluster, routing_of

KEY = b"strong:k"
DELETE = update(Change.DELETE, (), 0)


class Sweeping(StrongCluster):
    """Each node sweeps its own slots."""

    def __init__(self) -> None:
        super().__init__(1)
        self.sweeps = {}
        for name, peer in self.peers.items():
            acceptors = peer.acceptors
            sweep = Collection(acceptors.registers, peer.rounds, acceptors.slot)
            sweep.on_topology(routing_of(peer.name, len(self.names)))
            self.sweeps[name] = sweep

    def sweep(self) -> None:
        for name, sweep in self.sweeps.items():
            sweep.tick(self.now)
            self.peers[name].rounds.flush(self.now)
        self.run()

    def records(self) -> list[Record | None]:
        return [
            peer.acceptors.registers.record(KEY, peer.acceptors.slot(KEY))
            for peer in self.peers.values()
        ]

    def counts(self) -> list[int]:
        return [peer.acceptors.registers.count for peer in self.peers.values()]


def test_a_tombstone_that_all_hold_is_forgotten_and_the_key_can_be_used_again() -> None:
    cluster = Sweeping()
    cluster.start("n1", KEY, write(b"v", 0, 0))
    cluster.run()
    cluster.start("n2", KEY, DELETE)
    cluster.run()
    cluster.sweep()
    assert cluster.counts() == [1, 1, 1], "not before its time"
    cluster.run(COLLECT_AFTER_S)
    cluster.sweep()
    assert cluster.counts() == [0, 0, 0]
    assert all(len(peer.acceptors.registers.floors) == 1 for peer in cluster.peers.values())
    results = cluster.start("n3", KEY, write(b"again", 0, 0))
    cluster.run()
    found = cluster.start("n1", KEY, read())
    cluster.run()
    assert results
    assert found[0] is not None


def test_a_tombstone_stays_while_an_owner_is_away() -> None:
    cluster = Sweeping()
    cluster.start("n1", KEY, write(b"v", 0, 0))
    cluster.run()
    cluster.dead["n3"] = None
    deleted = cluster.start("n1", KEY, DELETE)
    cluster.run(COLLECT_AFTER_S)
    assert isinstance(deleted[0], Applied)
    cluster.sweep()
    assert cluster.counts() == [1, 1, 1]
    cluster.dead.clear()
    cluster.run(COLLECT_AFTER_S)
    cluster.sweep()
    assert cluster.counts() == [0, 0, 0], "the round before it reached who had been away"


def test_a_tombstone_that_was_forgotten_by_all_but_one_goes_too() -> None:
    cluster = Sweeping()
    cluster.start("n1", KEY, write(b"v", 0, 0))
    cluster.run()
    cluster.start("n1", KEY, DELETE)
    cluster.run()
    cluster.run(COLLECT_AFTER_S)
    slot = cluster.peers["n1"].acceptors.slot(KEY)
    first = routing_of(cluster.peers["n1"].name, 3).route(KEY, slot).owners[0]
    last = next(name for name in cluster.names if name != first)
    registers = cluster.peers[last].acceptors.registers
    held = registers.get(KEY, slot)
    assert held is not None
    cluster.sweep()
    assert cluster.counts() == [0, 0, 0]
    registers.put(KEY, slot, held, cluster.now, None)
    for _sweep in range(100):
        cluster.run(COLLECT_AFTER_S)
        cluster.sweep()
    assert cluster.counts() == [0, 0, 0]


def test_who_sees_an_expiry_first_writes_a_tombstone_before_it_answers() -> None:
    cluster = Sweeping()
    cluster.start("n1", KEY, write(b"v", cluster.now.wall_ms + 5_000, 0))
    cluster.run()
    found = cluster.start("n2", KEY, read())
    cluster.run(3.0)
    assert found[0] is not None
    missing = cluster.start("n2", KEY, read())
    cluster.run()
    assert missing == [None]
    dead = [record is not None and record.dead for record in cluster.records()]
    assert sum(dead) >= 2


def test_the_sweep_buries_what_nobody_reads() -> None:
    cluster = Sweeping()
    cluster.start("n1", KEY, write(b"v", cluster.now.wall_ms + 1_000, 0))
    cluster.run()
    cluster.sweep()
    assert all(record is not None and record.dead for record in cluster.records())
