"""The sections of the bench beside plain RESP throughput."""

from __future__ import annotations

import json
import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

from tests.bench.resp import get_tail_ms, redis_benchmark
from tests.bench.servers import (
    ROOT,
    Server,
    redis_server,
    ringdeck_cluster,
    ringdeck_nodes,
)

REDIS_BENCHMARK_KEY = b"key:%012d"
"""How redis-benchmark spells its keys."""


def fill(port: int, count: int, value_bytes: int = 100, key: bytes = b"key:%016d") -> None:
    """Write ``count`` distinct keys (of 20 bytes unless told) by pipelined SET."""
    key_bytes = len(key % 0)
    value = b"x" * value_bytes
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        for start in range(0, count, 1000):
            size = min(1000, count - start)
            connection.sendall(
                b"".join(
                    b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n"
                    % (key_bytes, key % index, value_bytes, value)
                    for index in range(start, start + size)
                )
            )
            answer = b""
            while len(answer) < size * 5:
                piece = connection.recv(65536)
                assert piece, "connection closed while filling"
                answer += piece
            assert answer == b"+OK\r\n" * size, answer[:100]


def memory(rounds: int, scale: float) -> dict[str, float]:
    """Private bytes an entry (20-byte key, 100-byte value) beside redis-server.

    With L1 alone, and with L2 on and a record of every entry on it.
    """
    count = int(400_000 * scale)
    figures = {}
    with redis_server() as redis:
        figures[redis.name] = _bytes_an_entry(redis, count)
    with ringdeck_nodes(1, settings={"RINGDECK_DISK_BYTES_MAX": "0"}) as nodes:
        figures["L1 alone"] = _bytes_an_entry(nodes[0], count)
    with ringdeck_cluster(1) as cluster:
        cluster.command("keyspace", "set", "*", "--write-through")
        figures["L1 and L2"] = _bytes_an_entry(cluster.nodes[0], count)
    peer = figures["redis-server"]
    print(f"\nmemory: private bytes an entry, {count:,} entries of 20 + 100 bytes")
    for name, figure in figures.items():
        print(f"  {name:14} {figure:6.0f}  ({figure / peer:4.2f} x redis-server)")
    return figures


def _bytes_an_entry(server: Server, count: int) -> float:
    before = server.private_bytes()
    fill(server.resp, count)
    time.sleep(3.0)
    return (server.private_bytes() - before) / count


def million(rounds: int, scale: float) -> dict[str, float]:
    """Latency tail of GET at P=1 over 50 connections with a million entries resident."""
    count = int(1_000_000 * scale)
    figures = {}
    print(f"\ntail: GET at P=1, 50 connections, {count:,} entries resident, ms")
    with redis_server() as redis, ringdeck_nodes(1) as nodes:
        contenders = (redis, *nodes)
        for server in contenders:
            fill(server.resp, count, key=REDIS_BENCHMARK_KEY)
        samples: dict[str, list[dict[str, float]]] = {}
        for _ in range(rounds):
            for server in contenders:
                tail = get_tail_ms(server, int(200_000 * scale), count)
                samples.setdefault(server.name, []).append(tail)
        for name, tails in samples.items():
            medians = {key: statistics.median(tail[key] for tail in tails) for key in tails[0]}
            figures[name] = medians["p99.9"]
            shown = "  ".join(f"{key} {value:.3f}" for key, value in medians.items())
            print(f"  {name:14} {shown}", flush=True)
    return figures


def native(rounds: int, scale: float) -> dict[str, float]:
    """Keys/s of mget and mset by the Python client as its own process, three nodes, N=3, W=2; beside
    it a Python client of redis-server that moves the same batches.
    """
    with redis_server() as redis, ringdeck_nodes(3) as nodes:
        targets = ",".join(f"127.0.0.1:{node.native}" for node in nodes)
        pids = ",".join(str(node.pid) for node in nodes)
        figures = _load("native_load", targets, str(rounds), str(scale), pids)
        peer = _load("redis_load", str(redis.resp), str(redis.pid), str(rounds), str(scale))
    print(
        "\nnative client, three nodes, N=3 W=2, values of 100 bytes, and redis-server with hiredis: "
        "keys/s | CPU us a key, clients and servers"
    )
    for name, figure in figures.items():
        if not name.endswith("_cpu_us"):
            print(
                f"  {name:13} ringdeck {figure:12,.0f} {figures[name + '_cpu_us']:6.2f}   "
                f"redis-server {peer[name]:12,.0f} {peer[name + '_cpu_us']:6.2f}"
            )
    return figures | {f"redis-server {name}": value for name, value in peer.items()}


