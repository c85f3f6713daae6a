"""The seam between sockets and doors: what a session is, and what it may ask of the node.

A session is one client connection as a state machine without I/O. The data plane, TLS, the tests
and the simulation all drive the same objects: bytes in by :meth:`Session.receive`, bytes out by
:meth:`Session.take_output`. Requests that the node can't answer at once are answered later through
the callback given to :meth:`Backend.submit`; the session keeps the order of its protocol and calls
``wake`` when output appears outside of ``receive``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from nodecore.ids import Epoch, NodeId, Now
from nodecore.placement.topology import Topology
from nodecore.requests import Outcome, Request
from nodecore.statistics import NodeStatistics
from nodecore.table.interface import Table

TOO_SLOW: Final = "the request was begun and not finished in time"
"""What a client hears that stops in the middle of a request."""
OnOutcome: TypeAlias = Callable[[Outcome, Now], None]


class Backend(Protocol):
    """What doors see of the node. ``nodecore.node.Node`` implements it; tests use a fake."""

    @property
    def node_id(self) -> NodeId:
        """This node's id."""

    @property
    def topology(self) -> Topology:
        """The newest chosen document."""

    def submit(self, request: Request, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        """Start a request. Returns its outcome when known at once (the callback is then never
        called), else None: the callback comes exactly once, at the latest at the operation timeout.
        """

    def owners(self, slot: int) -> Sequence[NodeId]:
        """Owners of a slot for reads at the current epoch, first owner first."""

    def is_live(self, node: NodeId) -> bool:
        """Whether requests are routed to this node now (not suspect, failed or gone)."""

    def local_count(self, slot: int) -> int:
        """Keys (not tombstones) of a slot in this node's store."""

    def local_keys(self, slot: int, count: int) -> list[bytes]:
        """Up to ``count`` live keys of a slot in this node's store."""

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """Local keys in slots owned first by this node, by an opaque cursor; 0 starts and ends."""

    def statistics(self, now: Now) -> NodeStatistics:
        """The latest snapshot."""

    def admin(
        self, verb: str, arguments: Mapping[str, object], on_outcome: OnOutcome, now: Now
    ) -> Outcome | None:
        """Run an operator's verb (see ``nodecore.admin``); answers like ``submit``."""

    @property
    def table(self) -> Table:
        """This node's entries; doors read through its gated bulk calls only."""

    def count_request(self, name: str, count: int = 1) -> None:
        """Count commands by name, for the ``requests`` statistic."""

    def ready(self) -> bool:
        """Whether this node is a full member and serves."""

    def epoch(self) -> Epoch:
        """Epoch of ``topology``."""


class Session(Protocol):
    """One client connection of any door."""

    gate_open: bool
    """Whether incoming bytes may be offered to ``Table.serve`` first. The data plane reads it before
    each receive; True only while the session has no partial command buffered, nothing outstanding,
    and neither authentication, MULTI nor tracking stand in the way."""
    gate_bits: int
    """Which of the table's SLOT_* bits a slot needs for a hit to be served to this session."""
    nil: bytes
    """This protocol version's reply to a miss, for the gate."""
    closing: bool
    """The session wants the connection closed once its output is sent."""
    outstanding: int
    """Requests submitted and not answered yet; the data plane stops reading above the limit."""

    partial: bool
    """A request has begun and not all of it has come; the data plane gives it a deadline."""
    held: bool
    """Set by the data plane while the client does not take its output: nothing more is run."""
    stalled: bool
    """Whole requests wait for no other reason than output: that it is held, or that as much as
    UNSENT_BYTES_MAX waits to be taken. ``resume`` goes on."""

    def receive(self, data: bytes, now: Now) -> None:
        """Take bytes. Never raises on bad input: it answers in the protocol and sets ``closing``."""

    def take_output(self) -> bytes:
        """Everything ready to be sent, in order; empty when nothing is."""

    def resume(self, now: Now) -> None:
        """Run what stalled, again until that much output waits; harmless when nothing did."""

    def time_out(self, now: Now) -> None:
        """The request that was begun did not come to its end in time: say so and close."""

    def end(self, now: Now) -> None:
        """The connection is gone: forget callbacks, release what is held."""
