"""Clusters of real processes that lose their majority for good, and nodes that come back."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.e2e.harness import Cluster, cluster, wait_until

pytestmark = pytest.mark.slow

KEYS = 300


def fill(client: redis.Redis) -> dict[bytes, bytes]:
    written = {b"key:%d" % number: b"value:%d" % number for number in range(KEYS)}
    pipe = client.pipeline(transaction=False)
    for key, value in written.items():
        pipe.set(key, value)
    assert all(pipe.execute())
    return written


def absent(client: redis.Redis, written: dict[bytes, bytes]) -> list[bytes]:
    found: Any = client.mget(list(written))
    return [key for key, value in zip(written, found, strict=True) if value != written[key]]


def kill(ring: Cluster, *names: str) -> None:
    """SIGKILL, as no command of ours does it: nothing is noted, nothing is said."""
    for name in names:
        os.kill(ring.member(name)["pid"], signal.SIGKILL)


def is_settled(ring: Cluster, count: int) -> bool:
    status = ring.status()
    members = status["members"]
    return (
        status["state"] == "stable"
        and len(members) == count
        and all(member["status"] == "alive" for member in members)
    )


def test_survivors_found_a_new_generation(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as ring:
        name = ("--name", ring.name)
        survivor = ring.status()["members"][0]
        with ring.redis(survivor["resp"]) as client:
            written = fill(client)
            early = ring.run("cluster", "recover", "--accept-loss", *name)
            assert early.code == 1
            assert "a majority of the voters is reachable (n1, n2, n3 of n1, n2, n3)" in early.err
            kill(ring, "n2", "n3")
            told = ring.run("cluster", "recover", "--json", *name)
            assert told.code == 2, told.err
            assert "--accept-loss" in told.err
            assert "n2, n3" in told.err
            assert told.json["members_lost"] == ["n2", "n3"]
            assert told.json["keyspaces"][0]["slots_lost"] == 0
            stranger = ring.run("cluster", "recover", "--accept-loss", "--keep", "n2", *name)
            assert stranger.code == 2
            assert "--keep n2" in stranger.err
            done = ring.ok("cluster", "recover", "--accept-loss", "--json").json
            assert (done["generation"], done["members"]) == (1, ["n1"])
            assert absent(client, written) == []
            assert [member["id"] for member in ring.status()["members"]] == ["n1"]
            assert ring.ok("cluster", "add", "--count", "2", "--json").json == {
                "added": ["n4", "n5"]
            }
            client.set(b"after", b"1")
        status = ring.status()
        assert all(m["slots_primary"] + m["slots_replica"] == 16_384 for m in status["members"])
        with ring.redis(status["members"][2]["resp"]) as added:
            wait_until(lambda: absent(added, written) == [], "n5 holds every key")
        # A node of the former life comes back with its old document and begins anew.
        ring.ok("chaos", "restart", "n2")
        wait_until(lambda: is_settled(ring, 4), "n2 is a member of the new life")
        with ring.redis(survivor["resp"]) as client:
            assert absent(client, written) == []
            assert client.get(b"after") == b"1"


def test_recovery_needs_somebody_to_go_on(tmp_path: Path) -> None:
    with cluster(tmp_path, 2) as ring:
        kill(ring, "n1", "n2")
        wait_until(lambda: not ring.pids(), "the processes end")
        done = ring.run("cluster", "recover", "--accept-loss", "--name", ring.name)
        assert done.code == 3
        assert "at least one survivor must run" in done.err
        assert ring.run("cluster", "recover", "--name", "nothing").code == 3


def test_paused_nodes_are_not_lost(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as ring:
        ring.ok("chaos", "pause", "n2", "n3")
        done = ring.run("cluster", "recover", "--accept-loss", "--name", ring.name)
        assert done.code == 1
        assert "ringdeck chaos resume n2 n3" in done.err


def test_a_removed_node_comes_back_as_a_new_member(tmp_path: Path) -> None:
    with cluster(tmp_path, 4, "--set", "down_grace_s=1") as ring:
        first = ring.status()["members"][0]
        with ring.redis(first["resp"]) as client:
            written = fill(client)
            ring.ok("chaos", "kill", "n2")
            wait_until(lambda: is_settled(ring, 3), "n2 is removed", 30)
            ring.ok("chaos", "heal")
            wait_until(lambda: is_settled(ring, 4), "n2 has joined anew", 30)
            assert absent(client, written) == []
        with ring.redis(ring.member("n2")["resp"]) as returned:
            wait_until(lambda: absent(returned, written) == [], "n2 serves every key")


def test_a_node_joins_while_another_is_down(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as ring:
        with ring.redis(ring.status()["members"][0]["resp"]) as client:
            written = fill(client)
            ring.ok("chaos", "kill", "n2")
            assert ring.ok("cluster", "add", "--json").json == {"added": ["n4"]}
            assert absent(client, written) == []
        joined = ring.member("n4")
        assert joined["status"] == "alive"
        assert joined["slots_primary"] > 0
        ring.ok("chaos", "heal")
        wait_until(lambda: is_settled(ring, 4), "n2 is back")


def test_removal_is_refused_with_a_reason(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as ring:
        name = ("--name", ring.name)
        stranger = ring.run("cluster", "remove", "n9", *name)
        assert stranger.code == 2
        assert "members: n1, n2, n3" in stranger.err
        few = ring.run("cluster", "remove", "n3", *name)
        assert few.code == 1
        assert "2 members would remain, 3 copies are wanted" in few.err
        ring.ok("chaos", "kill", "n3")
        forced = ring.ok("cluster", "remove", "n3", "--force", "--json").json
        assert forced == {"removed": "n3", "how": "removed"}
        ring.ok("chaos", "pause", "n2")
        ring.ok("cluster", "remove", "n2", "--force")
        wait_until(lambda: len(ring.pids()) == 1, "the paused process is ended")
        last = ring.run("cluster", "remove", "n1", "--force", *name)
        assert last.code == 1
        assert "last member" in last.err


def test_without_a_majority_nobody_is_removed(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as ring:
        kill(ring, "n2", "n3")
        done = ring.run("cluster", "remove", "n2", "--force", "--name", ring.name)
        assert done.code == 1
        assert "no majority of the voters is reachable" in done.err
        assert "n2, n3" in done.err
