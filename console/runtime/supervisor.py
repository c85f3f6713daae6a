"""Process verbs on the nodes of a local cluster: kill, terminate, pause, resume, restart, heal.

Holds the record of one cluster and keeps it on disk up to date. Whether a node runs is asked of
the system each time. Decides nothing about membership: a stopped node stays a member until the
cluster removes it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import trio

from console.cluster_record import ClusterRecord, NodeRecord
from console.errors import UsageError
from console.runtime import launcher
from console.runtime.processes import RunState, state_of
from console.runtime.spawner import Spawner
from console.runtime.state_dir import StateDir
from console.source import ProcessState

_STATES = {
    RunState.RUNNING: ProcessState.RUNNING,
    RunState.STOPPED: ProcessState.PAUSED,
    RunState.GONE: ProcessState.EXITED,
}


@dataclass(frozen=True, slots=True)
class ProcessView:
    """A node's process as the system sees it."""

    node: NodeRecord
    state: ProcessState
    exit_text: str = ""


@final
class Supervisor:
    """The processes of one local cluster."""

    def __init__(self, state: StateDir, record: ClusterRecord, spawner: Spawner) -> None:
        self.state = state
        self._record = record
        self._spawner = spawner
        self._changing = trio.Lock()

    @property
    def record(self) -> ClusterRecord:
        """The cluster as this supervisor knows it."""
        return self._record

    def refresh(self) -> ClusterRecord:
        """Take up what other commands have changed in the record on disk."""
        found = self.state.load()
        if found is not None and found.cluster_id == self._record.cluster_id:
            self._record = found
        return self._record

    def views(self) -> list[ProcessView]:
        """Every node's process."""
        views = []
        for node in self._record.nodes:
            state = _STATES[state_of(node.pid, node.born)]
            text = self._spawner.exit_text(node.pid) if state is ProcessState.EXITED else ""
            views.append(ProcessView(node, state, text))
        return views

    def view(self, node_id: str) -> ProcessView:
        """One node's process.

        Raises:
            UsageError: no such node is on this machine.
        """
        for view in self.views():
            if view.node.id == node_id:
                return view
        known = ", ".join(node.id for node in self._record.nodes) or "none"
        raise UsageError(f"{node_id}: no such node here (known: {known})")

    async def kill(self, node_ids: Sequence[str]) -> str:
        """SIGKILL; returns a sentence for a person.

        Raises:
            UsageError: a node is unknown or not running; then nothing was done.
        """
        nodes = self._running(node_ids)
        for node in nodes:
            await self._spawner.signal(node.pid, node.born, signal.SIGKILL)
            # A paused process is killed by SIGKILL at once; nothing need resume it.
            self._change(replace(node, fault="kill"))
        await self._gone(nodes)
        return f"killed {_names(nodes)}"

    async def terminate(self, node_ids: Sequence[str]) -> str:
        """SIGTERM: the node stops tidily and stays a member.

        Raises:
            UsageError: as :meth:`kill`.
        """
        nodes = self._running(node_ids)
        for node in nodes:
            self._change(replace(node, fault="terminate"))
        stubborn = await launcher.stop_nodes(nodes, self._spawner)
        late = f"; {', '.join(stubborn)} had to be killed" if stubborn else ""
        return f"terminated {_names(nodes)}{late}"

    async def pause(self, node_ids: Sequence[str]) -> str:
        """SIGSTOP: the process holds its sockets and answers nothing."""
        nodes = self._running(node_ids)
        for node in nodes:
            await self._spawner.signal(node.pid, node.born, signal.SIGSTOP)
        return f"paused {_names(nodes)}"

    async def resume(self, node_ids: Sequence[str]) -> str:
        """SIGCONT."""
        nodes = self._running(node_ids)
        for node in nodes:
            await self._spawner.signal(node.pid, node.born, signal.SIGCONT)
        return f"resumed {_names(nodes)}"

    async def restart(self, node_ids: Sequence[str], *, wait_s: float | None = None) -> str:
        """Begin nodes again with the same id, addresses and data; running ones are stopped first.

        ``wait_s``: also wait until they are ready members. A node that ends meanwhile stays marked
        as stopped by its fault, so that the next heal tries again.

        Raises:
            UsageError: a node is unknown.
            StartFailed: one did not become ready in time, or has ended.
        """
        nodes = [self.view(node_id).node for node_id in node_ids]
        async with self._changing:
            alive = [node for node in nodes if self._alive(node)]
            await launcher.stop_nodes(alive, self._spawner)
            begun = []
            for node in nodes:
                changed = await launcher.begin_node(self.state, node, self._spawner)
                self._change(replace(changed, fault=node.fault))
                begun.append(changed)
        try:
            if wait_s is not None:
                await launcher.wait_ready(self.state, begun, self._spawner, wait_s)
        finally:
            self.forgive([node.id for node in begun if self._alive(node)])
        return f"restarted {_names(begun)}"

    def forgive(self, node_ids: Iterable[str]) -> None:
        """No fault keeps these nodes down any more: heal leaves them alone."""
        self.refresh()
        for node_id in node_ids:
            node = self._record.node(node_id)
            if node is not None and node.fault:
                self._change(replace(node, fault=""))

    async def heal(self, *, wait_s: float | None = None) -> list[str]:
        """Resume what is paused, restart what a fault stopped; returns what was done, in words.

        ``wait_s``: also wait until the restarted are ready members; raises StartFailed.
        """
        done = []
        views = self.views()
        paused = [view.node.id for view in views if view.state is ProcessState.PAUSED]
        if paused:
            done.append(await self.resume(paused))
        down = [
            view.node.id for view in views if view.state is ProcessState.EXITED and view.node.fault
        ]
        if down:
            done.append(await self.restart(down, wait_s=wait_s))
        return done

    async def add(
        self, taken: Iterable[str] = (), settings: Mapping[str, object] | None = None
    ) -> NodeRecord:
        """Begin one further node; it joins by itself. ``settings``: of this node alone.

        Raises:
            UsageError: nothing to join, or no port free.
            StartFailed: the process could not be begun.
        """
        async with self._changing:
            self.refresh()
            node = launcher.plan_node(self.state, self._record, frozenset(taken), settings)
            node = await launcher.begin_node(self.state, node, self._spawner)
            self._change(node)
        return node

    async def wait_ready(self, node: NodeRecord, deadline_s: float) -> None:
        """Wait until a node is a ready member; raises StartFailed."""
        await launcher.wait_ready(self.state, [node], self._spawner, deadline_s)

    def forget(self, node_id: str) -> None:
        """Take a node out of the record: it has left the cluster."""
        self.refresh()
        self._record = self._record.without_node(node_id)
        self.state.save(self._record)

    async def stop_all(self) -> list[str]:
        """Stop every node, paused ones too; returns the ids that had to be killed."""
        return await launcher.stop_nodes(launcher.running_nodes(self._record), self._spawner)

    def log_path(self, node_id: str) -> Path:
        """Where the node logs."""
        return self.state.log_path(node_id)

    def _running(self, node_ids: Sequence[str]) -> list[NodeRecord]:
        views = [self.view(node_id) for node_id in node_ids]
        gone = [view.node.id for view in views if view.state is ProcessState.EXITED]
        if gone:
            raise UsageError(f"not running: {', '.join(gone)}", hint="ringdeck chaos restart NODE")
        return [view.node for view in views]

    def _alive(self, node: NodeRecord) -> bool:
        return state_of(node.pid, node.born) is not RunState.GONE

    def _change(self, node: NodeRecord) -> None:
        self.refresh()
        self._record = self._record.with_node(node)
        self.state.save(self._record)

    async def _gone(self, nodes: Sequence[NodeRecord]) -> None:
        await launcher.stop_nodes(
            [node for node in nodes if self._alive(node)], self._spawner, signal.SIGKILL
        )


def _names(nodes: Sequence[NodeRecord]) -> str:
    return ", ".join(node.id for node in nodes)
