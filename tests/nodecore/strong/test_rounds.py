"""Rounds among three acceptors on a bad network: nothing is lost, nothing happens twice."""

from __future__ import annotations

import pytest

from nodecore.ids import Version
from nodecore.requests import Applied, Change, Failed, Unknown, Value
from nodecore.strong.operations import read, update, write
from tests.nodecore.strong.cluster import TIMEOUT_S, StrongCluster

KEY = b"strong:k"
INCREMENT = update(Change.INCREMENT, (1,), 0)


def value_at(cluster: StrongCluster, name: str) -> bytes | None:
    cluster.loss = 0.0
    results = cluster.start(name, KEY, read())
    cluster.run()
    (found,) = results
    assert found is None or isinstance(found, Value), found
    return None if found is None else found.value


def test_a_read_of_what_all_agree_on_takes_one_round_and_promises_nothing() -> None:
    cluster = StrongCluster(1)
    cluster.start("n1", KEY, write(b"v", 0, 0))
    cluster.run()
    rounds = cluster.peers["n2"].rounds
    assert value_at(cluster, "n2") == b"v"
    assert rounds.counters["strong_rounds"] == 0
    assert rounds.counters["strong_one_round"] == 1


def test_what_changes_nothing_writes_nothing() -> None:
    cluster = StrongCluster(1)
    delete = cluster.start("n1", KEY, update(Change.DELETE, (), 0))
    swap = cluster.start("n2", KEY, update(Change.COMPARE_AND_SET, (7, 7, b"v", 0), 0))
    cluster.run()
    assert [result.number for result in (*delete, *swap) if isinstance(result, Applied)] == [0, 0]
    assert not any(peer.acceptors.registers.count for peer in cluster.peers.values())


def test_operations_that_wait_for_a_key_share_a_round_and_see_each_other() -> None:
    cluster = StrongCluster(1)
    first = cluster.start("n1", KEY, write(b"0", 0, 0))
    waiting = [cluster.start("n1", KEY, INCREMENT) for _number in range(10)]
    cluster.run()
    assert isinstance(first[0], Version)
    numbers = [result.number for (result,) in waiting if isinstance(result, Applied)]
    assert numbers == list(range(1, 11))
    versions = [result.version for (result,) in waiting if isinstance(result, Applied)]
    assert versions == sorted(set(versions)), "each change has a version of its own"
    assert cluster.peers["n1"].rounds.counters["strong_rounds"] == 2


def test_versions_rise_and_make_compare_and_set_work() -> None:
    cluster = StrongCluster(1)
    (version,) = cluster.start("n1", KEY, write(b"a", 0, 0)) or [None]
    results = cluster.start("n1", KEY, read())
    cluster.run()
    assert isinstance(results[0], Value)
    version = results[0].version
    swaps = [
        cluster.start(name, KEY, update(Change.COMPARE_AND_SET, (*version, name.encode(), 0), 0))
        for name in cluster.names
    ]
    cluster.run()
    done = [result.number for (result,) in swaps if isinstance(result, Applied)]
    assert sorted(done) == [0, 0, 1]
    assert value_at(cluster, "n3") == cluster.names[done.index(1)].encode()


@pytest.mark.parametrize("seed", range(40))
def test_counters_count_every_acknowledged_increment_once(seed: int) -> None:
    """Rivals at every node, a tenth of the messages lost, the others late and out of order."""
    cluster = StrongCluster(seed, loss=0.1)
    started: list[list[object]] = []
    for _number in range(12):
        name = cluster.rng.choice(cluster.names)
        started.append(cluster.start(name, KEY, INCREMENT))
        cluster.run(cluster.rng.choice([0.0, 0.005, 0.1]))
    cluster.run(2 * TIMEOUT_S)
    assert all(len(results) == 1 for results in started), "every operation ends in its time"
    outcomes = [results[0] for results in started]
    numbers = [outcome.number for outcome in outcomes if isinstance(outcome, Applied)]
    unknown = sum(isinstance(outcome, Unknown) for outcome in outcomes)
    assert len(set(numbers)) == len(numbers), "two increments were told the same number"
    total = int(value_at(cluster, "n2") or b"0")
    assert len(numbers) <= total <= len(numbers) + unknown
    assert max(numbers, default=0) <= total


def test_a_majority_is_enough_and_a_minority_fails_in_time() -> None:
    cluster = StrongCluster(1)
    cluster.dead["n3"] = None
    results = cluster.start("n1", KEY, write(b"v", 0, 0))
    cluster.run(0.5)
    assert isinstance(results[0], Version)
    cluster.dead["n2"] = None
    began_s = cluster.now_s
    read_results = cluster.start("n1", KEY, read())
    changes = cluster.start("n1", KEY, INCREMENT)
    cluster.run(TIMEOUT_S + 0.001)
    assert isinstance(read_results[0], Failed)
    assert isinstance(changes[0], Failed), "no Accept ever left, so it certainly did not happen"
    assert cluster.now_s - began_s <= TIMEOUT_S + 0.01


def test_who_lost_the_answers_to_its_accept_says_unknown() -> None:
    cluster = StrongCluster(1)
    results = cluster.start("n1", KEY, INCREMENT)
    while not results:
        cluster.run(0.001)
        key_round = cluster.peers["n1"].rounds
        if any(peer.acceptors.registers.count for peer in cluster.peers.values()):
            stage = key_round.stage_of(KEY)
            if stage == "accepting":
                cluster.dead.update({"n2": None, "n3": None})
                break
    cluster.run(TIMEOUT_S + 0.1)
    assert isinstance(results[0], Unknown)


def test_a_node_that_may_not_vote_neither_promises_nor_looks() -> None:
    cluster = StrongCluster(1)
    cluster.start("n1", KEY, write(b"v", 0, 0))
    cluster.run()
    cluster.peers["n3"].votes = False
    cluster.dead["n2"] = None
    assert isinstance(cluster.start("n1", KEY, INCREMENT), list)
    results = cluster.start("n3", KEY, read())
    cluster.run(TIMEOUT_S + 0.1)
    assert isinstance(results[0], Failed), "one of three votes is no majority"
