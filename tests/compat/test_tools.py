"""Programs that people already have: redis-cli, redis-benchmark, curl, promtool, nginx."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.harness import Cluster, wait_until
from tests.e2e.test_bad_input_start import free_ports
from tests.e2e.wire import port_of

pytestmark = pytest.mark.slow

TIMEOUT_S = 30.0


def run(*command: str, given: str | None = None) -> str:
    """Standard output of a program that must succeed."""
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def curl(*arguments: str) -> tuple[int, Any]:
    """(status, body) of one request; the last line of curl's output is the status."""
    out = run("curl", "-sS", "-m", "10", "-w", "\n%{http_code}", *arguments)
    body, _, status = out.rpartition("\n")
    return int(status), json.loads(body)


@pytest.mark.external("redis-cli")
def test_redis_cli(ring: Cluster) -> None:
    port = str(port_of(ring.nodes[0]["resp"]))

    def cli(*arguments: str) -> str:
        return run("redis-cli", "-p", port, *arguments).strip()

    assert cli("SET", "cli", "hello world") == "OK"
    assert cli("GET", "cli") == "hello world"
    assert cli("-3", "GET", "cli") == "hello world"
    assert cli("-3", "GET", "no such key") == ""
    assert cli("-c", "GET", "cli") == "hello world"
    assert "proto\n3" in cli("-3", "HELLO", "3").replace("proto 3", "proto\n3")
    assert "redis_version:" in cli("INFO")
    assert int(cli("COMMAND", "COUNT")) > 40
    assert cli("CLUSTER", "KEYSLOT", "{user}:1") == "5474"
    nodes = cli("CLUSTER", "NODES").splitlines()
    assert len(nodes) == 3
    assert sum("myself" in line for line in nodes) == 1
    assert len({line.split()[0] for line in nodes}) == 3
    for node in ring.nodes:
        assert node["resp"].rpartition(":")[2] in cli("CLUSTER", "SLOTS")
        assert node["resp"].rpartition(":")[2] in cli("CLUSTER", "SHARDS")
    assert "cluster_state:ok" in cli("CLUSTER", "INFO")
    given = "SET piped 1\nINCR piped\nGET piped\n"
    assert run("redis-cli", "-p", port, given=given).split() == ["OK", "2", "2"]


@pytest.mark.external("redis-benchmark")
@pytest.mark.parametrize("options", [(), ("-P", "16"), ("--cluster",)], ids=["", "deep", "cluster"])
def test_redis_benchmark(ring: Cluster, options: tuple[str, ...]) -> None:
    port = str(port_of(ring.nodes[0]["resp"]))
    # fmt: off
    out = run("redis-benchmark", "-p", port, "-n", "2000", "-c", "10", "-q",
              "-t", "set,get", *options)
    # fmt: on
    assert re.search(r"SET: [\d.]+ requests per second", out)
    assert re.search(r"GET: [\d.]+ requests per second", out)
    assert "error" not in out.lower()


@pytest.mark.external("curl")
def test_the_documented_requests(ring: Cluster) -> None:
    first, second = (f"http://{node['http']}/cache" for node in ring.nodes[:2])
    as_json = ("-H", "Content-Type: application/json")
    body = '{"value": {"name": "John", "age": 30}, "ttl": 3600}'
    status, reply = curl("-X", "PUT", f"{first}/user:123", *as_json, "-d", body)
    assert status == 200
    assert set(reply) == {"key", "version", "ttl"}
    assert (reply["key"], reply["ttl"]) == ("user:123", 3600)
    version = reply["version"]
    status, reply = curl(f"{second}/user:123")
    assert status == 200
    assert set(reply) == {"key", "value", "ttl", "version"}
    assert reply["value"] == {"name": "John", "age": 30}
    assert reply["version"] == version
    assert 3500 < reply["ttl"] <= 3600
    assert curl("-X", "DELETE", f"{first}/user:123") == (
        200,
        {"key": "user:123", "deleted": True},
    )
    status, reply = curl(f"{second}/user:123")
    assert status == 404
    assert reply["error"]["code"] == "not_found"
    operations = [
        {"op": "set", "key": "user:1", "value": {"name": "Alice"}},
        {"op": "set", "key": "user:2", "value": {"name": "Bob"}},
        {"op": "get", "key": "user:1"},
        {"op": "get", "key": "user:nobody"},
    ]
    body = json.dumps({"operations": operations})
    status, reply = curl("-X", "POST", f"{first}/batch", *as_json, "-d", body)
    assert status == 200
    results = reply["results"]
    assert [(result["op"], result["status"]) for result in results] == [
        ("set", "ok"),
        ("set", "ok"),
        ("get", "ok"),
        ("get", "missing"),
    ]
    assert results[2]["value"] == {"name": "Alice"}


@pytest.mark.external("curl")
def test_the_metrics_can_be_read(ring: Cluster) -> None:
    text = run("curl", "-sS", "-m", "10", f"http://{ring.nodes[0]['http']}/metrics")
    families = list(text_string_to_metric_families(text))
    assert len(families) > 20
    assert all(family.documentation for family in families)


@pytest.mark.external("curl", "promtool")
def test_promtool_approves_of_the_metrics(ring: Cluster) -> None:
    text = run("curl", "-sS", "-m", "10", f"http://{ring.nodes[0]['http']}/metrics")
    run("promtool", "check", "metrics", given=text)


@pytest.fixture
def balancer(ring: Cluster, tmp_path: Path) -> Iterator[str]:
    """nginx before the three nodes; its address."""
    (port,) = free_ports(1)
    servers = "".join(f"server {node['http']};" for node in ring.nodes)
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;\n"
        "events {}\n"
        f"http {{ access_log off; client_body_temp_path {tmp_path}/body;\n"
        f"proxy_temp_path {tmp_path}/proxy; fastcgi_temp_path {tmp_path}/fastcgi;\n"
        f"uwsgi_temp_path {tmp_path}/uwsgi; scgi_temp_path {tmp_path}/scgi;\n"
        f"upstream ring {{ {servers} keepalive 8; }}\n"
        f"server {{ listen 127.0.0.1:{port};\n"
        "location / { proxy_pass http://ring; proxy_http_version 1.1;\n"
        'proxy_set_header Connection ""; proxy_set_header Host localhost; } } }\n'
    )
    nginx = subprocess.Popen(["nginx", "-c", str(config), "-e", f"{tmp_path}/error.log"])
    try:
        address = f"127.0.0.1:{port}"
        probe = ["curl", "-fsS", "-m", "2", "-o", "/dev/null", f"http://{address}/health/live"]
        wait_until(
            lambda: subprocess.run(probe, check=False, capture_output=True).returncode == 0,
            "nginx serves",
        )
        yield address
    finally:
        nginx.terminate()
        nginx.wait(10)


@pytest.mark.external("nginx", "curl")
def test_a_round_robin_balancer(ring: Cluster, balancer: str) -> None:
    as_json = ("-H", "Content-Type: application/json")
    for number in range(6):
        url = f"http://{balancer}/cache/balanced:{number}"
        assert curl("-X", "PUT", url, *as_json, "-d", f'{{"value": {number}}}')[0] == 200
    for number in range(6):
        status, reply = curl(f"http://{balancer}/cache/balanced:{number}")
        assert (status, reply["value"]) == (200, number)
