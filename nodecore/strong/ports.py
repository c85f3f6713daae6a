"""How the rooms of strong keys reach the node that they live in, and the limits they share.

Nothing is decided here. The node fills :class:`StrongPorts`; tests fill it with fakes.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple, Protocol

from nodecore.effects import Emit
from nodecore.ids import Incarnation, NodeId, Now
from nodecore.replication.calls import OnEnd
from nodecore.replication.epochs import OnStale
from nodecore.routing import Peers
from nodecore.storage.disk import Area, DiskStore, Durability, OnDurable
from nodecore.table.interface import Table
from nodecore.timers import Timers
from transport.messages import Message

ROWS_MAX: Final = 1_000
"""Questions in one frame."""
FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of keys and values in one frame; a single larger value travels alone."""
ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of values in one answer: half of a message, the rest is asked for again."""
TRIES_MAX: Final = 6
"""Rounds in which one change may have been sent to be accepted; then its outcome is unknown."""
ROUND_SHARE: Final = 0.4
"""Of the operation timeout: a round without a majority by then is begun anew."""
BACKOFF_S_MIN: Final = 0.004
BACKOFF_S_MAX: Final = 0.2
"""Between rounds: uniform up to min * 2**attempts, capped."""
FORWARDED_SHARE: Final = 0.8
"""Of the operation timeout: what a forwarded operation may take, so that its asker hears how it ended."""
QUEUE_MAX: Final = 4_096
"""Operations that wait for one key; more are refused."""


class StrongStore(Protocol):
    """What registers need of the store."""

    outside_bytes: int

    @property
    def table(self) -> Table: ...
    def make_room(self, growth: int) -> bool:
        """Evict until ``outside_bytes`` may grow by so much; False when nothing is left to evict."""


class StrongDisk(Protocol):
    """What registers need of the disk."""

    @property
    def store(self) -> DiskStore: ...
    def put(
        self,
        area: Area,
        key: bytes,
        record: bytes | None,
        durability: Durability,
        on_durable: OnDurable | None,
        now: Now,
    ) -> None:
        """Write a record, or remove it."""


class Request(Protocol):
    """``Calls.request``."""

    def __call__(
        self, peer: NodeId, message: Message, on_end: OnEnd, now: Now, *, patient: bool = False
    ) -> None: ...


class StrongPorts(NamedTuple):
    """The node, as seen from here."""

    node: NodeId
    incarnation: Callable[[], Incarnation]
    peers: Peers
    timers: Timers
    rng: Random
    timeout_s: float
    """Of an operation."""
    request: Request
    """A call on the data lane that ends exactly once."""
    on_stale: OnStale
    emit: Callable[[Emit], None]
