"""Clusters of real processes, driven through the command line."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.e2e.harness import Cluster, cluster, wait_until

pytestmark = pytest.mark.slow

KEYS = 300
DOORS = ("resp", "http", "native")
MEMBER_FIELDS = {
    "id", "pid", "status", "slots_primary", "slots_replica", "keys", "memory_bytes", "ops_per_s",
    *DOORS,
}  # fmt: skip
"""What scripts read; more or fewer would break them."""


def fill(client: redis.Redis) -> dict[bytes, bytes]:
    written = {b"key:%d" % number: b"value:%d" % number for number in range(KEYS)}
    pipe = client.pipeline(transaction=False)
    for key, value in written.items():
        pipe.set(key, value)
    assert all(pipe.execute())
    return written


def absent(client: redis.Redis, written: dict[bytes, bytes]) -> list[bytes]:
    """Keys that a node does not find."""
    found: Any = client.mget(list(written))
    return [key for key, value in zip(written, found, strict=True) if value != written[key]]


def all_say(ring: Cluster, doors: list[str]) -> bool:
    """Whether the HTTP doors and the command line tell one status."""
    told = [ring.status()]
    for door in doors:
        with urllib.request.urlopen(f"http://{door}/admin/cluster/status", timeout=5) as reply:
            told.append(json.load(reply))
    assert all(member["pid"] for status in told for member in status["members"])
    return all(status == told[0] for status in told)


def test_start_status_stop(tmp_path: Path) -> None:
    with cluster(tmp_path, 0) as ring:
        nodes = ring.start(3)
        assert [node["id"] for node in nodes] == ["n1", "n2", "n3"]
        assert set(ring.started) == {"name", "cluster_id", "gateway", "nodes"}
        assert (ring.started["name"], ring.started["gateway"]) == (ring.name, None)
        assert all(set(node) == {"id", "pid", *DOORS} for node in nodes)
        assert sorted(node["pid"] for node in nodes) == sorted(ring.pids())
        again = ring.run("cluster", "start", "--name", ring.name)
        assert again.code == 2
        assert "is running" in again.err
        status = ring.status()
        assert set(status) == {"epoch", "state", "members"}
        assert status["state"] == "stable"
        assert all(set(member) == MEMBER_FIELDS for member in status["members"])
        assert [member["status"] for member in status["members"]] == ["alive"] * 3
        assert sum(member["slots_primary"] for member in status["members"]) == 16_384
        with urllib.request.urlopen(f"http://{nodes[0]['http']}/health/ready", timeout=5) as reply:
            assert reply.status == 200
        with ring.redis(nodes[0]["resp"]) as first, ring.redis(nodes[2]["resp"]) as third:
            written = fill(first)
            assert absent(third, written) == []
        wait_until(lambda: all_say(ring, [node["http"] for node in nodes]), "one status everywhere")
        assert ring.run("cluster", "stop", "--name", ring.name).code == 0
        assert ring.pids() == []
        assert ring.run("cluster", "status", "--name", ring.name).code == 3


def test_a_killed_node_is_noticed_and_nothing_is_lost(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as ring:
        nodes = ring.status()["members"]
        with ring.redis(nodes[0]["resp"]) as client:
            written = fill(client)
            ring.ok("chaos", "kill", "n3")
            assert absent(client, written) == []
            wait_until(lambda: ring.member("n3")["status"] in ("suspect", "failed"), "n3 noticed")
            assert ring.member("n3")["pid"] is None
            client.set(b"while down", b"1")
            ring.ok("chaos", "restart", "n3")
            wait_until(lambda: ring.member("n3")["status"] == "alive", "n3 back")
        with ring.redis(nodes[2]["resp"]) as returned:
            wait_until(lambda: absent(returned, written) == [], "n3 serves every key")
            assert returned.get(b"while down") == b"1"


def test_nodes_join_and_leave_under_load(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as ring:
        address = ring.status()["members"][0]["resp"]
        with ring.redis(address) as client:
            written = fill(client)
            stop = threading.Event()
            failures: list[str] = []
            rounds = [0]

            def load() -> None:
                with ring.redis(address) as mine:
                    while not stop.is_set():
                        missing = absent(mine, written)
                        if missing:
                            failures.append(f"absent: {missing[:3]}")
                        mine.set(b"counter", b"%d" % rounds[0])
                        rounds[0] += 1

            thread = threading.Thread(target=load)
            thread.start()
            try:
                added = ring.ok("cluster", "add", "--json").json
                assert added == {"added": ["n4"]}
                assert ring.member("n4")["slots_primary"] > 0
                ring.ok("cluster", "remove", "n2")
                assert [member["id"] for member in ring.status()["members"]] == ["n1", "n3", "n4"]
            finally:
                stop.set()
                thread.join(30)
            assert failures == []
            assert rounds[0] > 10
            assert absent(client, written) == []


def test_faults_need_the_flag(tmp_path: Path) -> None:
    with cluster(tmp_path, 1) as ring:
        done = ring.run("chaos", "latency", "n1", "--name", ring.name)
        assert done.code == 2
        assert "--enable-chaos" in done.err


def ping_ms(ring: Cluster, address: str) -> float:
    with ring.redis(address) as client:
        client.ping()
        begun = time.monotonic()
        client.ping()
        return (time.monotonic() - begun) * 1000


def test_link_faults_act_and_end(tmp_path: Path) -> None:
    with cluster(tmp_path, 3, "--enable-chaos") as ring:
        address = ring.status()["members"][2]["resp"]
        ring.ok("chaos", "latency", "client->n3", "--latency", "300", "--for", "60s")
        assert ping_ms(ring, address) >= 290
        (fault,) = ring.ok("chaos", "list", "--json").json
        assert (fault["kind"], fault["target"]) == ("latency", "client->n3")
        ring.ok("chaos", "heal")
        assert ring.ok("chaos", "list", "--json").json == []
        assert ping_ms(ring, address) < 290
        ring.ok("chaos", "latency", "n3", "--latency", "300", "--for", "60s")
        targets = [fault["target"] for fault in ring.ok("chaos", "list", "--json").json]
        assert sorted(targets) == ["client->n3", "n1->n3", "n2->n3"]
        ring.ok("chaos", "heal")
        ring.ok("chaos", "latency", "n1->n2", "--latency", "300", "--for", "500ms")
        wait_until(lambda: ring.ok("chaos", "list", "--json").json == [], "the faults end", 10)
        bad = ring.run("chaos", "latency", "n9", "--name", ring.name)
        assert bad.code == 2
        assert "no such node" in bad.err


def test_a_paused_node_is_resumed_by_heal(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as ring:
        ring.ok("chaos", "pause", "n2")
        wait_until(lambda: ring.member("n2")["status"] in ("suspect", "failed"), "n2 noticed")
        assert ring.member("n2")["pid"] is not None
        ring.ok("chaos", "heal")
        wait_until(lambda: ring.member("n2")["status"] == "alive", "n2 back")


def test_a_crashed_cluster_is_recognised(tmp_path: Path) -> None:
    with cluster(tmp_path, 2) as ring:
        for pid in ring.pids():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: ring.pids() == [], "processes end")
        assert ring.run("cluster", "status", "--name", ring.name).code == 3
        done = ring.run("cluster", "start", "--nodes", "1", "--name", ring.name, "--json")
        assert done.code == 0, done.err
        assert "ended without being stopped" in done.err
        assert len(json.loads(done.out)["nodes"]) == 1


def test_data_commands(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as ring:
        ring.ok("set", "greeting", "grüezi")
        assert ring.ok("get", "greeting").out == "grüezi"
        assert ring.ok("mget", "greeting", "nothing").json == {
            "greeting": "grüezi",
            "nothing": None,
        }
        ring.ok("del", "greeting")
        assert ring.run("get", "greeting", "--name", ring.name).code == 1


def test_one_node_in_the_foreground(tmp_path: Path) -> None:
    with cluster(tmp_path, 0) as ring:
        done = ring.run("node", "--id", "N 1", "--set", "vnodez=3")
        assert done.code == 2
        assert "vnodes" in done.err
        assert ring.run("node", "--id", "n1", "--validate").code == 0
