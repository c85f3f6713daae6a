"""redis-benchmark against one server: throughput, latency and processor time."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from tests.bench.servers import Server

CONNECTIONS = 50
TAILS = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


@dataclass(frozen=True)
class RespFigure:
    """One line of redis-benchmark."""

    operations_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_s_per_million: float


def redis_benchmark(
    servers: list[Server],
    test: str,
    *,
    pipeline: int,
    requests: int,
    keys: int,
    value_bytes: int = 100,
    connections: int = CONNECTIONS,
) -> RespFigure:
    """Run one test (``get`` or ``set``) against the first server."""
    generator_cores = _part(servers[0])
    before = sum(server.cpu_s() for server in servers)
    printed = _run(
        servers[0], "-t", test, "-c", str(connections), "-P", str(pipeline), "-n", str(requests),
        "-r", str(keys), "-d", str(value_bytes), "--csv", cores=generator_cores,
    )  # fmt: skip
    used = sum(server.cpu_s() for server in servers) - before
    rows = list(csv.DictReader(io.StringIO(printed[printed.index('"test"') :])))
    assert rows, printed
    row = rows[-1]
    return RespFigure(
        float(row["rps"]),
        float(row["p50_latency_ms"]),
        float(row["p99_latency_ms"]),
        used / requests * 1e6,
    )


def get_tail_ms(server: Server, requests: int, keys: int) -> dict[str, float]:
    """Percentiles of single GETs of random keys in milliseconds, see TAILS.

    redis-benchmark prints its distribution in steps that halve the rest (99.805, 99.902 ...): of
    these the first that is not below the percentile is taken.
    """
    printed = _run(
        server, "-t", "get", "-c", str(CONNECTIONS), "-n", str(requests), "-r", str(keys)
    )
    steps = [
        (float(percent), float(at_ms))
        for percent, at_ms in re.findall(r"([\d.]+)% <= ([\d.]+) milliseconds \(cum", printed)
    ]
    assert steps, printed
    return {
        name: next(at_ms for percent, at_ms in steps if percent >= wanted)
        for name, wanted in TAILS.items()
    }


def _part(server: Server) -> set[int]:
    """Keep the server's main thread on one core, and return the others, for the generator: two single
    threads that share a core now and then measure the scheduler. Where there is one core, that one.
    """
    first, *others = sorted(os.sched_getaffinity(0))
    if others:
        os.sched_setaffinity(server.pid, {first})
    return set(others or [first])


def _run(server: Server, *options: str, cores: set[int] | None = None) -> str:
    """What redis-benchmark prints; ``cores``: where it may run."""
    program = shutil.which("redis-benchmark")
    assert program is not None, "redis-benchmark is not installed"
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or allowed)
    try:
        done = subprocess.run(
            [program, "-h", "127.0.0.1", "-p", str(server.resp), *options],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
    finally:
        os.sched_setaffinity(0, allowed)
    return done.stdout
