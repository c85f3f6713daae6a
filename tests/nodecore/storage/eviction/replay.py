"""Runs a sequence of requests through a policy over a real table and counts the misses."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cache
from random import Random

from nodecore.storage.eviction.interface import EvictionPolicy
from nodecore.table import make_table


def misses(policy: EvictionPolicy, objects_max: int, requests: Sequence[int]) -> int:
    table = make_table()
    table.touches_max = 0
    policy.bind(table, Random(1))
    missed = 0
    for number in requests:
        key = b"%d" % number
        entry = table.get(key)
        if entry is not None:
            table.touch(key, entry)
            policy.on_hit(entry)
            continue
        missed += 1
        policy.before_insert(key)
        while len(table) >= objects_max:
            victim = policy.victim()
            assert victim is not None
            policy.on_evicted(victim)
            table.remove(victim.key)
        policy.on_insert(table.put(key, 0, b"", 1, 1, 0))
    return missed


def zipf(count: int, objects: int, alpha: float, seed: int) -> list[int]:
    cumulative = list(itertools.accumulate((rank + 1) ** -alpha for rank in range(objects)))
    draw = Random(seed).random
    return [bisect_left(cumulative, draw() * cumulative[-1]) for _ in range(count)]


def loop(count: int, objects: int, base: int = 0) -> list[int]:
    return [base + number % objects for number in range(count)]


def scan_mix() -> list[int]:
    mixed, scanned = [], 10**6
    popular = zipf(60_000, 10_000, 1.0, 4)
    for start in range(0, len(popular), 2000):
        mixed += popular[start : start + 2000]
        mixed += range(scanned, scanned + 1000)
        scanned += 1000
    return mixed


def phases() -> list[int]:
    last = [30_000 + number for number in zipf(40_000, 10_000, 1.0, 6)]
    return zipf(40_000, 10_000, 1.0, 5) + loop(40_000, 1300, 20_000) + last


TRACES: dict[str, Callable[[], list[int]]] = {
    "zipf08": lambda: zipf(100_000, 10_000, 0.8, 1),
    "zipf10": lambda: zipf(100_000, 10_000, 1.0, 2),
    "zipf12": lambda: zipf(100_000, 10_000, 1.2, 3),
    "loop1100": lambda: loop(50_000, 1100),
    "scanmix": scan_mix,
    "phases": phases,
}


@cache
def trace(name: str) -> tuple[int, ...]:
    return tuple(TRACES[name]())
