"""Load by the Python client, as its own process: prints keys/s of mget and mset as JSON, and the
processor time a key of the client and all nodes together, which other work on the machine skews less.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time

import trio

from nodecore.client import Client
from tests.bench.servers import Server

BATCHES = (100, 200, 1000)
KEYS = 20_000
FLIGHTS = 8


def cpu_s(nodes: list[Server]) -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime + sum(node.cpu_s() for node in nodes)


async def run(
    targets: list[str], rounds: int, scale: float, nodes: list[Server]
) -> dict[str, float]:
    keys = [b"key:%016d" % index for index in range(KEYS)]
    value = b"x" * 100
    rates: dict[str, list[float]] = {}
    costs: dict[str, list[float]] = {}
    async with Client.connect(targets) as client:

        async def flight(name: str, batches: list[list[bytes]]) -> None:
            for batch in batches:
                if name == "mset":
                    await client.mset(dict.fromkeys(batch, value), timeout_s=10.0)
                else:
                    answer = await client.mget(batch, timeout_s=10.0)
                    assert answer.count(value) == len(batch)

        passes = max(1, int(10 * scale))
        for _ in range(rounds):
            for size in BATCHES:
                batches = [keys[start : start + size] for start in range(0, KEYS, size)]
                for name in ("mset", "mget"):
                    start, before = time.perf_counter(), cpu_s(nodes)
                    for _ in range(passes):
                        async with trio.open_nursery() as nursery:
                            for part in range(FLIGHTS):
                                nursery.start_soon(flight, name, batches[part::FLIGHTS])
                    elapsed_s, used_s = time.perf_counter() - start, cpu_s(nodes) - before
                    title = f"{name} of {size}"
                    rates.setdefault(title, []).append(KEYS * passes / elapsed_s)
                    costs.setdefault(title, []).append(used_s / (KEYS * passes) * 1e6)
    figures = {name: statistics.median(samples) for name, samples in rates.items()}
    for name, samples in costs.items():
        figures[f"{name}_cpu_us"] = statistics.median(samples)
    return figures


if __name__ == "__main__":
    pids = [int(pid) for pid in sys.argv[4].split(",")]
    servers = [Server("node", pid, 0) for pid in pids]
    print(
        json.dumps(
            trio.run(run, sys.argv[1].split(","), int(sys.argv[2]), float(sys.argv[3]), servers)
        )
    )
