"""The eviction policies once more, as naively as they can be written: lists, and a look at all of it.

A model names every key that its policy may evict next: one, except where equals may be told apart by
either. Capacities count objects; ``gdsf`` alone looks at sizes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

READS_TOP = 3


class Model(ABC):
    """Order among the keys of a cache of ``limit`` objects."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.asked = -1

    def arriving(self, key: int) -> None:
        """A key that is not held will be inserted; room is made first."""
        self.asked = key

    @abstractmethod
    def insert(self, key: int, size: int, expires_ms: int) -> None: ...

    @abstractmethod
    def hit(self, key: int, expires_ms: int) -> None: ...

    @abstractmethod
    def remove(self, key: int) -> None: ...

    @abstractmethod
    def victims(self) -> set[int]:
        """Who may be next; called once before each ``evict``."""

    def evict(self, key: int) -> None:
        self.remove(key)


class Fifo(Model):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.queue: list[int] = []
        self.reads: dict[int, int] = {}

    def insert(self, key: int, size: int, expires_ms: int) -> None:
        self.queue.append(key)
        self.reads[key] = 0

    def hit(self, key: int, expires_ms: int) -> None:
        self.reads[key] = min(READS_TOP, self.reads[key] + 1)

    def remove(self, key: int) -> None:
        self.queue.remove(key)

    def victims(self) -> set[int]:
        return set(self.queue[:1])


class Lru(Fifo):
    def hit(self, key: int, expires_ms: int) -> None:
        self.queue.remove(key)
        self.queue.append(key)


class Clock(Fifo):
    def victims(self) -> set[int]:
        while self.reads[self.queue[0]]:
            self.reads[self.queue[0]] = 0
            self.queue.append(self.queue.pop(0))
        return super().victims()


class Sieve(Fifo):
    hand = 0

    def victims(self) -> set[int]:
        if self.hand >= len(self.queue):
            self.hand = 0
        while self.reads[self.queue[self.hand]]:
            self.reads[self.queue[self.hand]] = 0
            self.hand = (self.hand + 1) % len(self.queue)
        return {self.queue[self.hand]}

    def evict(self, key: int) -> None:
        was_newest = self.hand == len(self.queue) - 1
        self.queue.remove(key)
        if was_newest:
            self.hand = 0


class Lfu(Model):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.uses: dict[int, tuple[int, int]] = {}
        """Key -> (uses, when it came to have so many)."""
        self.now = 0

    def _count(self, key: int, uses: int) -> None:
        self.now += 1
        self.uses[key] = (uses, self.now)

    def insert(self, key: int, size: int, expires_ms: int) -> None:
        self._count(key, 1)

    def hit(self, key: int, expires_ms: int) -> None:
        self._count(key, self.uses[key][0] + 1)

    def remove(self, key: int) -> None:
        del self.uses[key]

    def victims(self) -> set[int]:
        return {min(self.uses, key=lambda key: self.uses[key])}


class S3Fifo(Model):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.small: list[int] = []
        self.main: list[int] = []
        self.ghosts: list[int] = []
        self.reads: dict[int, int] = {}
        self.has_evicted = self.returns = False

    def arriving(self, key: int) -> None:
        self.returns = key in self.ghosts
        if self.returns:
            self.ghosts.remove(key)

    def insert(self, key: int, size: int, expires_ms: int) -> None:
        self.reads[key] = 0
        filling = not self.has_evicted and len(self.small) >= int(self.limit * 0.1)
        (self.main if self.returns or filling else self.small).append(key)

    def hit(self, key: int, expires_ms: int) -> None:
        self.reads[key] = min(READS_TOP, self.reads[key] + 1)

    def remove(self, key: int) -> None:
        (self.small if key in self.small else self.main).remove(key)

    def victims(self) -> set[int]:
        self.has_evicted = True
        main_max = self.limit - int(self.limit * 0.1)
        while True:
            if len(self.main) > main_max or not self.small:
                oldest = self.main[0]
                if not self.reads[oldest]:
                    return {oldest}
                self.reads[oldest] -= 1
                self.main.append(self.main.pop(0))
            else:
                oldest = self.small[0]
                if self.reads[oldest] < 2:
                    return {oldest}
                self.reads[oldest] = 0
                self.main.append(self.small.pop(0))

    def evict(self, key: int) -> None:
        if key in self.small:
            self.ghosts.append(key)
            del self.ghosts[: -(self.limit - int(self.limit * 0.1))]
        self.remove(key)


