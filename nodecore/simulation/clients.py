"""Simulated clients: RESP over bytes, as any Redis client speaks it, and requests at the seam.

A :class:`RespClient` keeps one connection to one node at a time and moves to the next when it is
lost; what was unanswered then is unknown. A :class:`SeamClient` submits requests where doors do and
sees what RESP can't say (copies, flags). Neither retries: a retry is another operation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias, final

from nodecore.requests import (
    Applied,
    Change,
    Done,
    Failed,
    Level,
    Outcome,
    Read,
    Request,
    Update,
    Value,
    Write,
)
from nodecore.simulation.cluster import SimCluster
from nodecore.simulation.connection import SimConnection
from nodecore.simulation.history import History, Operation, Result

RespValue: TypeAlias = "bytes | int | RespError | list[RespValue] | None"
OnReply: TypeAlias = Callable[["RespValue | LostConnection"], None]

REQUEST_TIMEOUT_S: Final = 5.0
"""A client waits longer than any node does; silence beyond it counts as unknown."""


class RespError(Exception):
    """An error reply."""


class LostConnection(Exception):  # noqa: N818 - the name says what it is
    """The connection went away before the reply."""


def encode_command(arguments: Sequence[bytes]) -> bytes:
    """A command as a RESP array."""
    parts = [b"*%d\r\n" % len(arguments)]
    parts.extend(b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in arguments)
    return b"".join(parts)


@final
class ReplyReader:
    """Parses RESP2 replies as bytes arrive."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[RespValue]:
        """Replies that are complete now."""
        self._buffer += data
        found: list[RespValue] = []
        position = 0
        while True:
            parsed = _parse(self._buffer, position)
            if parsed is None:
                break
            value, position = parsed
            found.append(value)
        self._buffer = self._buffer[position:]
        return found


def _parse(data: bytes, start: int) -> tuple[RespValue, int] | None:
    end = data.find(b"\r\n", start)
    if end < 0:
        return None
    kind, head, position = data[start : start + 1], data[start + 1 : end], end + 2
    if kind == b"+":
        return head, position
    if kind == b"-":
        return RespError(head.decode("latin-1")), position
    if kind == b":":
        return int(head), position
    length = int(head)
    if kind == b"$":
        if length < 0:
            return None if length != -1 else (None, position)
        if len(data) < position + length + 2:
            return None
        return data[position : position + length], position + length + 2
    assert kind == b"*", data[start : start + 32]
    items: list[RespValue] = []
    for _index in range(length):
        parsed = _parse(data, position)
        if parsed is None:
            return None
        item, position = parsed
        items.append(item)
    return items, position


@final
class RespClient:
    """One connection at a time, to one of ``names`` (all processes when empty).

    Args:
        cluster: whose nodes.
        name: of the client.
        names: nodes, tried in this order.
        turn: with which of them it begins.
        level: consistency level that each new connection asks for; empty: the default.
    """

    def __init__(
        self,
        cluster: SimCluster,
        name: str,
        names: Sequence[str] = (),
        *,
        turn: int = 0,
        level: bytes = b"",
    ) -> None:
        self._cluster = cluster
        self.name = name
        self.level = level
        self._names = list(names)
        self._turn = turn
        self._connection: SimConnection | None = None
        self._waiting: deque[OnReply] = deque()
        self.reconnections = 0

    def command(self, arguments: Sequence[bytes], on_reply: OnReply) -> None:
        """Send a command; the callback comes exactly once."""
        connection = self._connected()
        if connection is None:
            on_reply(RespError("UNREACHABLE no node accepts connections"))
            return
        done = False

        def settle(reply: RespValue | LostConnection) -> None:
            nonlocal done
            if not done:
                done = True
                on_reply(reply)

        def expire() -> None:
            if not done and self._connection is connection:
                # Replies come in order: once one is overdue, the connection is of no use.
                self.close()
            settle(LostConnection("no reply in time"))

        self._waiting.append(settle)
        self._cluster.world.after(REQUEST_TIMEOUT_S, expire)
        connection.send(encode_command(arguments))

    def node(self) -> str:
        """Whom the connection in use leads to; empty without one."""
        return "" if self._connection is None else str(self._connection.node_id)

    def conditions(self) -> tuple[int, int]:
        """Of the connection in use, see there."""
        return (0, 0) if self._connection is None else self._connection.conditions

    def connection_number(self) -> int:
        """Which connection the next command travels on; 0 when no node accepts any."""
        return self.reconnections if self._connected() is not None else 0

    def _connected(self) -> SimConnection | None:
        if self._connection is not None and self._connection.open:
            return self._connection
        names = self._names or [str(name) for name in self._cluster.processes]
        for _attempt in names:
            process = self._cluster.process(names[self._turn % len(names)])
            if process.running and not process.paused and process.node.ready():
                waiting = self._waiting = deque()
                # What an earlier connection still delivers must not answer this one's commands.
                on_output = partial(self._on_output, ReplyReader(), waiting)
                self._connection = process.connect(on_output, partial(self._on_lost, waiting))
                self.reconnections += 1
                if self.level:
                    waiting.append(_ignore)
                    self._connection.send(encode_command([b"RINGDECK", b"LEVEL", self.level]))
                return self._connection
            self._turn += 1
        return None

    def _on_output(self, reader: ReplyReader, waiting: deque[OnReply], data: bytes) -> None:
        for reply in reader.feed(data):
            if waiting:
                waiting.popleft()(reply)

    def _on_lost(self, waiting: deque[OnReply]) -> None:
        self._turn += 1
        while waiting:
            waiting.popleft()(LostConnection("connection lost"))

    def close(self) -> None:
        """Hang up; what is unanswered is unknown."""
        connection, self._connection = self._connection, None
        waiting, self._waiting = self._waiting, deque()
        if connection is not None:
            connection.close()
        self._on_lost(waiting)


