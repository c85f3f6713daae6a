"""What the screens know of a cluster: one snapshot type and one protocol for sources.

Sources are live (native links plus the supervisor), simulated or recorded; one for a foreign
cluster must be possible, so nothing here speaks of processes unless the capabilities say so, and
any field of a snapshot may be unknown (None).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, Flag, auto
from typing import Protocol

from nodecore.change_history import PastDocument
from nodecore.placement.topology import Keyspace
from nodecore.statistics import ChangeProgress, EventRecord, FaultState, KeyHeat, NodeStatistics


class Capability(Flag):
    """What a source can do."""

    NONE = 0
    PROCESS_FAULTS = auto()
    LINK_FAULTS = auto()
    MEMBERSHIP = auto()
    LOAD = auto()


class ProcessState(Enum):
    """A node's process as the supervisor sees it."""

    UNKNOWN = "unknown"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One node in a snapshot."""

    node_id: str
    letter: str
    """``A``..``Z``, ``a``..: stable while the node is in the list."""
    status: str
    """By the peers' majority: joining, alive, suspect, failed, leaving, left; ``unknown``."""
    process: ProcessState = ProcessState.UNKNOWN
    pid: int | None = None
    exit_text: str = ""
    """``exit -9 at 12:03:41``."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Door -> host:port."""
    statistics: NodeStatistics | None = None
    """The last one received."""
    statistics_age_s: float | None = None
    suspected_by: tuple[str, ...] = ()
    """Peers that call it suspect or failed."""


@dataclass(frozen=True, slots=True)
class LoadState:
    """The built-in load generator's totals and last-second figures."""

    running: bool
    rate_target: float
    reads_ratio: float
    zipf: float
    keys: int
    ok: int = 0
    failed: int = 0
    unknown: int = 0
    hits: int = 0
    misses: int = 0
    rate: float = 0.0
    errors_per_s: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """A fault that some source of the cluster reports, process faults included."""

    fault_id: str
    kind: str
    target: str
    text: str
    owner: str
    since_wall_ms: int
    ends_wall_ms: int = 0
    hits: int = 0
    undoable: bool = True


@dataclass(frozen=True, slots=True)
class ClusterSnapshot:
    """The cluster at one moment; immutable; one per tick."""

    sequence: int
    at_wall_ms: int
    cluster: str
    """Name of the cluster."""
    epoch: int | None = None
    state: str = "unknown"
    """``stable``, ``joint``, ``unknown``."""
    replicas: int | None = None
    vnodes: int | None = None
    members: tuple[MemberRow, ...] = ()
    owners: tuple[tuple[int, ...], ...] | None = None
    """Per slot the owners as indexes into ``members``; the same object while the epoch is unchanged."""
    owners_next: tuple[tuple[int, ...], ...] | None = None
    """In a joint epoch the owners to be."""
    change: ChangeProgress | None = None
    keyspaces: tuple[Keyspace, ...] = ()
    """Policies of the newest document; empty while none is known."""
    hot_keys: tuple[tuple[KeyHeat, str], ...] = ()
    """Merged over the cluster, hottest first, with the first owner's node id."""
    faults: tuple[ActiveFault, ...] = ()
    load: LoadState | None = None
    events: tuple[EventRecord, ...] = ()
    """Those since the last snapshot, oldest first."""
    problem: str = ""
    """Why this snapshot is incomplete, in words for a person."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended."""

    ok: bool
    text: str
    fault_id: str = ""
    undo: str = ""
    """What ``u`` would do, empty when it can't be undone."""


@dataclass(frozen=True, slots=True)
class AddPreview:
    """What adding (or removing) a node would move."""

    node_id: str
    slots_moved: int
    """Slots of which any copy goes to another node."""
    copies_moved: int
    keys_moved: int | None
    bytes_moved: int | None
    seconds: float | None
    share_from: tuple[tuple[str, float], ...]
    """(node, share of all slots as first owner that it gives up or takes)."""
    minimum_share: float
    """The theoretical least share: 1/(n+1) for a join."""
    first_owners: tuple[str, ...] | None = None
    """Per slot the first owner that there would be; None: not known slot by slot."""


class ClusterSource(Protocol):
    """A cluster that can be watched and, within its capabilities, commanded.

    All methods are async and run on the trio side; snapshots are handed to ``on_snapshot`` there
    too (the app posts them to itself as messages). Every command ends within a deadline.
    """

    name: str
    capabilities: Capability

    async def run(self, on_snapshot: Callable[[ClusterSnapshot], None]) -> None:
        """Produce snapshots until cancelled; raises ConsoleError when the cluster can't be reached at all."""

    def set_interval(self, interval_s: float) -> None:
        """Snapshot interval, 0.25..10 s."""

    async def kill(self, node_ids: Sequence[str]) -> CommandResult: ...
    async def terminate(self, node_ids: Sequence[str]) -> CommandResult: ...
    async def pause(self, node_ids: Sequence[str]) -> CommandResult: ...
    async def resume(self, node_ids: Sequence[str]) -> CommandResult: ...
    async def restart(self, node_ids: Sequence[str]) -> CommandResult: ...

    async def add_fault(
        self,
        kind: str,
        link: str,
        attributes: Mapping[str, float],
        *,
        stream: str,
        toxicity: float,
        for_s: float | None,
        control: bool,
    ) -> CommandResult:
        """Install a link fault. ``link`` is ``caller->callee``; ``*`` and ``client`` are allowed.

        A bare node name is everything that reaches the node; ``n3:disk`` and ``n3:clock`` are that
        node's disk and clock. ``stream`` is ``down``, ``up`` or ``both``.

        ``for_s`` None: leased to this console, lives until removed.
        """

    async def remove_fault(self, fault_id: str) -> CommandResult: ...
    async def heal_all(self) -> CommandResult:
        """Lift every fault, resume what is paused, restart what a fault killed."""

    async def preview_add(self, count: int) -> AddPreview: ...
    async def preview_remove(self, node_id: str) -> AddPreview: ...
    async def add_nodes(self, count: int) -> CommandResult: ...
    async def remove_node(self, node_id: str) -> CommandResult: ...

    async def set_load(
        self,
        *,
        running: bool,
        rate: float | None = None,
        zipf: float | None = None,
        reads: float | None = None,
    ) -> CommandResult: ...
    async def locate(self, key: bytes) -> tuple[int, tuple[str, ...]]:
        """(slot, owners) of a key at the current epoch."""

    async def log_tail(self, node_id: str, lines: int) -> list[str]: ...
    async def history(self) -> list[PastDocument]:
        """The topology's documents as far as they are remembered, oldest first."""


__all__ = [
    "ActiveFault",
    "AddPreview",
    "Capability",
    "ChangeProgress",
    "ClusterSnapshot",
    "ClusterSource",
    "CommandResult",
    "EventRecord",
    "FaultState",
    "LoadState",
    "MemberRow",
    "PastDocument",
    "ProcessState",
]
