"""Load for simulated clusters: clients that write and read keys of Zipf-like popularity.

Each key is written by one client alone, with values that name key and sequence, and read by all.
So every checker knows for each value when it was written, and which acknowledged write a reader
must at least see, without guessing an order among concurrent writers. Client i takes the keys that
are i modulo the number of clients: each has popular and unpopular ones.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import final

from nodecore.simulation.clients import RecordingClient, RespClient
from nodecore.simulation.cluster import SimCluster
from nodecore.simulation.history import History


@dataclass(frozen=True, slots=True)
class WorkloadOptions:
    """Of a workload."""

    clients: int = 4
    keys: int = 60
    interval_s: float = 0.01
    """Mean pause of a client between two operations."""
    writes: float = 0.4
    deletes: float = 0.1
    """Share of the writes."""
    zipf: float = 0.9
    filler_bytes: int = 40
    """Values carry less than this beyond their name."""
    levels: tuple[bytes, ...] = (b"",)
    """Consistency levels that the clients ask for, in turn; empty: the default."""
    roam: bool = False
    """Clients go to nodes that join later, too."""


@final
class Zipf:
    """Numbers below ``count``; number k is drawn with a weight of 1 / (k + 1) ** exponent."""

    def __init__(self, count: int, exponent: float, rng: Random) -> None:
        self._rng = rng
        self._sums = list(accumulate(1.0 / (rank + 1) ** exponent for rank in range(count)))

    def draw(self) -> int:
        """The next number."""
        return bisect_left(self._sums, self._rng.random() * self._sums[-1])


def value_of(key: bytes, sequence: int, filler_bytes: int = 40) -> bytes:
    """The value that the ``sequence``-th write of a key carries."""
    filler = sequence * 7 % max(1, filler_bytes)
    return b"%b#%d#%d#" % (key, sequence, filler) + b"x" * filler


def sequence_of(key: bytes, value: bytes) -> int | None:
    """Which write of the key a value comes from; None: from none."""
    parts = value.split(b"#", 3)
    if len(parts) != 4 or parts[0] != key or not (parts[1].isdigit() and parts[2].isdigit()):
        return None
    return int(parts[1]) if parts[3] == b"x" * int(parts[2]) else None


@final
class Workload:
    """Runs until :meth:`stop`; the history is what it is for.

    Args:
        cluster: whose nodes.
        history: receives every operation.
        options: how much of what.
        names: the nodes to ask; empty: all.
        prefix: of the keys.
    """

    def __init__(
        self,
        cluster: SimCluster,
        history: History,
        options: WorkloadOptions | None = None,
        *,
        names: Sequence[str] = (),
        prefix: bytes = b"key",
    ) -> None:
        self._cluster = cluster
        self.options = options or WorkloadOptions()
        self.history = history
        self.keys = [b"%b:%d" % (prefix, number) for number in range(self.options.keys)]
        self._sequences = dict.fromkeys(self.keys, 0)
        self._rng = cluster.world.rng(f"workload:{prefix.decode()}")
        self._zipf = Zipf(self.options.keys, self.options.zipf, self._rng)
        self._resting: dict[bytes, None] = {}
        self._running = False
        self._flying = 0
        self.clients: list[RecordingClient] = []
        for number in range(self.options.clients):
            asked = [] if self.options.roam else list(names) or list(map(str, cluster.processes))
            level = self.options.levels[number % len(self.options.levels)]
            name = f"c{number}" if prefix == b"key" else f"{prefix.decode()}-{number}"
            client = RespClient(cluster, name, asked, turn=number, level=level)
            self.clients.append(RecordingClient(cluster, history, client))

    def preload(self, timeout_s: float = 20.0) -> None:
        """Write every key once, and wait."""
        for index, key in enumerate(self.keys):
            self._write(self.clients[index % len(self.clients)], key, deleting=False)
        self._settle(timeout_s)

    def start(self) -> None:
        """Let every client work."""
        self._running = True
        for number in range(len(self.clients)):
            self._pause(number)

    def pause(self) -> None:
        """No new operations."""
        self._running = False

    def rest(self) -> None:
        """From now on leave half of the keys alone.

        What some owner has missed of them nobody writes anew: the cluster must make up for it.
        """
        chosen = self._rng.sample(self.keys, len(self.keys) // 2)
        self._resting = dict.fromkeys(chosen)

    def stop(self, timeout_s: float = 10.0) -> None:
        """No new operations; wait for those under way."""
        self.pause()
        self._settle(timeout_s)

    def read_all(self, node: str = "", timeout_s: float = 20.0) -> None:
        """Read every key once more, at one node or by the clients in turn."""
        readers = self.clients
        if node:
            client = RespClient(self._cluster, f"final-{node}", [node])
            readers = [RecordingClient(self._cluster, self.history, client)]
        for index, key in enumerate(self.keys):
            self._flying += 1
            readers[index % len(readers)].read(key, self._landed)
        self._settle(timeout_s)

    def _settle(self, timeout_s: float) -> None:
        self._cluster.wait(lambda: self._flying == 0, timeout_s, "every operation has ended")

    def _landed(self) -> None:
        self._flying -= 1

    def _pause(self, number: int) -> None:
        delay_s = self._rng.expovariate(1.0 / self.options.interval_s)
        self._cluster.world.after(delay_s, lambda: self._work(number))

    def _work(self, number: int) -> None:
        if not self._running:
            return
        rank = self._zipf.draw()
        writes = number < len(self.keys) and self._rng.random() < self.options.writes
        if writes:
            # The nearest key that this client alone writes.
            rank -= rank % len(self.clients)
            rank = min(rank + number, len(self.keys) - 1)
            rank -= (rank - number) % len(self.clients)
        deleting = writes and self._rng.random() < self.options.deletes
        key = self.keys[rank]
        if key not in self._resting:
            client = self.clients[number]
            if writes:
                self._write(client, key, deleting=deleting)
            else:
                self._flying += 1
                client.read(key, self._landed)
        self._pause(number)

    def _write(self, client: RecordingClient, key: bytes, *, deleting: bool) -> None:
        self._sequences[key] += 1
        sequence = self._sequences[key]
        self._flying += 1
        value = None if deleting else value_of(key, sequence, self.options.filler_bytes)
        client.write(key, value, sequence, self._landed)
