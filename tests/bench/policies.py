"""What an eviction policy costs: nanoseconds that it adds to a hit and to an insertion with eviction.

Everything is measured in one process, alternating with the same loop without a policy, over the
node's own table; the least of the rounds counts, so that other work on the machine does not. Flag
and counter kinds (``fifo``, ``clock``, ``sieve``, ``s3fifo``) learn of hits from the counter that the
gate keeps in any case.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from random import Random

from nodecore.storage.eviction import POLICIES, make_policy
from nodecore.storage.eviction.interface import EvictionPolicy
from nodecore.table import Table, make_table

HIT_NS_MAX = 10
ORDERED_HIT_NS_MAX = 110
INSERT_NS_MAX = 1700
COUNTED = ("clock", "fifo", "s3fifo", "sieve")
ORDERED = ("arc", "lru", "twoq")
"""Kinds with a promise; the others are shown for comparison."""
_OPERATIONS = 20_000
_ENTRY_BYTES = 300
"""Accounting bytes of an entry with a key of 20 bytes and a value of 88."""


def policies(rounds: int, scale: float) -> dict[str, float]:
    """Added ns a hit and an insertion with eviction, at 10^3, 10^5 and 10^6 entries times scale."""
    sizes = [max(1000, int(size * scale)) for size in (1000, 100_000, 1_000_000)]
    figures = {}
    print(
        f"\npolicies: ns added to a hit / to insert+evict, at {', '.join(map(str, sizes))} entries"
    )
    for name in sorted(POLICIES):
        cells = []
        for size in sizes:
            hit_ns, insert_ns = _cost(name, size, rounds)
            figures[f"{name} hit {size}"], figures[f"{name} insert {size}"] = hit_ns, insert_ns
            cells.append(f"{hit_ns:6.0f} / {insert_ns:6.0f}")
        print(
            f"  {name:11} " + "   ".join(cells) + f"   {_verdict(name, sizes, figures)}", flush=True
        )
    return figures


def _verdict(name: str, sizes: list[int], figures: dict[str, float]) -> str:
    if name not in (*COUNTED, *ORDERED):
        return ""
    hit_max = HIT_NS_MAX if name in COUNTED else ORDERED_HIT_NS_MAX
    hit_ns = max(figures[f"{name} hit {size}"] for size in sizes)
    insert_ns = max(figures[f"{name} insert {size}"] for size in sizes)
    kept = hit_ns <= hit_max and insert_ns <= INSERT_NS_MAX
    return f"({'within' if kept else 'ABOVE'} {hit_max} / {INSERT_NS_MAX})"


def _cost(name: str, size: int, rounds: int) -> tuple[float, float]:
    table = make_table()
    table.touches_max = 0
    policy = make_policy(name, size * _ENTRY_BYTES)
    policy.bind(table, Random(1))
    for number in range(size):
        policy.on_insert(table.put(b"key:%016d" % number, 0, b"v" * 88, 1, 1, 0))
    rng = Random(2)
    keys = [b"key:%016d" % rng.randrange(size) for _ in range(_OPERATIONS)]
    fresh = iter(range(size, 1 << 60))
    hit = _added(rounds, lambda: _hits(table, keys, policy), lambda: _hits(table, keys, None))
    insert = _added(rounds, lambda: _inserts(table, fresh, policy), lambda: _plain_inserts(fresh))
    return hit, insert


def _added(rounds: int, run: Callable[[], float], bare: Callable[[], float]) -> float:
    """Least of one less the least of the other, in turns; may fall below 0 by the noise."""
    pairs = [(bare(), run()) for _ in range(max(3, rounds))]
    return (min(pair[1] for pair in pairs) - min(pair[0] for pair in pairs)) * 1e9 / _OPERATIONS


def _hits(table: Table, keys: list[bytes], policy: EvictionPolicy | None) -> float:
    """A hit as the store sees it: find the entry, let the gate's counter tick, tell who wants it."""
    get, touch = table.get, table.touch
    on_hit = policy.on_hit if policy is not None and policy.wants_hits else None
    started = time.process_time()
    if on_hit is None:
        for key in keys:
            entry = get(key)
            assert entry is not None
            touch(key, entry)
    else:
        for key in keys:
            entry = get(key)
            assert entry is not None
            touch(key, entry)
            on_hit(entry)
    return time.process_time() - started


def _inserts(table: Table, fresh: Iterator[int], policy: EvictionPolicy) -> float:
    keys = [b"key:%016d" % next(fresh) for _ in range(_OPERATIONS)]
    started = time.process_time()
    for key in keys:
        policy.before_insert(key)
        victim = policy.victim()
        assert victim is not None
        policy.on_evicted(victim)
        table.remove(victim.key)
        policy.on_insert(table.put(key, 0, b"v" * 88, 1, 1, 0))
    return time.process_time() - started


def _plain_inserts(fresh: Iterator[int]) -> float:
    """The same changes of a table of its own, oldest first, with nobody to order them."""
    table = make_table()
    keys = [b"key:%016d" % next(fresh) for _ in range(2 * _OPERATIONS)]
    for key in keys[:_OPERATIONS]:
        table.put(key, 0, b"v" * 88, 1, 1, 0)
    started = time.process_time()
    for old, key in zip(keys[:_OPERATIONS], keys[_OPERATIONS:], strict=True):
        table.remove(old)
        table.put(key, 0, b"v" * 88, 1, 1, 0)
    return time.process_time() - started
