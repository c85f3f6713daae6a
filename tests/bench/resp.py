"""redis-benchmark against one server: throughput, latency and processor time."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from dataclasses import dataclass

from tests.bench.servers import Server


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
) -> RespFigure:
    """Run one test (``get`` or ``set``) over 50 connections against the first server."""
    program = shutil.which("redis-benchmark")
    assert program is not None, "redis-benchmark is not installed"
    before = sum(server.cpu_s() for server in servers)
    done = subprocess.run(
        [
            program, "-h", "127.0.0.1", "-p", str(servers[0].resp), "-t", test, "-c", "50",
            "-P", str(pipeline), "-n", str(requests), "-r", str(keys), "-d", str(value_bytes), "--csv",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )  # fmt: skip
    used = sum(server.cpu_s() for server in servers) - before
    rows = list(csv.DictReader(io.StringIO(done.stdout[done.stdout.index('"test"') :])))
    assert rows, done.stdout
    row = rows[-1]
    return RespFigure(
        float(row["rps"]),
        float(row["p50_latency_ms"]),
        float(row["p99_latency_ms"]),
        used / requests * 1e6,
    )
