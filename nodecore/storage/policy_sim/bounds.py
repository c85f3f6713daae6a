"""What no policy can beat: the misses of a cache that knows the future.

Objects of one size: Belady's rule, evict what is asked for again last, is exact for caches that store
every miss, as this one does. Objects of
different sizes: the exact optimum is out of reach (NP-hard), so a bound is given that is never above
it. PFOO-L spends capacity x requests as one budget on the intervals between two requests for an
object, cheapest first; a real cache must also fit at every moment. It measures nothing and decides
nothing about a live cache.

Belady, "A study of replacement algorithms for a virtual-storage computer", 1966; Berger, Beckmann,
Harchol-Balter, "Practical bounds on optimal caching with variable object sizes", 2018.
"""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_right
from itertools import accumulate
from typing import Final, final

from nodecore.storage.policy_sim.trace import Trace

_NEVER: Final = (1 << 32) - 1
_SLACK: Final = 1024


def next_uses(trace: Trace) -> array[int]:
    """Per request the position of the next request for the same key; 2^32 - 1 when there is none."""
    following = array("I", [_NEVER]) * len(trace)
    seen = array("I", [_NEVER]) * len(trace.keys)
    requests = trace.requests
    for position in range(len(requests) - 1, -1, -1):
        number = requests[position]
        following[position] = seen[number]
        seen[number] = position
    return following


def belady_misses(trace: Trace, following: array[int], objects_max: int) -> int:
    """Misses of the optimal cache of ``objects_max`` objects of one size.

    Args:
        trace: the requests.
        following: what ``next_uses`` gave for it.
        objects_max: at least 1.
    """
    held = bytearray(len(trace.keys))
    requests = trace.requests
    # Negated positions of the next use of what is held; those that have passed are stale, and lie
    # at the bottom, as every position ahead is greater.
    ahead: list[int] = []
    useless: list[int] = []
    used = misses = 0
    for position, number in enumerate(requests):
        if not held[number]:
            misses += 1
            if used >= objects_max:
                gone = useless.pop() if useless else requests[-heapq.heappop(ahead)]
                held[gone] = 0
                used -= 1
            held[number] = 1
            used += 1
        coming = following[position]
        if coming == _NEVER:
            useless.append(number)
        else:
            heapq.heappush(ahead, -coming)
            if len(ahead) > 2 * objects_max + _SLACK:
                ahead = [place for place in ahead if -place > position]
                heapq.heapify(ahead)
    return misses


@final
class SizedBound:
    """PFOO-L over one trace with sizes, for any number of capacities.

    Args:
        trace: the requests, with sizes.
        following: what ``next_uses`` gave for it.
    """

    def __init__(self, trace: Trace, following: array[int]) -> None:
        assert trace.sizes is not None
        self._requests = len(trace)
        sizes = trace.sizes
        again = [position for position, coming in enumerate(following) if coming != _NEVER]
        costs = array("Q", (sizes[at] * (following[at] - at) for at in again))
        self._costs = array("Q", accumulate(sorted(costs)))
        # For bytes, an interval pays by its length alone: cheapest first per byte hit.
        shortest = sorted(again, key=lambda at: following[at] - at)
        self._costs_by_length = array(
            "Q", accumulate(sizes[at] * (following[at] - at) for at in shortest)
        )
        self._bytes_hit = array("Q", accumulate(sizes[following[at]] for at in shortest))
        self._bytes_total = trace.bytes_total

    def misses(self, bytes_max: int) -> int:
        """At least so many requests miss."""
        return self._requests - bisect_right(self._costs, bytes_max * self._requests)

    def missed_bytes(self, bytes_max: int) -> int:
        """At least so many bytes miss, in a cache that minimises them."""
        count = bisect_right(self._costs_by_length, bytes_max * self._requests)
        # The interval that fits in part may count in whole: the bound stays below the optimum.
        count = min(count + 1, len(self._bytes_hit))
        return self._bytes_total - (self._bytes_hit[count - 1] if count else 0)
