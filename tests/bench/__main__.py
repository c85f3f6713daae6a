"""``python -m tests.bench``: ringdeck beside redis-server in one run, on this machine.

Each figure is the median of alternating rounds; read the ratios, not the absolute numbers. Sections:
``resp`` (one node, compiled and reference table, P=1, 16, 64), ``cluster`` (three nodes, N=3),
``memory`` (bytes of private memory an entry, with and without the disk tier), ``million`` (tail latency
with a million entries), ``native`` (mget, mset), ``http`` (cache hits), ``exact`` (counters and heat
against requests sent), ``policies`` (what eviction policies add to hits and insertions), ``tiers`` (hits on
disk, the cost of writing back, a warm restart), ``console`` (what the screen costs). Exits with 1 when a
section fails: the others are measured all the same.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable

from tests.bench import policies, sections, tiers
from tests.bench.console import console
from tests.bench.resp import redis_benchmark
from tests.bench.servers import Server, redis_server, ringdeck_nodes

DEPTHS = (1, 16, 64)
KEYS = 10_000


def requests_of(pipeline: int, scale: float) -> int:
    return int({1: 100_000, 16: 600_000, 64: 1_500_000}[pipeline] * scale)


def alternate(
    contenders: dict[str, list[Server]], rounds: int, scale: float
) -> dict[tuple[str, str, int], tuple[float, float, float]]:
    """Median (operations/s, p99 ms, CPU s per million) by contender, test and depth."""
    samples: dict[tuple[str, str, int], list[tuple[float, float, float]]] = {}
    for _ in range(rounds):
        for pipeline in DEPTHS:
            for test in ("set", "get"):
                for name, servers in contenders.items():
                    figure = redis_benchmark(
                        servers,
                        test,
                        pipeline=pipeline,
                        requests=requests_of(pipeline, scale),
                        keys=KEYS,
                    )
                    samples.setdefault((name, test, pipeline), []).append(
                        (figure.operations_per_s, figure.p99_ms, figure.cpu_s_per_million)
                    )
    return {
        key: (
            statistics.median(row[0] for row in rows),
            statistics.median(row[1] for row in rows),
            statistics.median(row[2] for row in rows),
        )
        for key, rows in samples.items()
    }


def print_resp(title: str, figures: dict[tuple[str, str, int], tuple[float, float, float]]) -> None:
    print(f"\n{title}: thousand operations/s (ratio to redis-server) | p99 ms | CPU s per million")
    names = list(dict.fromkeys(name for name, _, _ in figures))
    for pipeline in DEPTHS:
        for test in ("set", "get"):
            peer = figures[("redis-server", test, pipeline)][0]
            cells = []
            for name in names:
                rate, p99_ms, cpu_s = figures[(name, test, pipeline)]
                cells.append(
                    f"{name} {rate / 1e3:8.1f} ({rate / peer:4.2f}) {p99_ms:6.2f} {cpu_s:6.2f}"
                )
            print(f"  P={pipeline:<3} {test}  " + "   ".join(cells), flush=True)


def section_resp(rounds: int, scale: float) -> None:
    """One node beside redis-server; every key that is read exists."""
    with redis_server() as redis, ringdeck_nodes(1, table="compiled") as compiled:
        with ringdeck_nodes(1, table="reference", name="bench-reference") as reference:
            contenders = {"redis-server": [redis], "compiled": compiled, "reference": reference}
            for servers in contenders.values():
                sections.fill(servers[0].resp, KEYS, key=sections.REDIS_BENCHMARK_KEY)
            print_resp("one node", alternate(contenders, rounds, scale))


def section_cluster(rounds: int, scale: float) -> None:
    """Three nodes; all clients talk to the first, the processor time is that of all three."""
    with redis_server() as redis, ringdeck_nodes(3) as nodes:
        contenders = {"redis-server": [redis], "three nodes": nodes}
        for servers in contenders.values():
            sections.fill(servers[0].resp, KEYS, key=sections.REDIS_BENCHMARK_KEY)
        print_resp("three nodes, N=3 W=2 R=1", alternate(contenders, rounds, scale / 4))


def stop(_number: int, _frame: object) -> None:
    """A bench that is ended from outside still stops the servers that it started."""
    sys.exit(143)


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, stop)
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    choices: dict[str, Callable[[int, float], object]] = {
        "resp": section_resp,
        "cluster": section_cluster,
        "memory": sections.memory,
        "million": sections.million,
        "native": sections.native,
        "http": sections.http,
        "exact": sections.exact,
        "console": console,
        "policies": policies.policies,
        "tiers": tiers.tiers,
    }
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(choices)}; default all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the request counts")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.sections if name not in choices]
    if unknown:
        parser.error(f"no such section: {', '.join(unknown)}")
    results: dict[str, object] = {}
    failed: list[str] = []
    for name in options.sections or list(choices):
        try:
            results[name] = choices[name](options.rounds, options.scale)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            failed.append(name)
            print(f"\n{name}: failed: {error}", file=sys.stderr)
    print("\n" + json.dumps({name: value for name, value in results.items() if value is not None}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
