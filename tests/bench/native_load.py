"""Load by the Python client, as its own process: prints keys/s of mget and mset as JSON."""

from __future__ import annotations

import json
import statistics
import sys
import time

import trio

from nodecore.client import Client

BATCH = 200
FLIGHTS = 8


async def run(targets: list[str], rounds: int, scale: float) -> dict[str, float]:
    keys = [b"key:%016d" % index for index in range(20_000)]
    batches = [keys[start : start + BATCH] for start in range(0, len(keys), BATCH)]
    value = b"x" * 100
    figures: dict[str, list[float]] = {"mset": [], "mget": []}
    async with Client.connect(targets) as client:

        async def flight(name: str, part: int) -> None:
            for batch in batches[part::FLIGHTS]:
                if name == "mset":
                    await client.mset(dict.fromkeys(batch, value), timeout_s=10.0)
                else:
                    answer = await client.mget(batch, timeout_s=10.0)
                    assert all(entry == value for entry in answer)

        passes = max(1, int(5 * scale))
        for _ in range(rounds):
            for name in figures:
                start = time.perf_counter()
                for _ in range(passes):
                    async with trio.open_nursery() as nursery:
                        for part in range(FLIGHTS):
                            nursery.start_soon(flight, name, part)
                figures[name].append(len(keys) * passes / (time.perf_counter() - start))
    return {name: statistics.median(samples) for name, samples in figures.items()}


if __name__ == "__main__":
    print(json.dumps(trio.run(run, sys.argv[1].split(","), int(sys.argv[2]), float(sys.argv[3]))))
