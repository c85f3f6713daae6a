"""The section on the disk tier: how soon it answers, what writing back costs, how a restart warms up.

One node each. Hits on disk are reads of keys that memory has given up; the node's own counter says how
many of the reads were. The cost of writing back is the throughput of a flood of new keys into a full
memory with the tier on, by that with the tier off: the median over pairs of turns. A restart
follows a kill -9 with every key on disk; it is read from meanwhile.
"""

from __future__ import annotations

import contextlib
import re
import socket
import statistics
import time
import urllib.request
from random import Random

from tests.bench.resp import RespFigure, redis_benchmark
from tests.bench.sections import fill
from tests.bench.servers import Cluster, Server, ringdeck_cluster, ringdeck_nodes

MIB = 1 << 20
HIT_P99_MS_MAX = 1.0
WRITE_BACK_SHARE_MAX = 0.1
WARM_S_MAX = 240.0
_RUNS, _RUN_READS = 10, 2_000
"""The median of the runs counts: what else the machine does hits some of them."""
_FLOODED_KEYS = 120_000
"""More than a memory of 32 MiB holds."""
_FLOODS = {1: 30_000, 16: 90_000}
"""Requests of one turn by depth: some ticks, of which each has its budget for writing back."""
_PAIRS_MIN = 6
_OFF = {"RINGDECK_DISK_BYTES_MAX": "0"}
_PROMISED = ("keyspace", "set", "*", "--durability", "process")
"""Every write has its record at once, so that what memory gives up is on disk."""


def tiers(rounds: int, scale: float) -> dict[str, float]:
    """L2 hits, the cost of writing back, a warm restart."""
    figures = {}
    print("\ntiers: one node, entries of 20 + 100 bytes")
    hits = _hits(int(300_000 * scale))
    figures.update(hits)
    print(
        f"  L2 hit       p50 {hits['hit_p50_ms']:.3f} ms  p99 {hits['hit_p99_ms']:.3f} ms "
        f"(at most {HIT_P99_MS_MAX:g})  {hits['hit_share']:.1%} of the reads were hits on disk",
        flush=True,
    )
    costs = _write_back(rounds, scale)
    figures.update(costs)
    for name, value in costs.items():
        bound = f" of the throughput (at most {WRITE_BACK_SHARE_MAX:.0%})" if "back" in name else ""
        print(f"  {name:18} {value:.1%}{bound}")
    warm = _warm(int(1_000_000 * scale))
    figures.update(warm)
    print(
        f"  warm restart {warm['warm_keys']:,.0f} keys: ready after {warm['ready_s']:.1f} s, "
        f"warm after {warm['warm_s']:.1f} s; meanwhile {warm['reads_meanwhile']:,.0f} reads, "
        f"{warm['failed_meanwhile']:.0f} failed, p50 {warm['meanwhile_p50_ms']:.2f} ms, "
        f"p99 {warm['meanwhile_p99_ms']:.2f} ms"
    )
    return figures


def _get(connection: socket.socket, number: int) -> float:
    """Milliseconds of one GET that finds its value."""
    command = b"*2\r\n$3\r\nGET\r\n$20\r\nkey:%016d\r\n" % number
    started_s = time.perf_counter()
    connection.sendall(command)
    answer = connection.recv(65536)
    took_ms = (time.perf_counter() - started_s) * 1e3
    assert answer.startswith(b"$100"), (number, answer[:100])
    return took_ms


def _connected(server: Server) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.resp), 30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _disk_hits(server: Server) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http}/metrics", timeout=10) as page:
        text = page.read().decode()
    found = re.search(
        r'^ringdeck_disk_events_total\{[^}]*event="hits"[^}]*\} ([\d.e+]+)$', text, re.MULTILINE
    )
    assert found is not None, "no counter of hits on disk"
    return int(float(found.group(1)))


def _percentiles(samples: list[float]) -> tuple[float, float]:
    ordered = sorted(samples)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]


