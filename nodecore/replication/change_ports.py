"""How the rooms of a topology change reach the node that they live in, and the limits they share.

Nothing is decided here. The node fills :class:`ChangePorts` with its own send, calls, chain and
member view; tests fill it with fakes.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from random import Random
from typing import Final, NamedTuple, Protocol, TypeAlias

from nodecore.consensus.outcome import OnResult
from nodecore.effects import Emit
from nodecore.ids import NodeId, Now, Version
from nodecore.placement.topology import Topology
from nodecore.replication.calls import OnEnd
from nodecore.table.interface import Table
from transport.messages import Lane, Message

PAGE_ENTRIES_MAX: Final = 256
PAGE_BYTES_MAX: Final = 64 * 1024
"""A page never delays a client's frame on the same link for long."""
PAGES_IN_FLIGHT_MAX: Final = 4
PAGE_TRIES_MAX: Final = 5
SLOTS_PER_PAGE_MAX: Final = 1024
"""Empty slots looked through before the node gets its turn back."""
ENTRIES_PER_LOOK: Final = 16
"""Entries copied out of the store at once: bounds the bytes held when values are large."""
STREAM_BYTES_PER_S: Final = 32 * 1024 * 1024
"""What one node streams to all others together: 100,000 small entries in about a second, and far
less than loopback or a gigabit network carries."""
STREAM_BURST_S: Final = 0.1
STEP_INTERVAL_S: Final = 0.5
"""Reports to the coordinator, and looks at what stands still."""
PROGRESS_TIMEOUT_S: Final = 3.0
"""A source that has sent nothing for so long is replaced by another; one that is at it gives a sign of
life at least once a second."""
FETCH_NUMBERS: Final = 2**31
"""As many, from 1 on, tell what was asked to be streamed."""
COOLDOWN_S: Final = 0.5
"""Before a source that failed is asked again."""
DROPS_PER_STEP: Final = 256
"""Slots given up at once; the rest wait for the next step, so that clients are served between."""
DROP_INTERVAL_S: Final = 0.02

SlotEntry: TypeAlias = tuple[bytes, int, bytes, int, int, int]
"""(key, kind, value, hlc, node, expires_ms), tombstones included."""


class SlotStore(Protocol):
    """What topology changes and anti-entropy need of the store."""

    @property
    def table(self) -> Table: ...
    @property
    def partial_slots(self) -> Container[int]:
        """Slots from which this node had to evict alone."""

    def slot_count(self, slot: int) -> int:
        """Entries of a slot, tombstones included."""

    def slot_counts(self, slots: Iterable[int]) -> list[int]:
        """Of each of these slots."""

    def empties(self, slots: Iterable[int]) -> Iterator[bool]:
        """Whether each of these slots certainly holds nothing."""

    def slot_heads(self, slot: int) -> Iterator[tuple[bytes, int, int, int, int]]:
        """(key, kind, hlc, node, expires_ms) of every entry of a slot, in no order."""

    def slot_entries(self, slot: int, after: bytes | None, count: int) -> Sequence[SlotEntry]:
        """Up to ``count`` entries of a slot behind ``after``; stable while writes go on."""

    def give_up(self, key: bytes, up_to: Version) -> bool:
        """Forget an entry unless it is newer than ``up_to``; whether it went."""

    def drop_slot(self, slot: int) -> int:
        """Forget a slot's entries; returns how many there were."""


class ChangePorts(NamedTuple):
    """The node, as seen from here."""

    node_id: NodeId
    send: Callable[[NodeId, Lane, int, Message], None]
    request: Callable[[NodeId, Message, OnEnd, Now], None]
    """A call on the data lane that ends exactly once."""
    propose: Callable[[Topology, OnResult, Now], None]
    learn: Callable[[object, Now], bool]
    """A plain document that a peer says was chosen."""
    is_live: Callable[[NodeId], bool]
    """Requests are routed to it now."""
    is_failed: Callable[[NodeId], bool]
    """A majority of the voters has given it up."""
    emit: Callable[[Emit], None]
    stop: Callable[[str, int], None]
    """End the process: (reason, exit code)."""
    on_filled: Callable[[Now], None]
    """The slots that this node may answer for have changed."""
    rng: Random
    """Numbers what is asked of others."""
    heat_bands: Callable[[], Sequence[float]]
    """Operations lately on each of equal ranges of slots: cold slots move first."""
