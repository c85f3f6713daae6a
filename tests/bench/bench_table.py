"""In-process costs of both tables: ns per served command, per insertion with eviction, bytes an entry.

Run as ``python -m tests.bench.bench_table [entries]``; pytest does not collect it.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from nodecore.ids import SLOTS_COUNT, Now, Version
from nodecore.storage.causes import Cause
from nodecore.storage.eviction import make_policy
from nodecore.storage.memory import Store
from nodecore.table import Table, TableNotBuiltError, make_table

ENTRIES = 400_000
VALUE = b"v" * 100
BATCH = 64


def name_of(number: int) -> bytes:
    return b"key:%016d" % number


def resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmRSS in /proc/self/status")


def opened(choice: str) -> Table:
    table = make_table(choice)
    table.set_slots(bytes([3]) * SLOTS_COUNT)
    table.open_gate(1)
    return table


def nanoseconds(run: Callable[[], int]) -> float:
    """Processor time per operation, best of five; ``run`` returns how many operations it did."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time_ns()
        operations = run()
        best = min(best, (time.process_time_ns() - start) / operations)
    return best


def pipelines(commands: list[bytes]) -> list[bytes]:
    return [b"".join(commands[at : at + BATCH]) for at in range(0, len(commands), BATCH)]


def serve_all(table: Table, data: list[bytes]) -> int:
    for chunk in data:
        assert table.serve(chunk, 1, b"$-1\r\n")[1] == len(chunk)
    table.touched.clear()
    table.written.clear()
    table.inserted.clear()
    return len(data) * BATCH


def bench_serve(choice: str) -> tuple[float, float]:
    table = opened(choice)
    names = [name_of(number) for number in range(100_000)]
    sets = [b"*3\r\n$3\r\nSET\r\n$20\r\n%b\r\n$100\r\n%b\r\n" % (name, VALUE) for name in names]
    Random(1).shuffle(names)
    gets = [b"*2\r\n$3\r\nGET\r\n$20\r\n%b\r\n" % name for name in names]
    chunks_set, chunks_get = pipelines(sets[:99_968]), pipelines(gets[:99_968])
    serve_all(table, pipelines(sets))
    return (
        nanoseconds(lambda: serve_all(table, chunks_get)),
        nanoseconds(lambda: serve_all(table, chunks_set)),
    )


def bench_insert_and_evict(choice: str, policy: str) -> float:
    bytes_max = 16 * 1024 * 1024
    store = Store(opened(choice), make_policy(policy, bytes_max), bytes_max, Random(1))
    now = Now(1.0, 1000)
    number = 0

    def run() -> int:
        nonlocal number
        for _ in range(100_000):
            number += 1
            store.apply(name_of(number), 0, VALUE, Version(number, 1), 0, Cause.CLIENT, now)
            if number % 10_000 == 0:
                store.tick(now)
        return 100_000

    return nanoseconds(run)


def bench_batches(choice: str) -> tuple[float, float]:
    store = Store(opened(choice), make_policy("s3fifo", 1 << 30), 1 << 30, Random(1))
    now = Now(1.0, 1000)
    names = [name_of(number) for number in range(100_000)]
    hlc = 0

    def put() -> int:
        nonlocal hlc
        for at in range(0, len(names), 100):
            hlc += 1
            part = names[at : at + 100]
            store.apply_batch(part, [VALUE] * 100, Version(hlc, 1), 0, Cause.CLIENT, now)
        return len(names)

    def get() -> int:
        for at in range(0, len(names), 100):
            store.table.multi_get(names[at : at + 100], 1)
        store.table.touched.clear()
        store.table.written.clear()
        return len(names)

    return nanoseconds(put), nanoseconds(get)


def bench_memory(choice: str, entries: int) -> tuple[float, float, float]:
    """(bytes an entry, accounted bytes an entry, milliseconds of a full collection)."""
    gc.collect()
    table = opened(choice)
    store = Store(table, make_policy("s3fifo", 1 << 32), 1 << 32, Random(1))
    before = resident_bytes()
    for number in range(entries):
        command = b"*3\r\n$3\r\nSET\r\n$20\r\n%b\r\n$100\r\n%b\r\n" % (name_of(number), VALUE)
        table.serve(command, 1, b"$-1\r\n")
        if number % 10_000 == 9_999:
            store.tick(Now(1.0, 1000))
    store.tick(Now(1.0, 1000))
    used = resident_bytes() - before
    start = time.perf_counter_ns()
    gc.collect()
    pause_ms = (time.perf_counter_ns() - start) / 1e6
    return used / entries, store.memory_bytes / entries, pause_ms


def row(title: str, *figures: float) -> None:
    print(f"{title:<34}" + "".join(f"{figure:>12.1f}" for figure in figures))


def main() -> None:
    if len(sys.argv) == 4:
        print(*bench_memory(sys.argv[2], int(sys.argv[3])))
        return
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES
    choices = ["compiled", "reference"]
    try:
        make_table("compiled")
    except TableNotBuiltError as error:
        print(error, file=sys.stderr)
        choices = ["reference"]
    print(f"{'':<34}" + "".join(f"{choice:>12}" for choice in choices))
    served = [bench_serve(choice) for choice in choices]
    row("served GET, ns", *(pair[0] for pair in served))
    row("served SET (overwrite), ns", *(pair[1] for pair in served))
    batches = [bench_batches(choice) for choice in choices]
    row("apply_batch of 100, ns a key", *(pair[0] for pair in batches))
    row("multi_get of 100, ns a key", *(pair[1] for pair in batches))
    for policy in ("s3fifo", "lru"):
        figures = [bench_insert_and_evict(choice, policy) for choice in choices]
        row(f"apply + evict, {policy}, ns", *figures)
    memory = []
    for choice in choices:
        # A process of its own, so that nothing else has stretched the heap.
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.bench_table", "memory", choice, str(entries)],
            capture_output=True, text=True, check=True, timeout=300,
        )  # fmt: skip
        memory.append([float(part) for part in done.stdout.split()])
    row(f"bytes an entry of {entries}, resident", *(figures[0] for figures in memory))
    row("bytes an entry, accounted", *(figures[1] for figures in memory))
    row("full collection, ms", *(figures[2] for figures in memory))


if __name__ == "__main__":
    main()
