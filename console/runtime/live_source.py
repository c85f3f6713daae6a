"""The live cluster as a :class:`~console.source.ClusterSource`: native links plus the supervisor.

Either starts local nodes under a warden (they end with this console, however it ends) or attaches to
nodes that run on their own. Watching and commanding go on while some nodes are down. Process verbs
exist only for nodes of this machine. What is shown is what nodes measured; merging is decided in
:mod:`console.snapshots`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final, final

import trio

from console.errors import ClusterUnreachable
from console.load.settings import LoadSettings
from console.load.tally import LoadReport
from console.runtime import launcher
from console.runtime.launcher import StartOptions
from console.runtime.live_commands import LiveCommands
from console.runtime.load_process import LoadProcess, open_load
from console.runtime.node_feed import NodeFeed
from console.runtime.secret import HELD
from console.runtime.spawner import open_warden, spawner_for
from console.runtime.state_dir import StateDir, tail
from console.runtime.supervisor import Supervisor
from console.snapshots import LocalProcess, Observed, SnapshotAssembler
from console.source import Capability, ClusterSnapshot, EventRecord, ProcessState

INTERVAL_MIN_S: Final = 0.25
INTERVAL_MAX_S: Final = 10.0
RENEW_S: Final = 1.0
FIRST_ANSWER_S: Final = 10.0
STOP_S: Final = 15.0
PROCESS_POLL_S: Final = 0.5 if sys.platform == "linux" else 1.0
"""How often processes are looked at between snapshots: microseconds here, a ``ps`` each elsewhere."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """What to watch, and what to start for it."""

    name: str = "default"
    start: StartOptions | None = None
    """Start a cluster of this console's own; None: attach."""
    attach: str = ""
    """``host:port`` of any member's native door; empty: the local cluster ``name``."""
    load: LoadSettings | None = None
    """Load from the beginning on; None: only when asked for."""
    tell: Callable[[str], None] = field(default=lambda _: None)
    on_report: Callable[[LoadReport], None] | None = None
    """Called with each second's load report."""