def _hits(count: int) -> dict[str, float]:
    """Keys of the middle once each: memory keeps those that came first or last."""
    with ringdeck_cluster(1, maxmemory_bytes=max(2 * MIB, count * 100)) as cluster:
        (node,) = cluster.nodes
        cluster.command(*_PROMISED)
        fill(node.resp, count)
        time.sleep(1.0)
        order = list(range(count // 2, count * 3 // 4))
        Random(1).shuffle(order)
        order = order[: _RUNS * _RUN_READS]
        before = _disk_hits(node)
        runs = []
        with _connected(node) as connection:
            for start in range(0, len(order), _RUN_READS):
                part = order[start : start + _RUN_READS]
                runs.append(_percentiles([_get(connection, number) for number in part]))
        time.sleep(1.0)
        share = (_disk_hits(node) - before) / len(order)
    middle, high = (statistics.median(column) for column in zip(*runs, strict=True))
    return {"hit_p50_ms": middle, "hit_p99_ms": high, "hit_share": share}


def _write_back(rounds: int, scale: float) -> dict[str, float]:
    """Share of the throughput that is lost to the tier, and processor time that is added, by depth."""
    costs: dict[str, float] = {}
    with contextlib.ExitStack() as running:
        # Of equal nodes one is faster than another, and those that were started first are more often:
        # two with the tier begin and end between two without.
        off, on, other_on, other_off = (
            running.enter_context(
                ringdeck_nodes(1, maxmemory_bytes=32 * MIB, name=name, settings=settings)
            )
            for name, settings in (("off", _OFF), ("on", {}), ("on-too", {}), ("off-too", _OFF))
        )
        pairs = ((off, on), (other_off, other_on))
        for nodes in (off, on, other_on, other_off):
            fill(nodes[0].resp, _FLOODED_KEYS)
        for pipeline, requests in _FLOODS.items():
            lost: list[float] = []
            added: list[float] = []
            for turn in range(max(_PAIRS_MIN, int(3 * rounds * scale))):
                pair = pairs[turn % 2]
                # Who begins takes turns too, so that a trend of the machine favours neither.
                order = pair if turn % 4 < 2 else pair[::-1]
                figures = [_flood(nodes, pipeline, requests) for nodes in order]
                without, with_tier = figures if order is pair else figures[::-1]
                lost.append(1.0 - with_tier.operations_per_s / without.operations_per_s)
                added.append(with_tier.cpu_s_per_million / without.cpu_s_per_million - 1.0)
            costs[f"write-back P={pipeline}"] = statistics.median(lost)
            costs[f"its CPU P={pipeline}"] = statistics.median(added)
    return costs


def _flood(nodes: list[Server], pipeline: int, requests: int) -> RespFigure:
    return redis_benchmark(nodes, "set", pipeline=pipeline, requests=requests, keys=2_000_000)


def _warm(count: int) -> dict[str, float]:
    """Kill and start a node with every key on disk; read from it until its memory is filled."""
    settings = {"RINGDECK_DISK_BYTES_MAX": str(4096 * MIB)}
    with ringdeck_cluster(1, settings=settings) as cluster:
        cluster.command(*_PROMISED)
        fill(cluster.nodes[0].resp, count)
        cluster.command("chaos", "kill", "n1")
        started_s = time.monotonic()
        cluster.command("chaos", "restart", "n1")
        ready_s = time.monotonic() - started_s
        samples, failed = _read_until_warm(cluster, count)
        text = re.findall(
            r"(\d+) of (\d+) entries on disk brought back .* in ([\d.]+) s", cluster.log("n1")
        )
    lifted, _found, took_s = text[-1]
    middle, high = _percentiles(samples)
    return {
        "warm_keys": float(lifted), "ready_s": ready_s, "warm_s": float(took_s),
        "reads_meanwhile": float(len(samples)), "failed_meanwhile": float(failed),
        "meanwhile_p50_ms": middle, "meanwhile_p99_ms": high,
    }  # fmt: skip


def _read_until_warm(cluster: Cluster, count: int) -> tuple[list[float], int]:
    samples: list[float] = []
    failed = 0
    rng = Random(3)
    until_s = time.monotonic() + WARM_S_MAX
    with contextlib.closing(_connected(cluster.nodes[0])) as connection:
        while "brought back to memory" not in cluster.log("n1"):
            assert time.monotonic() < until_s, "the node does not become warm"
            for _ in range(100):
                try:
                    samples.append(_get(connection, rng.randrange(count)))
                except AssertionError:
                    failed += 1
                time.sleep(0.002)
    return samples, failed
