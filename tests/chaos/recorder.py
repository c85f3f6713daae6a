"""Clients of real nodes that write down what they asked and what they were told.

All clients are threads of one process and take their times from its monotonic clock. An outcome is
``ok``, ``fail`` (certainly not applied) or ``info`` (unknown); after an unknown outcome a client's name
is retired and the thread goes on under a new one, on a new connection, at another node. Values are
unique. The histories are those of the simulation, so its checkers judge them.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final

from nodecore.simulation.clients import (
    LostConnection,
    ReplyReader,
    RespError,
    RespValue,
    encode_command,
    is_unknown,
)
from nodecore.simulation.history import FOREVER, History, Operation, Result
from nodecore.simulation.strong_load import note_reply
from nodecore.simulation.workload import value_of

REPLY_S_MAX: Final = 5.0
"""A client waits longer than any node does."""
CONNECT_S_MAX: Final = 1.0
RECEIVE_BYTES: Final = 65_536


class Session:
    """One connection to a node's Redis door.

    Raises:
        OSError: the node accepts no connection.
    """

    def __init__(self, address: str, level: bytes = b"") -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), CONNECT_S_MAX)
        self._socket.settimeout(REPLY_S_MAX)
        self._reader = ReplyReader()
        if level and isinstance(self.ask([b"RINGDECK", b"LEVEL", level]), LostConnection):
            self.close()
            raise ConnectionError(f"{address} accepts connections and does not answer")

    def ask(self, command: Sequence[bytes]) -> RespValue | LostConnection:
        """Send a command and wait for its reply."""
        deadline_s = time.monotonic() + REPLY_S_MAX
        try:
            self._socket.sendall(encode_command(command))
            while time.monotonic() < deadline_s:
                data = self._socket.recv(RECEIVE_BYTES)
                if not data:
                    return LostConnection("connection lost")
                replies = self._reader.feed(data)
                if replies:
                    return replies[0]
        except OSError as error:
            return LostConnection(str(error) or type(error).__name__)
        return LostConnection("no reply in time")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()


class Calm:
    """Says whether two moments lie in one span without faults: see ``Operation.conditions_begin``."""

    def __init__(self) -> None:
        self._spans = itertools.count(1)
        self._moments = itertools.count(1)
        self._span = next(self._spans)
        self.disturbed = False

    def disturb(self) -> None:
        self.disturbed = True

    def settle(self) -> None:
        self._span = next(self._spans)
        self.disturbed = False

    def conditions(self) -> tuple[int, int]:
        """Equal at two moments only if nothing was disturbed between them."""
        return (0, next(self._moments)) if self.disturbed else (self._span, 0)


class Client(threading.Thread):
    """One operation after another, until told to stop.

    Args:
        label: of its names.
        addresses: node ids and their Redis doors, tried in turn; may grow while it runs.
        history: receives every operation.
        step: draws an operation and its command for a client of a given name.
        interval_s: mean pause between two operations.
        level: consistency level of its connections; empty: the default.
    """

    def __init__(
        self,
        label: str,
        addresses: dict[str, str],
        history: History,
        step: Callable[[str], tuple[Operation, list[bytes]]],
        interval_s: float,
        calm: Calm,
        rng: Random,
        level: bytes = b"",
    ) -> None:
        super().__init__(name=label, daemon=True)
        self._label = label
        self._addresses = addresses
        self._history = history
        self._step = step
        self._interval_s = interval_s
        self._calm = calm
        self._rng = rng
        self._level = level
        self._stopping = threading.Event()
        self._session: Session | None = None
        self._node = ""
        self._turn = rng.randrange(100)
        self._lives = 0
        self.connections = 0

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.wait(self._rng.expovariate(1.0 / self._interval_s)):
            if self._connect():
                self._operate()
        self._hang_up()

    def _connect(self) -> bool:
        if self._session is None:
            names = list(self._addresses)
            self._node = names[self._turn % len(names)]
            try:
                self._session = Session(self._addresses[self._node], self._level)
            except OSError:
                self._turn += 1
                return False
            self.connections += 1
        return True

    def _hang_up(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _operate(self) -> None:
        assert self._session is not None
        operation, command = self._step(f"{self._label}.{self._lives}")
        operation.connection = self.connections
        operation.node = self._node
        operation.strict = self._level not in (b"", b"ONE")
        operation.conditions_begin = self._calm.conditions()
        operation.begin_s = time.monotonic()
        self._history.begin(operation)
        reply = self._session.ask(command)
        note(operation, reply, time.monotonic())
        operation.conditions_end = self._calm.conditions()
        if isinstance(reply, LostConnection | RespError):
            # Somebody else may be able to serve.
            self._hang_up()
            self._turn += 1
        if operation.result is Result.INFO:
            self._lives += 1


def note(operation: Operation, reply: RespValue | LostConnection, now_s: float) -> None:
    """Take what an operation was answered into its record."""
    if operation.key.startswith(b"strong:"):
        note_reply(operation, reply, now_s)
        return
    if isinstance(reply, LostConnection):
        operation.text = str(reply)
        return
    if isinstance(reply, RespError):
        operation.text = str(reply)
        if operation.kind == "read" or not is_unknown(operation.text):
            operation.result, operation.end_s = Result.FAIL, now_s
        return
    operation.result, operation.end_s = Result.OK, now_s
    if operation.kind == "read":
        assert reply is None or isinstance(reply, bytes), reply
        operation.value = reply
    elif reply == 0:
        # A delete that found nothing wrote nothing: there is no copy that could bind.
        operation.strict = False


class EventualSteps:
    """Reads of all keys; writes and deletes of its own keys alone, numbered."""

    def __init__(self, keys: list[bytes], own: list[bytes], rng: Random) -> None:
        self._keys, self._own, self._rng = keys, own, rng
        self._sequences = dict.fromkeys(own, 0)

    def __call__(self, client: str) -> tuple[Operation, list[bytes]]:
        rng = self._rng
        if rng.random() < 0.5:
            key = rng.choice(self._keys)
            return Operation(client, "read", key, None, 0.0), [b"GET", key]
        key = rng.choice(self._own)
        self._sequences[key] += 1
        sequence = self._sequences[key]
        value = None if rng.random() < 0.1 else value_of(key, sequence)
        command = [b"DEL", key] if value is None else [b"SET", key, value]
        return Operation(client, "write", key, value, 0.0, sequence=sequence), command


class StrongSteps:
    """Registers and counters that all clients share; new ones from time to time, so that no history of
    a key grows beyond what can be searched.
    """

    ROTATION_S: Final = 20.0

    def __init__(self, label: str, registers: int, counters: int, rng: Random) -> None:
        self._label, self._rng = label.encode(), rng
        self._registers, self._counters = registers, counters
        self._values = itertools.count(1)
        self._began_s = time.monotonic()

    def __call__(self, client: str) -> tuple[Operation, list[bytes]]:
        rng = self._rng
        span = int((time.monotonic() - self._began_s) / self.ROTATION_S)
        number = rng.randrange(self._registers + self._counters)
        key = b"strong:%d:%d" % (span, number)
        if rng.random() < 0.45:
            return Operation(client, "read", key, None, 0.0), [b"GET", key]
        if number >= self._registers:
            return Operation(client, "incr", key, None, 0.0), [b"INCR", key]
        drawn = rng.random()
        if drawn < 0.15:
            return Operation(client, "write", key, None, 0.0), [b"DEL", key]
        value = b"%b-%d" % (self._label, next(self._values))
        if drawn < 0.35:
            return Operation(client, "cas", key, value, 0.0), [b"SET", key, value, b"NX"]
        return Operation(client, "write", key, value, 0.0), [b"SET", key, value]


def read_all(
    history: History, node: str, address: str, keys: Sequence[bytes], deadline_s: float
) -> list[str]:
    """Read every key at one node, into the history; returns what never answered."""
    failed: list[str] = []
    session = Session(address)
    end_s = time.monotonic() + deadline_s
    for key in keys:
        while True:
            operation = Operation(f"final-{node}", "read", key, None, time.monotonic(), node=node)
            operation.conditions_begin, operation.conditions_end = (0, 1), (0, 2)
            history.begin(operation)
            reply = session.ask([b"GET", key])
            note(operation, reply, time.monotonic())
            if operation.result is Result.OK:
                break
            if isinstance(reply, LostConnection) or time.monotonic() > end_s:
                failed.append(f"{key.decode()} at {node}: {operation.text}")
                break
    session.close()
    return failed


def write_history(path: Path, history: History, began_s: float) -> None:
    """One operation a line; times since the beginning of the run, null: never ended."""
    with path.open("w") as file:
        for operation in history:
            file.write(json.dumps(plain(operation, began_s)) + "\n")


def plain(operation: Operation, began_s: float) -> dict[str, object]:
    """An operation as JSON."""
    end_s = operation.end_s
    return {
        "client": operation.client,
        "node": operation.node,
        "connection": operation.connection,
        "kind": operation.kind,
        "key": operation.key.decode(),
        "value": shown(operation.value),
        "sequence": operation.sequence,
        "strict": operation.strict,
        "swapped": operation.swapped,
        "begin_s": round(operation.begin_s - began_s, 6),
        "end_s": None if end_s == FOREVER else round(end_s - began_s, 6),
        "result": operation.result.value,
        "text": operation.text,
    }


def shown(value: bytes | None) -> str | None:
    """Bytes as text where they are text."""
    if value is None:
        return None
    return value.decode() if value.isascii() else "base64:" + base64.b64encode(value).decode()
