"""A simulated cluster: real nodes on one simulated network, and what can be done to them.

Commands are those of an operator and of fate: start, crash, restart (with or without the disk),
pause, resume, join, leave, cut, heal, skew. It decides nothing by itself; ``scenarios`` and the tests
tell it what to do, ``checkers`` judge what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, final

from nodecore.config import Addresses, NodeConfig
from nodecore.ids import NodeId
from nodecore.node import Node
from nodecore.placement.topology import Topology
from nodecore.requests import Outcome, Request
from nodecore.simulation.clocks import SimClock
from nodecore.simulation.disk import SimDisk
from nodecore.simulation.network import Network, NetworkOptions
from nodecore.simulation.process import SimProcess
from nodecore.simulation.world import World

_NATIVE_PORT: Final = 20_000


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Of a simulated cluster."""

    nodes: int = 3
    network: NetworkOptions = field(default_factory=NetworkOptions)
    clock_drift_max: float = 0.0002
    clock_skew_ms_max: float = 20.0
    settings: Mapping[str, object] = field(default_factory=dict)
    """Fields of every node's ``NodeConfig``."""
    rivals: bool = False
    """See ``SimProcess.rivals``."""


def addresses_of(number: int) -> Addresses:
    """Where node ``number`` listens, in a world without real ports."""
    port = _NATIVE_PORT + number
    return Addresses(
        f"127.0.0.1:{port}", f"127.0.0.1:{port + 10_000}", f"127.0.0.1:{port + 20_000}"
    )