@final
class LiveSource(LiveCommands):
    """See :class:`~console.source.ClusterSource`."""

    def __init__(self, options: LiveOptions) -> None:
        self._options = options
        self._interval_s = 1.0
        self._assembler = SnapshotAssembler(options.name)
        self._answered = trio.Event()
        self._feeds: dict[str, NodeFeed] = {}
        self._feed_scopes: dict[str, trio.CancelScope] = {}
        self._exits: dict[str, tuple[int, str]] = {}
        self._faults_since: dict[str, int] = {}
        super().__init__(options.name, owner=f"console-{os.getpid()}")
        if options.attach:
            self.capabilities = Capability.LINK_FAULTS | Capability.MEMBERSHIP | Capability.LOAD

    @property
    def owns_nodes(self) -> bool:
        """Whether the nodes end with this source."""
        return self._options.start is not None

    def set_interval(self, interval_s: float) -> None:
        """Interval of snapshots from the next one on; feeds follow when they dial again."""
        self._interval_s = min(max(interval_s, INTERVAL_MIN_S), INTERVAL_MAX_S)

    async def run(self, on_snapshot: Callable[[ClusterSnapshot], None]) -> None:
        """Open the cluster, produce snapshots until cancelled, then end what was started.

        Raises:
            ConsoleError: it can't be started, or nobody answers.
        """
        async with AsyncExitStack() as stack:
            await self._open(stack)
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                try:
                    self._reconcile_feeds()
                    await self._wait_for_an_answer()
                    if self._options.load is not None:
                        nursery.start_soon(self._keep_load, self._options.load)
                    nursery.start_soon(self._renew_forever)
                    await self._publish_forever(on_snapshot)
                finally:
                    self._nursery = None

    async def _open(self, stack: AsyncExitStack) -> None:
        options = self._options
        if options.attach:
            return
        state = StateDir(options.name)
        if options.start is None:
            record = state.load()
            if record is None or not launcher.running_nodes(record):
                raise ClusterUnreachable(
                    f"cluster {options.name!r} is not running",
                    hint=f"ringdeck cluster start --name {options.name}",
                )
            HELD.use_recorded(record.settings)
            self._supervisor = Supervisor(state, record, spawner_for(record))
            return
        warden = await stack.enter_async_context(open_warden())
        with state.locked():
            record = await launcher.start_cluster(state, options.start, warden, options.tell)
        self._supervisor = Supervisor(state, record, warden)
        stack.push_async_callback(self._close_own, state)

    async def _close_own(self, state: StateDir) -> None:
        """Stop the nodes of this console; only a data folder that was asked for stays."""
        assert self._supervisor is not None
        with trio.CancelScope(shield=True, deadline=trio.current_time() + STOP_S):
            self._supervisor.refresh()
            await self._supervisor.stop_all()
            state.purge()

    # -- watching -------------------------------------------------------------------------------

    def _addresses(self) -> dict[str, str]:
        """Native addresses by node, of the newest document and of this machine's nodes."""
        found: dict[str, str] = {}
        topology = self._assembler.topology
        if topology is not None:
            for member in topology.all_members:
                found[member.node_id] = member.addresses.native
        if self._supervisor is not None:
            for node in self._supervisor.record.nodes:
                found[node.id] = node.native
        if not found and self._options.attach:
            found[""] = self._options.attach
        return found

    def _reconcile_feeds(self) -> None:
        """One feed per known node; feeds of gone nodes end."""
        assert self._nursery is not None
        wanted = self._addresses()
        for node_id in [
            name for name, feed in self._feeds.items() if wanted.get(name) != feed.address
        ]:
            self._feed_scopes.pop(node_id).cancel()
            del self._feeds[node_id]
        for node_id, address in wanted.items():
            if node_id not in self._feeds:
                feed = NodeFeed(node_id, address, self._report_interval, self._answered)
                scope = trio.CancelScope()
                self._feeds[node_id] = feed
                self._feed_scopes[node_id] = scope
                self._nursery.start_soon(_run_feed, feed, scope)

    def _report_interval(self) -> float:
        """Twice as often as snapshots, so that what is shown is never a whole interval old."""
        return max(INTERVAL_MIN_S, self._interval_s / 2)

    async def _wait_for_an_answer(self) -> None:
        with trio.move_on_after(FIRST_ANSWER_S):
            await self._answered.wait()
            return
        problems = "; ".join(feed.problem for feed in self._feeds.values() if feed.problem)
        whose = "" if self._options.attach else f" of cluster {self.name!r}"
        raise ClusterUnreachable(f"no node{whose} answers: {problems}")

    async def _publish_forever(self, on_snapshot: Callable[[ClusterSnapshot], None]) -> None:
        while True:
            # First: a node that is gone must not make this snapshot incomplete.
            self._reconcile_feeds()
            on_snapshot(self._snapshot())
            await self._next_snapshot_due()

    async def _next_snapshot_due(self) -> None:
        """Wait for the interval, or only until a node's process begins, stops or ends.

        A process that ended is no opinion of anybody: it is shown at once, not at the next tick.
        """
        shown = self._process_states()
        with trio.move_on_after(self._interval_s):
            while True:
                await trio.sleep(PROCESS_POLL_S)
                if self._process_states() != shown:
                    return

    def _process_states(self) -> list[tuple[str, ProcessState]]:
        views = self._supervisor.views() if self._supervisor is not None else []
        return [(view.node.id, view.state) for view in views]

    def _snapshot(self) -> ClusterSnapshot:
        if self._supervisor is not None:
            self._supervisor.refresh()
        events: list[EventRecord] = []
        for feed in self._feeds.values():
            events += feed.take_events()
        observations = {
            feed.statistics.node_id: seen
            for feed in self._feeds.values()
            if (seen := feed.observation()) is not None and feed.statistics is not None
        }
        processes = self._processes()
        topology = self._assembler.topology
        members = topology.all_members if topology is not None else ()
        known = {str(member.node_id) for member in members}
        # That a stopped process does not answer needs no words, nor that a new one does not yet.
        quiet = {
            process.node_id
            for process in processes
            if process.state is not ProcessState.RUNNING or (known and process.node_id not in known)
        }
        silent = [feed for name, feed in self._feeds.items() if feed.problem and name not in quiet]
        return self._assembler.assemble(
            Observed(
                at_wall_ms=_wall_ms(),
                observations=observations,
                topologies=[
                    feed.topology for feed in self._feeds.values() if feed.topology is not None
                ],
                processes=processes,
                load=self._load.state if self._load is not None else None,
                events=tuple(sorted(events, key=lambda event: event.at_wall_ms)),
                problem="; ".join(feed.problem for feed in silent),
                texts=self._texts,
                owner=self._owner,
                leased=self._leased.keys(),
                owns_processes=self.owns_nodes,
            )
        )

    def _processes(self) -> list[LocalProcess]:
        if self._supervisor is None:
            return []
        found = []
        now = _wall_ms()
        for view in self._supervisor.views():
            node = view.node
            at_fault = view.state is ProcessState.PAUSED or bool(
                node.fault and view.state is ProcessState.EXITED
            )
            since = self._faults_since.setdefault(node.id, now) if at_fault else 0
            if not at_fault:
                self._faults_since.pop(node.id, None)
            found.append(
                LocalProcess(
                    node_id=node.id,
                    state=view.state,
                    pid=node.pid,
                    exit_text=self._exit_text(node.id, node.pid, view.state, view.exit_text),
                    addresses={"native": node.native, "resp": node.resp, "http": node.http},
                    fault=node.fault,
                    fault_since_ms=since,
                )
            )
        return found

    def _exit_text(self, node_id: str, pid: int, state: ProcessState, text: str) -> str:
        """``exit -9 at 12:03:41``: the time is when this console noticed."""
        if state is not ProcessState.EXITED:
            return ""
        known = self._exits.get(node_id)
        if known is None or known[0] != pid:
            at = time.strftime("%H:%M:%S")
            known = self._exits[node_id] = (pid, f"{text or 'ended'} at {at}")
        return known[1]

    # -- what goes on by itself -----------------------------------------------------------------

    async def _renew_forever(self) -> None:
        while True:
            await trio.sleep(RENEW_S)
            await self.renew_leases()

    async def _keep_load(self, settings: LoadSettings) -> None:
        """Run the load generator until cancelled; begun again when it could not connect."""
        while True:
            targets = list(self.doors().values())
            if targets:
                async with open_load(targets, settings) as load:
                    self._load = load
                    load.on_report = self._options.on_report
                    await _ended(load)
                    settings = load.settings
            await trio.sleep(RENEW_S)

    def start_load(self, settings: LoadSettings) -> None:
        """Begin to make load."""
        assert self._nursery is not None
        self._nursery.start_soon(self._keep_load, settings)

    def log_lines(self, node_id: str, lines: int) -> list[str]:
        """The end of a local node's log."""
        if self._supervisor is None:
            return []
        return tail(self._supervisor.log_path(node_id), lines)

    def feeds(self) -> Sequence[NodeFeed]:
        """Every node that is listened to."""
        return list(self._feeds.values())

    def assembler(self) -> SnapshotAssembler:
        """The newest document and its owners."""
        return self._assembler


async def _run_feed(feed: NodeFeed, scope: trio.CancelScope) -> None:
    with scope:
        await feed.run()


async def _ended(load: LoadProcess) -> None:
    await load.finished.wait()


def _wall_ms() -> int:
    return int(time.time() * 1000)