class TwoQ(Model):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.arrived: list[int] = []
        self.main: list[int] = []
        self.left: list[int] = []
        self.returns = False

    def arriving(self, key: int) -> None:
        self.returns = key in self.left
        if self.returns:
            self.left.remove(key)

    def insert(self, key: int, size: int, expires_ms: int) -> None:
        (self.main if self.returns else self.arrived).append(key)

    def hit(self, key: int, expires_ms: int) -> None:
        if key in self.main:
            self.main.remove(key)
            self.main.append(key)

    def remove(self, key: int) -> None:
        (self.main if key in self.main else self.arrived).remove(key)

    def victims(self) -> set[int]:
        from_main = self.main and len(self.arrived) <= int(self.limit * 0.25)
        return {(self.main if from_main else self.arrived)[0]}

    def evict(self, key: int) -> None:
        if key in self.arrived:
            self.left.append(key)
            del self.left[: -int(self.limit * 0.5)]
        self.remove(key)


class Arc(Model):
    """T1, T2, B1, B2 and p of the paper."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.t1: list[int] = []
        self.t2: list[int] = []
        self.b1: list[int] = []
        self.b2: list[int] = []
        self.p = 0.0
        self.key = -1
        self.forgets = False

    def arriving(self, key: int) -> None:
        self.key, self.forgets = key, False
        if key in self.b1:
            self.p = min(float(self.limit), self.p + max(1.0, len(self.b2) / len(self.b1)))
        elif key in self.b2:
            self.p = max(0.0, self.p - max(1.0, len(self.b1) / len(self.b2)))
        elif len(self.t1) + len(self.b1) >= self.limit:
            self.forgets = len(self.t1) >= self.limit
            self.b1 = self.b1[1:]
        elif len(self.t1) + len(self.t2) + len(self.b1) + len(self.b2) >= 2 * self.limit:
            self.b2 = self.b2[1:]

    def insert(self, key: int, size: int, expires_ms: int) -> None:
        returns = key in self.b1 or key in self.b2
        self.b1 = [ghost for ghost in self.b1 if ghost != key]
        self.b2 = [ghost for ghost in self.b2 if ghost != key]
        (self.t2 if returns else self.t1).append(key)

    def hit(self, key: int, expires_ms: int) -> None:
        self.remove(key)
        self.t2.append(key)

    def remove(self, key: int) -> None:
        (self.t1 if key in self.t1 else self.t2).remove(key)

    def victims(self) -> set[int]:
        returns = self.key in self.b2
        full = len(self.t1) > self.p or (returns and len(self.t1) == self.p)
        return {(self.t1 if self.t1 and (self.forgets or full or not self.t2) else self.t2)[0]}

    def evict(self, key: int) -> None:
        if key in self.t1:
            if not self.forgets:
                self.b1.append(key)
        else:
            self.b2.append(key)
        self.remove(key)


class Gdsf(Model):
    """Whoever is worth least, to within an eighth of its uses by size."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.floor = 0.0
        self.entries: dict[int, tuple[int, int, float]] = {}
        """Key -> (size, uses, priority)."""

    def insert(self, key: int, size: int, expires_ms: int) -> None:
        self.entries[key] = (size, 1, self.floor + 1 / size)

    def hit(self, key: int, expires_ms: int) -> None:
        size, uses, _ = self.entries[key]
        self.entries[key] = (size, uses + 1, self.floor + (uses + 1) / size)

    def remove(self, key: int) -> None:
        del self.entries[key]

    def victims(self) -> set[int]:
        limit = min(
            priority + uses / size / 8 + 1e-9 for size, uses, priority in self.entries.values()
        )
        return {key for key, entry in self.entries.items() if entry[2] <= limit}

    def evict(self, key: int) -> None:
        self.floor = max(self.floor, self.entries.pop(key)[2])


class Ttl(Model):
    """Equal expiries are settled by either."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.expiries: dict[int, int] = {}

    def insert(self, key: int, size: int, expires_ms: int) -> None:
        self.expiries[key] = expires_ms or 1 << 63

    def hit(self, key: int, expires_ms: int) -> None:
        self.insert(key, 1, expires_ms)

    def remove(self, key: int) -> None:
        del self.expiries[key]

    def victims(self) -> set[int]:
        soonest = min(self.expiries.values())
        return {key for key, expires_ms in self.expiries.items() if expires_ms == soonest}


class Held(Model):
    """For policies that draw lots or age: whatever is held may go, and nothing else."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.held: dict[int, None] = {}

    def insert(self, key: int, size: int, expires_ms: int) -> None:
        self.held[key] = None

    def hit(self, key: int, expires_ms: int) -> None:
        assert key in self.held

    def remove(self, key: int) -> None:
        del self.held[key]

    def victims(self) -> set[int]:
        return set(self.held)


MODELS: dict[str, Callable[[int], Model]] = {
    "fifo": Fifo,
    "lru": Lru,
    "clock": Clock,
    "sieve": Sieve,
    "lfu-unaged": Lfu,
    "s3fifo": S3Fifo,
    "twoq": TwoQ,
    "arc": Arc,
    "gdsf": Gdsf,
    "ttl": Ttl,
    "lfu": Held,
    "tinylfu": Held,
    "adaptive": Held,
}
