"""Load on strong keys: many writers on few hot keys, so that their operations overlap.

Registers take reads, writes, deletes and conditional writes (SET NX); counters take INCR and reads.
Written values are unique. At most five clients work on a key at a time: more overlap makes histories
that no search can judge. ``strong_history`` judges what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

from nodecore.simulation.clients import LostConnection, RespClient, RespError, RespValue, is_unknown
from nodecore.simulation.cluster import SimCluster
from nodecore.simulation.history import History, Operation, Result

PREFIX: Final = b"strong:"


@dataclass(frozen=True, slots=True)
class StrongOptions:
    """Of a strong workload."""

    clients: int = 4
    registers: int = 2
    counters: int = 1
    interval_s: float = 0.08
    """Mean pause of a client between two operations."""
    reads: float = 0.5
    conditional: float = 0.2
    """Share of the changes of a register that are SET NX."""
    deletes: float = 0.15
    """Share of the changes of a register."""
    quiet: int = 0
    """Counters that nobody works on but :meth:`StrongLoad.strike`."""


@final
class StrongLoad:
    """Runs until :meth:`pause`.

    Args:
        cluster: whose nodes.
        history: receives every operation.
        options: how much of what.
        names: the nodes to ask; empty: all.
        label: tells apart the clients, and values, of two loads on the same keys.
    """

    def __init__(
        self,
        cluster: SimCluster,
        history: History,
        options: StrongOptions | None = None,
        *,
        names: Sequence[str] = (),
        label: str = "s",
    ) -> None:
        self._cluster = cluster
        self._history = history
        self._options = options = options or StrongOptions()
        self._rng = cluster.world.rng(f"strong:{label}")
        self._clients = [
            RespClient(cluster, f"{label}{number}", names, turn=number)
            for number in range(options.clients)
        ]
        self._registers = [b"%br%d" % (PREFIX, number) for number in range(options.registers)]
        self._counters = [b"%bc%d" % (PREFIX, number) for number in range(options.counters)]
        self.quiet = [b"%bq%d" % (PREFIX, number) for number in range(options.quiet)]
        self._running = False
        self._values = 0
        self._strikes = 0
        self.open = 0
        """Operations that are under way."""

    def start(self) -> None:
        """Let every client work, one operation at a time."""
        self._running = True
        for client in self._clients:
            self._pause(client)

    def pause(self) -> None:
        """No new operations."""
        self._running = False

    def read_all(self, node: str, timeout_s: float = 20.0) -> None:
        """Read every key once at one node: what stands there at last."""
        client = RespClient(self._cluster, f"final-{node}", [node])
        for key in (*self._registers, *self._counters, *self.quiet):
            self._run(client, Operation(client.name, "read", key, None, 0.0), [b"GET", key])
        self._cluster.wait(lambda: self.open == 0, timeout_s, "every strong operation has ended")

    def strike(self, node: str, key: bytes) -> None:
        """A client of its own raises a counter once, through this node."""
        self._strikes += 1
        client = RespClient(self._cluster, f"strike{self._strikes}", [node])
        self._run(client, Operation(client.name, "incr", key, None, 0.0), [b"INCR", key])

    def _pause(self, client: RespClient) -> None:
        delay_s = self._rng.expovariate(1.0 / self._options.interval_s)
        self._cluster.world.after(delay_s, lambda: self._work(client))

    def _work(self, client: RespClient) -> None:
        if not self._running:
            return
        key = self._rng.choice([*self._registers, *self._counters])
        operation, command = self._draw(client.name, key)
        self._run(client, operation, command, lambda: self._pause(client))

    def _draw(self, client: str, key: bytes) -> tuple[Operation, list[bytes]]:
        rng, options = self._rng, self._options
        if rng.random() < options.reads:
            return Operation(client, "read", key, None, 0.0), [b"GET", key]
        if key in self._counters:
            return Operation(client, "incr", key, None, 0.0), [b"INCR", key]
        drawn = rng.random()
        if drawn < options.deletes:
            return Operation(client, "write", key, None, 0.0), [b"DEL", key]
        self._values += 1
        value = b"%b-%d" % (client.encode(), self._values)
        if drawn < options.deletes + options.conditional:
            return Operation(client, "cas", key, value, 0.0), [b"SET", key, value, b"NX"]
        return Operation(client, "write", key, value, 0.0), [b"SET", key, value]

    def _run(
        self,
        client: RespClient,
        operation: Operation,
        command: list[bytes],
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        operation.begin_s = self._cluster.world.now_s
        operation.connection = client.connection_number()
        operation.node = client.node()
        self._history.begin(operation)
        self.open += 1

        def end(reply: RespValue | LostConnection) -> None:
            self.open -= 1
            note_reply(operation, reply, self._cluster.world.now_s)
            on_end()

        client.command(command, end)


def note_reply(operation: Operation, reply: RespValue | LostConnection, now_s: float) -> None:
    """Take what a strong operation was answered into its record."""
    operation.answered_s = now_s
    if isinstance(reply, LostConnection):
        operation.text = str(reply)
        return
    if isinstance(reply, RespError):
        operation.text = str(reply)
        if operation.kind == "read" or not is_unknown(operation.text):
            operation.result, operation.end_s = Result.FAIL, now_s
        return
    operation.result, operation.end_s = Result.OK, now_s
    match operation.kind:
        case "read":
            assert reply is None or isinstance(reply, bytes), reply
            operation.value = reply
        case "incr":
            assert isinstance(reply, int), reply
            operation.value = b"%d" % reply
        case "cas":
            operation.swapped = reply is not None