@final
class SimCluster:
    """Processes by node id (``n1``, ``n2``, ...), in order of creation."""

    def __init__(self, world: World, options: ClusterOptions | None = None) -> None:
        self.world = world
        self.options = options or ClusterOptions()
        self.network = Network(world, self.options.network)
        self.processes: dict[NodeId, SimProcess] = {}
        self.on_ending: Callable[[SimProcess], None] = lambda _process: None
        """Told of every process just before its life ends."""
        self.may_die: Callable[[SimProcess], bool] = lambda _process: True
        """Asked before chance alone kills a process."""
        self._newest: Topology | None = None
        self.clock_ahead_ms = 0.0
        """By how much all clocks, later ones too, were set ahead together."""
        count = self.options.nodes
        bootstrap = tuple((f"n{number}", addresses_of(number)) for number in range(1, count + 1))
        for number in range(1, count + 1):
            self._create(number, NodeConfig(node_id=f"n{number}", bootstrap=bootstrap))

    def _create(self, number: int, config: NodeConfig) -> SimProcess:
        addresses = addresses_of(number)
        config = replace(
            config,
            bind=addresses,
            advertise=addresses,
            vnodes=32,
            **{"down_grace_s": 15.0, **self.options.settings},  # type: ignore[arg-type]
        )
        rng = self.world.rng(f"clock:{config.node_id}")
        clock = SimClock(
            self.world,
            rng.uniform(-1, 1) * self.options.clock_drift_max,
            rng.uniform(-1, 1) * self.options.clock_skew_ms_max + self.clock_ahead_ms,
        )
        disk = SimDisk(self.world.rng(f"disk:{config.node_id}"))
        process = SimProcess(self.world, self.network, config, clock, disk)
        process.rivals = self.options.rivals
        process.on_ending = lambda ending: self.on_ending(ending)
        process.may_die = lambda doomed: self.may_die(doomed)
        self.processes[process.node_id] = process
        return process

    # -- who is there ------------------------------------------------------------------------

    def process(self, name: str) -> SimProcess:
        """By id."""
        return self.processes[NodeId(name)]

    def node(self, name: str) -> Node:
        """The running node of that id."""
        return self.process(name).node

    @property
    def running(self) -> list[SimProcess]:
        """Processes that are alive and not paused."""
        return [p for p in self.processes.values() if p.running and not p.paused]

    def names(self) -> list[str]:
        """Of the running processes."""
        return [str(process.node_id) for process in self.running]

    def is_known(self) -> bool:
        """Whether any running node knows a document."""
        return any(p.node.chain.document is not None for p in self.running)

    def topology(self) -> Topology:
        """The newest document that any running node knows, or when none does, that any knew."""
        documents = [p.node.chain.document for p in self.running]
        known = [document for document in documents if document is not None]
        if known:
            self._newest = max(known, key=lambda document: (document.generation, document.epoch))
        assert self._newest is not None, "nobody has ever known a document"
        return self._newest

    @property
    def running_members(self) -> list[SimProcess]:
        """Running processes that the newest document counts as members."""
        members = {member.node_id: None for member in self.topology().members}
        return [process for process in self.running if process.node_id in members]

    def members(self) -> list[str]:
        """Ids of the members by the newest document."""
        return [str(member.node_id) for member in self.topology().members]

    # -- commands ----------------------------------------------------------------------------

    def start(self, timeout_s: float = 10.0) -> None:
        """Start everybody and wait until all are ready."""
        for process in self.processes.values():
            if not process.running:
                process.start()
        self.wait(self.all_ready, timeout_s, "every node is ready")

    def add(self, name: str = "", seeds: Sequence[str] = (), replaces: str = "") -> SimProcess:
        """Start a new node that asks ``seeds`` (default: all running) to join; does not wait.

        ``replaces``: in the place of that member.
        """
        number = len(self.processes) + 1
        asked = [self.process(seed) for seed in seeds] or self.running
        join = tuple((p.config.advertise or p.config.bind).native for p in asked)
        config = NodeConfig(node_id=name or f"n{number}", join=join, replaces=replaces)
        process = self._create(number, config)
        process.start()
        return process

    def crash(self, name: str) -> None:
        """Kill -9."""
        self.process(name).crash()

    def cut_power(self) -> None:
        """All machines go down at once: what was never flushed is gone."""
        for process in self.processes.values():
            process.crash()
            process.disk.cut_power()

    def restart(self, name: str, *, wiped: bool = False) -> None:
        """Start a dead process again; ``wiped``: on an empty disk."""
        process = self.process(name)
        process.crash()
        if wiped:
            process.disk.wipe()
        process.start()

    def leave(self, name: str, via: str = "") -> list[Outcome]:
        """Ask for a graceful leave; the list receives the outcome."""
        return self.admin(via or name, "change.leave", {"node_id": name})

    def admin(self, name: str, verb: str, arguments: Mapping[str, object]) -> list[Outcome]:
        """Run an operator's verb at a node; the list receives the outcome."""
        process, outcomes = self.process(name), list[Outcome]()

        def run() -> None:
            now = process.clock.now()
            outcome = process.node.admin(verb, arguments, lambda o, _now: outcomes.append(o), now)
            if outcome is not None:
                outcomes.append(outcome)

        process.deliver(run)
        return outcomes

    def submit(self, name: str, request: Request, on_outcome: Callable[[Outcome], None]) -> None:
        """Hand a request to a node, as its doors do."""
        process = self.process(name)

        def run() -> None:
            now = process.clock.now()
            outcome = process.node.submit(request, lambda o, _now: on_outcome(o), now)
            if outcome is not None:
                on_outcome(outcome)

        process.deliver(run)

    def cut(
        self, one: Iterable[str], others: Iterable[str], *, abrupt: bool = False, both: bool = True
    ) -> None:
        """Nothing gets from any of ``one`` to any of ``others`` (and back, if ``both``)."""
        right = [NodeId(name) for name in others]
        for left in [NodeId(name) for name in one]:
            for other in right:
                self.network.cut(left, other, abrupt=abrupt)
                if both:
                    self.network.cut(other, left, abrupt=abrupt)

    def set_clocks_ahead(self, by_ms: float) -> None:
        """All clocks are set ahead at the same moment."""
        self.clock_ahead_ms += by_ms
        for process in self.processes.values():
            process.clock.jump(by_ms)

    def heal(self) -> None:
        """The network is whole again."""
        self.network.heal_all()

    # -- waiting -----------------------------------------------------------------------------

    def run(self, duration_s: float) -> None:
        """Let time pass."""
        self.world.run_for(duration_s)

    def wait(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Run until ``condition`` holds.

        Raises:
            TimeoutError: it does not hold after ``timeout_s`` virtual seconds.
        """
        until_s = self.world.now_s + timeout_s
        while not condition():
            if self.world.now_s >= until_s:
                raise TimeoutError(f"{what}: not after {timeout_s:.0f} s\n{self.describe()}")
            self.world.run_for(0.05)

    def all_ready(self) -> bool:
        """Every running member serves, and holds all its copies."""
        return all(
            p.node.ready() and p.node.topology_changes.filling.left == 0
            for p in self.running_members
        )

    def is_stable(self) -> bool:
        """All running members know the same stable document and hold all their copies."""
        newest = self.topology()
        if newest.joint:
            return False
        for process in self.running_members:
            document = process.node.chain.document
            if document != newest or process.node.topology_changes.filling.left:
                return False
        return True

    def wait_stable(self, timeout_s: float = 30.0) -> None:
        """See :meth:`is_stable`."""
        self.wait(self.is_stable, timeout_s, "the topology is stable and every copy made")

    def describe(self) -> str:
        """For messages of failures."""
        lines = []
        for process in self.processes.values():
            if not process.running:
                reason = process.stopped.reason if process.stopped else "dead"
                lines.append(f"{process.node_id}: {reason}")
                continue
            node = process.node
            document = node.chain.document
            state = "no document"
            if document is not None:
                kind = f"joint ({document.change.kind})" if document.change else "stable"
                state = f"epoch {document.epoch} {kind}: {document.reason}"
            changes = node.topology_changes
            left = max(changes.filling.left, node.strong.learning.left)
            lines.append(
                f"{process.node_id}: {state}; {left} slots to copy, waits for "
                f"{changes.filling.waits_for or 'nobody'}; {len(node.table)} entries"
                f"{'; paused' if process.paused else ''}"
            )
        return "\n".join(lines)
