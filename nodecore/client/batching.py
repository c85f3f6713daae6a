"""Calls of one tick -> few messages, and replies -> results of the calls.

Concurrent single reads with one level become one ClientGet a node, concurrent plain writes with
one expiry and level one ClientSet a node. The order of calls is kept within a message; a key that
is written twice in a tick keeps its last value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, TypeVar, final

from nodecore.client.errors import ClientError, Failed, error_of
from nodecore.errors import Code
from nodecore.limits import BATCH_KEYS_MAX
from nodecore.requests import Level
from transport.messages import ClientValues, ClientWritten, Message

BATCH_BYTES_MAX: Final = 4 * 1024 * 1024
"""Values of one message together; a quarter of the greatest frame."""
PLAIN_RESULTS: Final = frozenset({bytes, type(None)})
"""Types of results that are no errors."""
Token = TypeVar("Token")


@final
class Batch(Generic[Token]):
    """Single-key calls that leave together."""

    __slots__ = ("expires_ms", "keys", "level", "size_bytes", "tokens", "values")

    def __init__(self, level: Level, expires_ms: int = 0) -> None:
        self.level = level
        self.expires_ms = expires_ms
        self.keys: list[bytes] = []
        self.values: list[bytes] = []
        self.tokens: list[Token] = []
        self.size_bytes = 0

    @property
    def full(self) -> bool:
        """Whether the next call needs another batch."""
        return len(self.keys) >= BATCH_KEYS_MAX or self.size_bytes >= BATCH_BYTES_MAX


@final
class Batches(Generic[Token]):
    """The calls of one tick."""

    def __init__(self) -> None:
        self._reads: dict[Level, Batch[Token]] = {}
        self._writes: dict[tuple[Level, int], Batch[Token]] = {}
        self._full: list[Batch[Token]] = []

    def __bool__(self) -> bool:
        return bool(self._reads or self._writes or self._full)

    def read(self, key: bytes, level: Level, token: Token) -> None:
        """Add a read."""
        batch = self._reads.get(level)
        if batch is None or batch.full:
            if batch is not None:
                self._full.append(batch)
            batch = self._reads[level] = Batch(level)
        batch.keys.append(key)
        batch.tokens.append(token)
        batch.size_bytes += len(key)

    def write(self, key: bytes, value: bytes, expires_ms: int, level: Level, token: Token) -> None:
        """Add a write."""
        kind = (level, expires_ms)
        batch = self._writes.get(kind)
        if batch is None or batch.full:
            if batch is not None:
                self._full.append(batch)
            batch = self._writes[kind] = Batch(level, expires_ms)
        batch.keys.append(key)
        batch.values.append(value)
        batch.tokens.append(token)
        batch.size_bytes += len(key) + len(value)

    def take(self) -> list[Batch[Token]]:
        """Everything that was added since the last time."""
        taken = [*self._full, *self._reads.values(), *self._writes.values()]
        self._full = []
        self._reads = {}
        self._writes = {}
        return taken


def read_results(reply: Message, count: int) -> Sequence[bytes | ClientError | None]:
    """Per key of a ClientGet its value, None for a miss, or why it failed.

    Raises:
        Failed: the reply is not an answer to a read of ``count`` keys.
    """
    if not isinstance(reply, ClientValues) or not isinstance(reply.values, list):
        raise Failed(Code.INTERNAL, f"unexpected answer {type(reply).__name__}")
    values = reply.values
    if len(values) != count:
        raise Failed(Code.INTERNAL, f"{len(values)} values for {count} keys")
    if PLAIN_RESULTS.issuperset(map(type, values)):
        return values
    return [_read_result(value) for value in values]


def _read_result(value: object) -> bytes | ClientError | None:
    match value:
        case None | bytes():
            return value
        case [int(code), str(text)]:
            return error_of(code, text)
        case _:
            return Failed(Code.INTERNAL, "a value of an unexpected form")


def write_results(reply: Message, count: int) -> list[ClientError | None]:
    """Per key of a ClientSet None, or why it failed.

    Raises:
        Failed: the reply is not an answer to a write.
    """
    if not isinstance(reply, ClientWritten) or not isinstance(reply.failures, list):
        raise Failed(Code.INTERNAL, f"unexpected answer {type(reply).__name__}")
    results: list[ClientError | None] = [None] * count
    for failure in reply.failures:
        match failure:
            case [int(index), int(code), str(text), bool(unknown)] if 0 <= index < count:
                results[index] = error_of(code, text, unknown=unknown)
            case _:
                raise Failed(Code.INTERNAL, "a failure of an unexpected form")
    return results
