"""What clients did and saw: the record that checkers judge.

Recording rules: times come from the one clock of the world; an outcome is ``ok``, ``fail``
(certainly not applied) or ``info`` (unknown: it may take effect at any later time); values are
unique within a run; nothing that may have been applied is ever left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

FOREVER: Final = math.inf


class Result(Enum):
    """How an operation ended."""

    OK = "ok"
    FAIL = "fail"
    INFO = "info"


@dataclass(slots=True)
class Operation:
    """One operation of one client on one key."""

    client: str
    kind: str
    """``read``, ``write`` (value None: delete), ``cas`` or ``incr``."""
    key: bytes
    value: bytes | None
    """Written, or for a read what it returned."""
    begin_s: float
    expected: bytes | None = None
    """Of a ``cas``."""
    swapped: bool | None = None
    """Of a ``cas`` that was answered: whether the value was as expected."""
    end_s: float = FOREVER
    result: Result = Result.INFO
    sequence: int = 0
    """Counts the writes of one key, when one client alone writes it; 0 for reads."""
    copies: int = 0
    """Distinct processes that acknowledged; 0 = not told."""
    flags: int = 0
    connection: int = 0
    """Which connection of the client carried it; a client's guarantees hold within one."""
    text: str = ""
    """Of a failure."""
    node: str = ""
    """Which node was asked."""
    strict: bool = False
    """Asked for at a level that binds: answered only with so many copies."""
    conditions_begin: tuple[int, int] = (0, 0)
    conditions_end: tuple[int, int] = (0, 0)
    """What the node's choice of owners depended on then, see ``SimConnection.conditions``."""
    answered_s: float = FOREVER
    """When anything was answered, be it that the outcome is unknown, or the client gave up."""


class History:
    """All operations, in order of their beginning."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def __len__(self) -> int:
        return len(self.operations)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    def begin(self, operation: Operation) -> Operation:
        """Record that a client has sent this."""
        self.operations.append(operation)
        return operation

    def by_key(self) -> dict[bytes, list[Operation]]:
        """Operations of each key, in order of their beginning."""
        found: dict[bytes, list[Operation]] = {}
        for operation in self.operations:
            found.setdefault(operation.key, []).append(operation)
        return found

    def counts(self) -> dict[str, int]:
        """Operations by result."""
        found = {result.value: 0 for result in Result}
        for operation in self.operations:
            found[operation.result.value] += 1
        return found
