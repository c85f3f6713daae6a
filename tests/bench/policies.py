"""What an eviction policy costs: nanoseconds that it adds to a hit and to an insertion with eviction.

Everything is measured in one process, in short turns with the same loop without a policy, over the
node's own table; the median of what neighbouring turns differ by counts, so that other work on the
machine does not. Hits are of keys drawn anew in each turn. The loop beside an insertion with eviction
removes and stores as many entries of a table of the same size, oldest first by a plain deque: so the
table's own misses of the processor's caches are not booked to the policy. Flag and counter kinds
(``fifo``, ``clock``, ``sieve``, ``s3fifo``) learn of hits from the counter that the gate keeps in any
case; all others are told of each, and must keep an order.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from random import Random
from typing import final

from nodecore.storage.eviction import POLICIES, make_policy
from nodecore.storage.eviction.adaptive import Adaptive
from nodecore.storage.eviction.interface import EvictionPolicy
from nodecore.storage.shadow_feed import ShadowFeed
from nodecore.table import Table, make_table

HIT_NS_MAX = 10
ORDERED_HIT_NS_MAX = 110
INSERT_NS_MAX = 1700
COUNTED = ("clock", "fifo", "s3fifo", "sieve")
"""Flag and counter kinds."""
_OPERATIONS = 4000
"""Of a turn."""
_HIT_TURNS = 40
_INSERT_TURNS = 8
"""For each round asked for."""
_ENTRY_BYTES = 300
"""Accounting bytes of an entry with a key of 20 bytes and a value of 88."""
_VALUE = b"v" * 88


def _name(number: int) -> bytes:
    return b"key:%016d" % number


def policies(rounds: int, scale: float, wanted: Collection[str] = ()) -> dict[str, float]:
    """Added ns a hit and an insertion with eviction, at 10^3, 10^5 and 10^6 entries times scale."""
    sizes = [max(1000, int(size * scale)) for size in (1000, 100_000, 1_000_000)]
    figures = {}
    print(
        f"\npolicies: ns added to a hit / to insert+evict, at {', '.join(map(str, sizes))} entries"
    )
    names = [name for name in sorted(POLICIES) if name in wanted] if wanted else sorted(POLICIES)
    bare = {size: _Bare(size) for size in sizes}
    kept = True
    for name in names:
        cells = []
        for size in sizes:
            hit_ns, insert_ns = _cost(name, size, rounds, bare[size])
            figures[f"{name} hit {size}"], figures[f"{name} insert {size}"] = hit_ns, insert_ns
            cells.append(f"{hit_ns:6.0f} / {insert_ns:6.0f}")
        hit_max = HIT_NS_MAX if name in COUNTED else ORDERED_HIT_NS_MAX
        within = all(
            figures[f"{name} hit {size}"] <= hit_max
            and figures[f"{name} insert {size}"] <= INSERT_NS_MAX
            for size in sizes
        )
        kept = kept and within
        verdict = f"({'within' if within else 'ABOVE'} {hit_max} / {INSERT_NS_MAX})"
        print(f"  {name:11} " + "   ".join(cells) + f"   {verdict}", flush=True)
    print(f"  every policy is within its limits: {'yes' if kept else 'NO'}")
    return figures


@final
class _Bare:
    """A table of some size without a policy: what goes is the oldest, by a plain deque."""

    def __init__(self, size: int) -> None:
        self.table = make_table()
        self.keys = deque(_name(number) for number in range(size))
        self.fresh = iter(range(size, 1 << 60))
        for key in self.keys:
            self.table.put(key, 0, _VALUE, 1, 1, 0)

    def inserts(self) -> float:
        """Seconds of processor time for all operations."""
        arriving = [_name(next(self.fresh)) for _ in range(_OPERATIONS)]
        table, keys = self.table, self.keys
        started = time.process_time()
        for key in arriving:
            table.remove(keys.popleft())
            table.put(key, 0, _VALUE, 1, 1, 0)
            keys.append(key)
        return time.process_time() - started


def _cost(name: str, size: int, rounds: int, bare: _Bare) -> tuple[float, float]:
    table = make_table()
    table.touches_max = 0
    policy = make_policy(name, size * _ENTRY_BYTES)
    if isinstance(policy, Adaptive):
        # As on a node, whose shadow caches run beside any policy, off the path of requests.
        policy.follow(ShadowFeed(table, size * _ENTRY_BYTES).shadows)
    policy.bind(table, Random(1))
    for number in range(size):
        policy.on_insert(table.put(_name(number), 0, _VALUE, 1, 1, 0))
    rng = Random(2)

    def drawn() -> list[bytes]:
        return [_name(rng.randrange(size)) for _ in range(_OPERATIONS)]

    fresh = iter(range(size, 1 << 60))
    hit = _added(
        _HIT_TURNS * rounds,
        lambda: _hits(table, drawn(), policy),
        lambda: _hits(table, drawn(), None),
    )
    insert = _added(_INSERT_TURNS * rounds, lambda: _inserts(table, fresh, policy), bare.inserts)
    return hit, insert


def _added(turns: int, run: Callable[[], float], bare: Callable[[], float]) -> float:
    """Nanoseconds an operation by which one takes longer than the other; the noise may make it negative."""
    differences = []
    for turn in range(turns):
        # Neither goes first in every turn.
        before = bare() if turn % 2 else 0.0
        spent = run()
        differences.append(spent - (before if turn % 2 else bare()))
    return statistics.median(differences) * 1e9 / _OPERATIONS


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
    keys = [_name(next(fresh)) for _ in range(_OPERATIONS)]
    started = time.process_time()
    for key in keys:
        policy.before_insert(key)
        victim = policy.victim()
        assert victim is not None
        policy.on_evicted(victim)
        table.remove(victim.key)
        policy.on_insert(table.put(key, 0, _VALUE, 1, 1, 0))
    return time.process_time() - started
