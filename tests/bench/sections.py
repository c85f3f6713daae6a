"""The sections of the bench beside plain RESP throughput."""

from __future__ import annotations

import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

from tests.bench.resp import redis_benchmark
from tests.bench.servers import ROOT, Server, redis_server, ringdeck_nodes

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
    """Private bytes an entry (20-byte key, 100-byte value) beside redis-server."""
    count = int(400_000 * scale)
    figures = {}
    with redis_server() as redis, ringdeck_nodes(1) as nodes:
        for server in (redis, *nodes):
            before = server.rss_bytes()
            fill(server.resp, count)
            time.sleep(3.0)
            figures[server.name] = (server.rss_bytes() - before) / count
    peer = figures["redis-server"]
    print(f"\nmemory: private bytes an entry, {count:,} entries of 20 + 100 bytes")
    for name, figure in figures.items():
        print(f"  {name:14} {figure:6.0f}  ({figure / peer:4.2f} x redis-server)")
    return figures


def million(rounds: int, scale: float) -> dict[str, float]:
    """Latency tail of GET at P=1 with a million entries resident."""
    count = int(1_000_000 * scale)
    figures = {}
    print(f"\ntail: GET at P=1, 50 connections, {count:,} entries resident")
    with redis_server() as redis, ringdeck_nodes(1) as nodes:
        for server in (redis, *nodes):
            fill(server.resp, count)
        for server in (redis, *nodes):
            tails = [get_tail_ms(server, 20_000, count) for _ in range(rounds)]
            figures[server.name] = statistics.median(tails)
            print(f"  {server.name:14} p99.9 {figures[server.name]:.3f} ms", flush=True)
    return figures


def get_tail_ms(server: Server, requests: int, count: int) -> float:
    """p99.9 of single GETs over one connection, in milliseconds."""
    samples = []
    with socket.create_connection(("127.0.0.1", server.resp), 30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for index in range(requests):
            command = b"*2\r\n$3\r\nGET\r\n$20\r\nkey:%016d\r\n" % (index * 7919 % count)
            start = time.perf_counter()
            connection.sendall(command)
            answer = connection.recv(65536)
            samples.append(time.perf_counter() - start)
            assert answer.startswith(b"$100"), answer
    return sorted(samples)[int(len(samples) * 0.999)] * 1e3


def native(rounds: int, scale: float) -> dict[str, float]:
    """Keys/s of mget and mset by the Python client as its own process, three nodes, N=3, W=2."""
    figures: dict[str, float] = {}
    with ringdeck_nodes(3) as nodes:
        targets = ",".join(f"127.0.0.1:{node.native}" for node in nodes)
        done = subprocess.run(
            [
                sys.executable, "-m", "tests.bench.native_load", targets, str(rounds), str(scale),
                ",".join(str(node.pid) for node in nodes),
            ],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        figures = json.loads(done.stdout)
    print(
        "\nnative client, three nodes, N=3 W=2, values of 100 bytes: keys/s | CPU us a key, all four"
    )
    for name, figure in figures.items():
        if not name.endswith("_cpu_us"):
            print(f"  {name:18} {figure:12,.0f}   {figures[name + '_cpu_us']:6.2f}")
    return figures


def http(rounds: int, scale: float) -> dict[str, float] | None:
    """Cache hits/s through the HTTP door, by wrk."""
    program = shutil.which("wrk")
    if program is None:
        print("\nhttp: skipped, wrk is not installed")
        return None
    figures = []
    cpu_us = []
    with ringdeck_nodes(1) as nodes:
        url = f"http://127.0.0.1:{nodes[0].http}/cache/user:123"
        put = urllib.request.Request(
            url, b'{"value": {"name": "John"}}', {"Content-Type": "application/json"}, method="PUT"
        )
        urllib.request.urlopen(put, timeout=10).close()
        for _ in range(rounds):
            before = nodes[0].cpu_s()
            done = subprocess.run(
                [program, "-t1", "-c16", "-d3s", url],
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            )
            found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
            assert found is not None, done.stdout
            assert "Non-2xx" not in done.stdout, done.stdout
            figures.append(float(found.group(1)))
            answered = re.search(r"(\d+) requests in", done.stdout)
            assert answered is not None, done.stdout
            cpu_us.append((nodes[0].cpu_s() - before) / int(answered.group(1)) * 1e6)
    rate, cost = statistics.median(figures), statistics.median(cpu_us)
    print(
        f"\nhttp: {rate:,.0f} hits/s on one node (wrk, 16 connections), {cost:.1f} us of CPU each"
    )
    return {"hits_per_s": rate, "cpu_us": cost}


def exact(rounds: int, scale: float) -> dict[str, int]:
    """The node's own counters against the number of requests sent."""
    requests = int(200_000 * scale)
    with ringdeck_nodes(1) as nodes:
        redis_benchmark(nodes, "set", pipeline=16, requests=requests, keys=1000)
        redis_benchmark(nodes, "get", pipeline=16, requests=requests, keys=1000)
        time.sleep(1.5)
        with urllib.request.urlopen(
            f"http://127.0.0.1:{nodes[0].http}/metrics", timeout=10
        ) as page:
            text = page.read().decode()
    counted = {
        name: int(float(found.group(1)))
        for name in ("ringdeck_reads_total", "ringdeck_writes_total")
        if (found := re.search(rf"^{name}(?:{{[^}}]*}})? ([\d.e+]+)$", text, re.MULTILINE))
    }
    print(f"\nexact: sent {requests:,} SET and {requests:,} GET, /metrics counted {counted}")
    return {"sent": requests, **counted}
