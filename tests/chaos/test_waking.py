"""A node that was stopped and wakes up: what it acknowledges afterwards is seen by all, or it refuses.

The requests are already in its sockets when it wakes, so it answers them before it can have heard
anything of what happened meanwhile.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import redis

from tests.e2e.harness import Cluster, cluster, wait_until

pytestmark = pytest.mark.chaos

KEYS = 60
SETTLED_S = 30.0


def values(node: redis.Redis, keys: list[str]) -> list[bytes | None]:
    found: list[bytes | None] = [node.get(key) for key in keys]  # type: ignore[misc]
    return found


def everywhere(found: Cluster, keys: list[str]) -> list[list[bytes | None]]:
    answers = []
    for entry in found.nodes:
        with found.redis(entry["resp"]) as client:
            answers.append(values(client, keys))
    return answers


def is_member(found: Cluster, node_id: str) -> bool:
    return node_id in [str(member["id"]) for member in found.status()["members"]]


@pytest.mark.parametrize(
    ("grace_s", "removed"), [(300, False), (2, True)], ids=["suspected", "removed"]
)
def test_a_woken_node_acknowledges_nothing_that_the_others_do_not_see(
    tmp_path: Path, grace_s: int, removed: bool
) -> None:
    with cluster(tmp_path, 4, "--set", f"down_grace_s={grace_s}") as found:
        sleeper, awake = found.nodes[1], found.nodes[0]
        old = [f"old:{number}" for number in range(KEYS)]
        fresh = [f"fresh:{number}" for number in range(KEYS)]
        with found.redis(awake["resp"]) as client, found.redis(sleeper["resp"]) as sleepy:
            assert client.mset(dict.fromkeys(old, b"before"))
            assert sleepy.ping()
            connection = sleepy.connection_pool.get_connection()
            os.kill(sleeper["pid"], signal.SIGSTOP)
            try:
                for key in fresh:
                    connection.send_command("SET", key, "woken")
                stopped_s = time.monotonic()

                def noticed() -> bool:
                    if removed:
                        return not is_member(found, sleeper["id"])
                    return time.monotonic() > stopped_s + 8.0

                wait_until(noticed, "the stopped node is suspected or removed", 40.0, 0.5)
                assert all(client.set(key, b"after") for key in old)
            finally:
                os.kill(sleeper["pid"], signal.SIGCONT)
            acknowledged = []
            for key in fresh:
                try:
                    if connection.read_response() == b"OK":
                        acknowledged.append(key)
                except redis.ResponseError:
                    continue
            if removed:
                wait_until(lambda: is_member(found, sleeper["id"]), "it has joined anew", 60.0, 0.5)
            else:
                assert acknowledged, "it refused everything although nobody had removed it"

            def seen() -> bool:
                return all(
                    answer == [b"woken"] * len(acknowledged)
                    for answer in everywhere(found, acknowledged)
                )

            wait_until(seen, "every node sees what was acknowledged", SETTLED_S, 0.5)
            wait_until(
                lambda: all(answer == [b"after"] * KEYS for answer in everywhere(found, old)),
                "nothing from before came back",
                SETTLED_S,
                0.5,
            )
