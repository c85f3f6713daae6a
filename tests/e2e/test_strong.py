"""Strong keys on real processes, asked through redis-cli and redis-py at any node."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
import redis

from tests.e2e.harness import Cluster, cluster, wait_until

pytestmark = pytest.mark.slow


def door(node: dict[str, str]) -> redis.Redis:
    host, port = node["resp"].rsplit(":", 1)
    return redis.Redis(host, int(port), socket_timeout=5)


def kill(ring: Cluster, *names: str) -> None:
    for name in names:
        ring.ok("chaos", "kill", name)


def test_strong_keys_survive_a_killed_node_and_fail_fast_without_a_majority(
    tmp_path: Path,
) -> None:
    with cluster(tmp_path, 3) as ring:
        clients = [door(node) for node in ring.nodes]
        wait_until(lambda: clients[0].set("strong:first", "x"), "a strong write")
        for number, client in enumerate(clients, start=1):
            assert client.incr("strong:count") == number
            assert client.set(f"strong:{number}", "value")
        assert all(client.mget("strong:1", "strong:3") == [b"value"] * 2 for client in clients)
        assert clients[1].delete("strong:1") == 1
        assert clients[2].get("strong:1") is None
        assert sum(client.dbsize() for client in clients) == 4
        assert sorted(key for client in clients for key in client.scan_iter()) == [
            b"strong:2", b"strong:3", b"strong:count", b"strong:first",
        ]  # fmt: skip

        kill(ring, "n2")
        began_s = time.monotonic()
        assert clients[0].incr("strong:count") == 4
        assert time.monotonic() - began_s < 3.0, "one of three is no loss of service"
        assert clients[2].get("strong:count") == b"4"

        kill(ring, "n3")
        for command in (("GET", "strong:count"), ("INCR", "strong:count")):
            began_s = time.monotonic()
            with pytest.raises(redis.ResponseError):
                clients[0].execute_command(*command)  # type: ignore[no-untyped-call]
            assert time.monotonic() - began_s < 2.5


def test_redis_cli_reads_what_it_wrote_elsewhere(tmp_path: Path) -> None:
    program = shutil.which("redis-cli")
    if program is None:
        pytest.skip("redis-cli is not installed")
    with cluster(tmp_path, 3) as ring:
        wait_until(lambda: door(ring.nodes[0]).set("strong:first", "x"), "a strong write")
        script = [("SET strong:a 5", "OK"), ("INCRBY strong:a 3", "8"), ("GET strong:a", "8")]
        script += [("SET strong:a 1 NX", ""), ("DEL strong:a", "1"), ("GET strong:a", "")]
        for number, (command, expected) in enumerate(script):
            host, port = ring.nodes[number % 3]["resp"].rsplit(":", 1)
            done = subprocess.run(
                [program, "-h", host, "-p", port, *command.split()],
                capture_output=True, text=True, check=True, timeout=10,
            )  # fmt: skip
            assert done.stdout.strip() == expected, command
