"""Load by the Python client, as its own process: prints keys/s of mget and mset as JSON, and the
processor time a key of the client and all nodes together, which other work on the machine skews less.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from dataclasses import dataclass, field

import trio

from nodecore.client import Client
from tests.bench.servers import Server

BATCHES = (100, 200, 1000)
KEYS = 20_000
FLIGHTS = 8


@dataclass
class Costs:
    """Rates and processor times, by what was measured."""

    servers: list[Server]
    rates: dict[str, list[float]] = field(default_factory=dict)
    cpu_us: dict[str, list[float]] = field(default_factory=dict)

    def begin(self) -> tuple[float, float]:
        """What :meth:`end` subtracts."""
        return time.perf_counter(), self._cpu_s()

    def end(self, began: tuple[float, float], title: str, keys: int) -> None:
        """So many keys were moved since."""
        elapsed_s, used_s = time.perf_counter() - began[0], self._cpu_s() - began[1]
        self.rates.setdefault(title, []).append(keys / elapsed_s)
        self.cpu_us.setdefault(title, []).append(used_s / keys * 1e6)

    def medians(self) -> dict[str, float]:
        """Keys/s by title, and microseconds of CPU a key by title and ``_cpu_us``."""
        figures = {title: statistics.median(samples) for title, samples in self.rates.items()}
        for title, samples in self.cpu_us.items():
            figures[f"{title}_cpu_us"] = statistics.median(samples)
        return figures

    def _cpu_s(self) -> float:
        own = resource.getrusage(resource.RUSAGE_SELF)
        return own.ru_utime + own.ru_stime + sum(server.cpu_s() for server in self.servers)


def all_keys() -> list[bytes]:
    """The keys of one pass."""
    return [b"key:%016d" % index for index in range(KEYS)]


def passes_of(scale: float) -> int:
    """How often all keys are moved for one sample."""
    return max(1, int(10 * scale))


async def run(
    targets: list[str], rounds: int, scale: float, nodes: list[Server]
) -> dict[str, float]:
    """Medians over the rounds, see :class:`Costs`."""
    keys = all_keys()
    value = b"x" * 100
    costs = Costs(nodes)
    async with Client.connect(targets) as client:

        async def flight(name: str, batches: list[list[bytes]]) -> None:
            for batch in batches:
                if name == "mset":
                    await client.mset(dict.fromkeys(batch, value), timeout_s=10.0)
                else:
                    answer = await client.mget(batch, timeout_s=10.0)
                    assert answer.count(value) == len(batch)

        for _ in range(rounds):
            for size in BATCHES:
                batches = [keys[start : start + size] for start in range(0, KEYS, size)]
                for name in ("mset", "mget"):
                    began = costs.begin()
                    for _ in range(passes_of(scale)):
                        async with trio.open_nursery() as nursery:
                            for part in range(FLIGHTS):
                                nursery.start_soon(flight, name, batches[part::FLIGHTS])
                    costs.end(began, f"{name} of {size}", KEYS * passes_of(scale))
    return costs.medians()


if __name__ == "__main__":
    pids = [int(pid) for pid in sys.argv[4].split(",")]
    servers = [Server("node", pid, 0) for pid in pids]
    print(
        json.dumps(
            trio.run(run, sys.argv[1].split(","), int(sys.argv[2]), float(sys.argv[3]), servers)
        )
    )