def http(rounds: int, scale: float) -> dict[str, float]:
    """Cache hits/s through the HTTP door; beside it GETs of the same key by as many connections of
    redis-server, which has no such door.
    """
    connections, seconds = 16, 3.0 * scale
    loads: list[dict[str, float]] = []
    cpu_us: list[float] = []
    peers: list[float] = []
    with redis_server() as redis, ringdeck_nodes(1) as nodes:
        fill(redis.resp, 1, key=REDIS_BENCHMARK_KEY)
        url = f"http://127.0.0.1:{nodes[0].http}/cache/user:123"
        put = urllib.request.Request(
            url, b'{"value": {"name": "John"}}', {"Content-Type": "application/json"}, method="PUT"
        )
        urllib.request.urlopen(put, timeout=10).close()
        for _ in range(rounds):
            before = nodes[0].cpu_s()
            arguments = str(nodes[0].http), "/cache/user:123", str(connections), str(seconds)
            load = _load("http_load", *arguments)
            loads.append(load)
            cpu_us.append((nodes[0].cpu_s() - before) / load["requests"] * 1e6)
            peer = redis_benchmark(
                [redis],
                "get",
                pipeline=1,
                requests=int(100_000 * scale),
                keys=1,
                connections=connections,
            )
            peers.append(peer.operations_per_s)
    rate = statistics.median(load["hits_per_s"] for load in loads)
    p99_ms = statistics.median(load["p99_ms"] for load in loads)
    cost, peer_rate = statistics.median(cpu_us), statistics.median(peers)
    print(
        f"\nhttp: {rate:,.0f} hits/s on one node ({connections} connections), p99 {p99_ms:.2f} ms, "
        f"{cost:.1f} us of CPU each; redis-server GET {peer_rate:,.0f}/s"
    )
    return {
        "hits_per_s": rate,
        "p99_ms": p99_ms,
        "cpu_us": cost,
        "redis-server_gets_per_s": peer_rate,
    }


def exact(rounds: int, scale: float) -> dict[str, int]:
    """The nodes' own counters, and what heat has counted, against the number of requests sent: to one
    node, and to one of three that hold copies of each other's keys.

    Raises:
        AssertionError: they differ.
    """
    figures: dict[str, int] = {}
    for count in (1, 3):
        # redis-benchmark sends whole pipelines.
        requests = int(200_000 * scale) // (16 * count) * 16
        with ringdeck_nodes(count) as nodes:
            for test in ("set", "get", "incr"):
                redis_benchmark(nodes, test, pipeline=16, requests=requests, keys=1000)
            # Heat counts by windows of a second: the last one must have been closed.
            time.sleep(2.5)
            counted: dict[str, int] = {}
            for node in nodes:
                for name, figure in _counters(node).items():
                    counted[name] = counted.get(name, 0) + figure
        print(
            f"\nexact: {count} node(s), sent {requests:,} each of SET, GET, INCR; counted {counted}"
        )
        expected = {
            "reads_total": requests,
            "writes_total": 2 * requests,
            "heat_operations_total": 3 * requests,
        }
        assert counted == expected, f"sent {expected}, counted {counted}"
        figures |= {f"{count} {name}": figure for name, figure in counted.items()}
    return figures


def _counters(node: Server) -> dict[str, int]:
    """Totals of requests on a node's page of metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{node.http}/metrics", timeout=10) as page:
        text = page.read().decode()
    return {
        name: int(float(found.group(1)))
        for name in ("reads_total", "writes_total", "heat_operations_total")
        if (found := re.search(rf"^ringdeck_{name}(?:{{[^}}]*}})? ([\d.e+]+)$", text, re.MULTILINE))
    }


def _load(module: str, *arguments: str) -> dict[str, float]:
    """Run a generator as its own process; the figures that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{module}", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert isinstance(figures, dict)
    return figures
