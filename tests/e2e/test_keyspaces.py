"""``ringdeck keyspace`` and consistency by request, on real processes through every door."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.e2e.harness import cluster, wait_until

pytestmark = pytest.mark.slow


def http(method: str, url: str, body: object = None) -> tuple[int, dict[str, str], Any]:
    """Status, headers in lower case, and the JSON body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{url}", data, method=method)
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, {k.lower(): v for k, v in reply.headers.items()}, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            found = {k.lower(): v for k, v in error.headers.items()}
            return error.code, found, json.load(error)


def test_policies_are_changed_while_the_cluster_runs(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as found:
        first = found.nodes[0]
        made = found.ok("keyspace", "set", "s:*", "--n", "2", "--ttl", "1m", "--json").json
        assert (made["applied"], made["settled"], made["absent"]) == (True, True, [])
        assert made["adopted"] == [node["id"] for node in found.nodes]
        for node in found.nodes:
            with found.redis(node["resp"]) as client:
                assert client.set(f"s:{node['id']}", "v")
                assert 50 < int(client.ttl(f"s:{node['id']}")) <= 60
                client.set(f"s:{node['id']}", "w", ex=5)
                assert 0 < int(client.ttl(f"s:{node['id']}")) <= 5
        listed = found.ok("keyspace", "list", "--json").json
        assert [entry["pattern"] for entry in listed["keyspaces"]] == ["*", "s:*", "strong:*"]
        assert http("GET", f"{first['http']}/admin/keyspaces")[2] == listed
        planned = found.ok("keyspace", "set", "s:*", "--n", "3", "--preview").out
        assert "n: 2 -> 3" in planned
        status, _headers, edited = http(
            "PUT", f"{first['http']}/admin/keyspaces", {"pattern": "s:*", "r": 2}
        )
        assert (status, edited["changes"]) == (200, [{"setting": "r", "from": 1, "to": 2}])
        by_address = found.run("keyspace", "delete", "s:*", "--connect", first["native"])
        assert by_address.code == 0, by_address.err
        wrong = found.run("keyspace", "set", "s:*", "--w", "9", "--r", "0", "--name", found.name)
        assert (wrong.code, wrong.out) == (2, "")
        assert "w 9 and r 0" in wrong.err
        assert found.run("keyspace", "list", "--name", "nobody").code == 3


def test_levels_by_request_on_every_door(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as found:
        first, last = found.nodes[0], found.nodes[2]
        url = f"{first['http']}/cache/k"
        status, headers, _body = http("PUT", f"{url}?consistency=all", {"value": 1})
        assert (status, headers["x-ringdeck-copies"]) == (200, "3")
        os.kill(last["pid"], signal.SIGKILL)
        wait_until(lambda: found.member(last["id"])["status"] == "failed", "it has failed", 30.0)
        for level, expected in (("default", 200), ("quorum", 200), ("all", 503)):
            for method, body in (("PUT", {"value": 2}), ("GET", None)):
                status, _headers, reply = http(method, f"{url}?consistency={level}", body)
                assert status == expected, (level, method, reply)
        assert found.ok("get", "k", "--consistency", "quorum").out == "2"
        refused = found.run("set", "k", "3", "--consistency", "all", "--name", found.name)
        assert refused.code == 1, refused.err
        assert found.run("get", "k", "--consistency", "most", "--name", found.name).code == 2
        with found.redis(first["resp"]) as client, client.client() as connection:
            assert connection.execute_command("RINGDECK", "LEVEL", "ALL")
            for command in (("SET", "k", "4"), ("GET", "k"), ("INCR", "n")):
                with pytest.raises(redis.ResponseError, match="NOREPLICAS"):
                    connection.execute_command(*command)
            connection.execute_command("RINGDECK", "LEVEL", "DEFAULT")
            assert connection.set("k", "5")


def test_a_minority_goes_by_the_policy_and_answers_in_time(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as found:
        first, *others = found.nodes
        found.ok("keyspace", "set", "ro:*", "--on-partition", "read-only")
        found.ok("keyspace", "set", "no:*", "--on-partition", "refuse")
        with found.redis(first["resp"]) as client:
            assert client.mset({"ro:k": "v", "no:k": "v", "free": "v"})
            for node in others:
                os.kill(node["pid"], signal.SIGSTOP)
            try:

                def noticed() -> bool:
                    return int(client.info("ringdeck")["in_minority"]) == 1

                wait_until(noticed, "it sees no majority", 30.0, 0.2)
                assert client.set("free", "w")
                assert client.get("ro:k") == b"v"
                with pytest.raises(redis.ResponseError, match="1 of 3 voters"):
                    client.set("ro:k", "w")
                with pytest.raises(redis.ResponseError, match="1 of 3 voters"):
                    client.get("no:k")
                status, headers, body = http("PUT", f"{first['http']}/cache/no:k", {"value": 1})
                assert (status, body["error"]["code"]) == (503, "no_quorum")
                assert "retry-after" in headers
                info = client.info("ringdeck")
                assert info["partition_writes_refused"] == 2
                assert info["partition_reads_refused"] == 1
                decided = found.run(
                    "keyspace", "set", "x:*", "--n", "2", "--connect", first["native"]
                )
                assert decided.code == 1
                assert "no majority" in decided.err
            finally:
                for node in others:
                    os.kill(node["pid"], signal.SIGCONT)
            wait_until(
                lambda: not client.info("ringdeck")["in_minority"], "it sees the others", 30.0, 0.2
            )
            assert client.set("no:k", "again")
        with found.redis(others[0]["resp"]) as client:
            wait_until(lambda: client.get("free") == b"w", "the write has been handed over", 30.0)