def _ignore(_reply: RespValue | LostConnection) -> None:
    """A reply that nobody asked for."""


@final
class RecordingClient:
    """Runs operations of a history over RESP."""

    def __init__(self, cluster: SimCluster, history: History, client: RespClient) -> None:
        self._cluster = cluster
        self._history = history
        self.client = client

    def write(
        self, key: bytes, value: bytes | None, sequence: int, on_end: Callable[[], None]
    ) -> Operation:
        """SET, or DEL when there is no value."""
        operation = self._begin("write", key, value)
        operation.sequence = sequence
        arguments = [b"DEL", key] if value is None else [b"SET", key, value]
        self.client.command(arguments, lambda reply: self._end(operation, reply, on_end))
        return operation

    def read(self, key: bytes, on_end: Callable[[], None]) -> Operation:
        """GET."""
        operation = self._begin("read", key, None)
        self.client.command([b"GET", key], lambda reply: self._end(operation, reply, on_end))
        return operation

    def _begin(self, kind: str, key: bytes, value: bytes | None) -> Operation:
        operation = Operation(self.client.name, kind, key, value, self._cluster.world.now_s)
        operation.connection = self.client.connection_number()
        operation.strict = self.client.level not in (b"", b"ONE")
        operation.node = self.client.node()
        operation.conditions_begin = self.client.conditions()
        return self._history.begin(operation)

    def _end(
        self, operation: Operation, reply: RespValue | LostConnection, on_end: Callable[[], None]
    ) -> None:
        operation.conditions_end = self.client.conditions()
        operation.answered_s = self._cluster.world.now_s
        if isinstance(reply, LostConnection):
            operation.text = str(reply)
        elif isinstance(reply, RespError):
            operation.text = str(reply)
            if operation.kind == "read" or not is_unknown(operation.text):
                operation.result = Result.FAIL
                operation.end_s = self._cluster.world.now_s
        else:
            operation.result = Result.OK
            operation.end_s = self._cluster.world.now_s
            if operation.kind == "read":
                assert reply is None or isinstance(reply, bytes), reply
                operation.value = reply
            elif reply == 0:
                # A delete that found nothing wrote nothing: there is no copy that could bind.
                operation.strict = False
        on_end()


def is_unknown(text: str) -> bool:
    """Whether an error reply leaves open what happened."""
    return text.startswith("UNKNOWN") or "may have been" in text


@final
class SeamClient:
    """Submits requests at one node, where its doors do."""

    def __init__(self, cluster: SimCluster, history: History, name: str, node: str) -> None:
        self._cluster = cluster
        self._history = history
        self.name = name
        self.node = node

    def write(
        self,
        key: bytes,
        value: bytes | None,
        sequence: int,
        level: Level = Level.DEFAULT,
    ) -> Operation:
        """Write or delete."""
        request: Request = Write((key,), (value or b"",), level=level)
        if value is None:
            request = Update(key, Change.DELETE, level=level)
        operation = Operation(self.name, "write", key, value, self._cluster.world.now_s)
        operation.sequence = sequence
        return self._submit(operation, request)

    def read(self, key: bytes, level: Level = Level.DEFAULT) -> Operation:
        """Read."""
        operation = Operation(self.name, "read", key, None, self._cluster.world.now_s)
        return self._submit(operation, Read((key,), level))

    def _submit(self, operation: Operation, request: Request) -> Operation:
        self._history.begin(operation)
        self._cluster.submit(self.node, request, lambda outcome: self._end(operation, outcome))
        return operation

    def _end(self, operation: Operation, outcome: Outcome) -> None:
        if isinstance(outcome, Done):
            self._end_done(operation, outcome)
        else:
            operation.text = outcome.text
            if isinstance(outcome, Failed):
                operation.result = Result.FAIL
        if operation.result is not Result.INFO:
            operation.end_s = self._cluster.world.now_s

    def _end_done(self, operation: Operation, outcome: Done) -> None:
        operation.result = Result.OK
        operation.copies, operation.flags = outcome.copies, int(outcome.flags)
        if isinstance(outcome.result, Applied):
            return
        assert isinstance(outcome.result, list)
        first = outcome.result[0]
        if isinstance(first, Failed):
            operation.result, operation.text = Result.FAIL, first.text
        elif operation.kind == "read":
            assert first is None or isinstance(first, Value), first
            operation.value = None if first is None else first.value
