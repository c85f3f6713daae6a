"""The commands of the live source: what a keystroke sets in motion, and how it ended.

Every command ends within a deadline and answers with a sentence; nothing raises. Process verbs go to
the supervisor, link faults and membership to the nodes.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import trio

from console.cluster_record import NodeRecord
from console.errors import ClusterUnreachable, ConsoleError, StartFailed, UsageError
from console.fault_targets import links_of
from console.load.settings import LoadSettings, changed
from console.previews import preview_join, preview_leave
from console.runtime import fault_commands
from console.runtime.admin_client import call_each, call_first
from console.runtime.fault_commands import FaultRequest
from console.runtime.live_previews import preview_change
from console.runtime.load_process import LoadProcess
from console.runtime.node_feed import NodeFeed
from console.runtime.ongoing import Ongoing
from console.runtime.supervisor import ProcessView, Supervisor
from console.snapshots import SnapshotAssembler
from console.source import AddPreview, Capability, CommandResult, PastDocument, ProcessState
from console.topology_history import history_of
from nodecore.ids import NodeId
from nodecore.placement.hashing import slot_of
from nodecore.placement.topology import Topology
from transport.faults import parse_fault

COMMAND_TIMEOUT_S: Final = 15.0
START_WAIT_S: Final = 5.0
"""A restarted node is watched for so long: one that can't start has ended by then."""
MEMORY_HINT: Final = "what was only in memory is lost"

P = ParamSpec("P")
S = TypeVar("S", bound="LiveCommands")


def answered(
    function: Callable[Concatenate[S, P], Awaitable[CommandResult]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, CommandResult]]:
    """Turn what goes wrong into an answer, and bound the time that it takes."""

    async def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> CommandResult:
        try:
            with trio.fail_after(COMMAND_TIMEOUT_S):
                return await function(self, *args, **kwargs)
        except trio.TooSlowError:
            return CommandResult(False, f"not finished within {COMMAND_TIMEOUT_S:g} s")
        except ConsoleError as error:
            return CommandResult(False, f"{error.text}; {error.hint}" if error.hint else error.text)

    functools.update_wrapper(call, function)
    return call


class LiveCommands:
    """Commands on a cluster that somebody else keeps in view."""

    def __init__(self, name: str, owner: str) -> None:
        self.name = name
        self.capabilities = (
            Capability.PROCESS_FAULTS
            | Capability.LINK_FAULTS
            | Capability.MEMBERSHIP
            | Capability.LOAD
        )
        self._owner = owner
        self._supervisor: Supervisor | None = None
        self._load: LoadProcess | None = None
        self._nursery: trio.Nursery | None = None
        self._texts: dict[str, str] = {}
        """Fault ids of this console, with their wording."""
        self._leased: dict[str, None] = {}
        """Those that live as long as this console renews them."""
        self._breaking = Ongoing()

    # -- what the source provides ---------------------------------------------------------------

    def feeds(self) -> Sequence[NodeFeed]:
        """Every node that is listened to."""
        return ()

    def assembler(self) -> SnapshotAssembler:
        """The newest document and its owners."""
        return SnapshotAssembler(self.name)

    def start_load(self, settings: LoadSettings) -> None:
        """Begin to make load."""

    def log_lines(self, node_id: str, lines: int) -> list[str]:
        """The end of a local node's log."""
        return []

    # -- processes ------------------------------------------------------------------------------

    @answered
    async def kill(self, node_ids: Sequence[str]) -> CommandResult:
        with self._breaking.counted():
            text = await self._local().kill(node_ids)
        return CommandResult(True, text, undo=f"restart {', '.join(node_ids)}")

    @answered
    async def terminate(self, node_ids: Sequence[str]) -> CommandResult:
        with self._breaking.counted():
            text = await self._local().terminate(node_ids)
        return CommandResult(True, text, undo=f"restart {', '.join(node_ids)}")

    @answered
    async def pause(self, node_ids: Sequence[str]) -> CommandResult:
        with self._breaking.counted():
            text = await self._local().pause(node_ids)
        return CommandResult(True, text, undo=f"resume {', '.join(node_ids)}")

    @answered
    async def resume(self, node_ids: Sequence[str]) -> CommandResult:
        text = await self._local().resume(node_ids)
        return CommandResult(True, text, undo=f"pause {', '.join(node_ids)}")

    @answered
    async def restart(self, node_ids: Sequence[str]) -> CommandResult:
        text = await self._restart(node_ids)
        return CommandResult(True, f"{text}; {MEMORY_HINT}")

    async def _restart(self, node_ids: Sequence[str]) -> str:
        """Restart nodes, and see them survive their start.

        Raises:
            StartFailed: one has ended again.
        """
        supervisor = self._local()
        try:
            return await supervisor.restart(node_ids, wait_s=START_WAIT_S)
        except StartFailed:
            if any(supervisor.view(name).state is ProcessState.EXITED for name in node_ids):
                raise
            return f"restarted {', '.join(node_ids)}, not a ready member yet"

    def _local(self) -> Supervisor:
        if self._supervisor is None:
            raise UsageError("these nodes are not processes of this machine")
        return self._supervisor

    # -- faults ---------------------------------------------------------------------------------

    @answered
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
        request = FaultRequest(
            kind,
            link,
            attributes,
            stream=stream,
            toxicity=toxicity,
            for_s=for_s,
            control=control,
            owner=self._owner,
            leased=for_s is None,
        )
        doors = self.doors()
        with self._breaking.counted():
            fault_id = await fault_commands.add_fault(doors, self._node_ids(), request)
        if for_s is None:
            self._leased[fault_id] = None
        first = links_of(link, kind)[0]
        self._texts[fault_id] = parse_fault(request.plain(first.rpartition(":")[2])).text()
        text = f"{self._texts[fault_id]} on {link}"
        return CommandResult(True, text, fault_id, f"lift {text}")

    @answered
    async def remove_fault(self, fault_id: str) -> CommandResult:
        kind, colon, node_id = fault_id.partition(":")
        if colon and kind == "pause":
            return CommandResult(True, await self._local().resume([node_id]))
        if colon and kind in ("kill", "terminate"):
            return CommandResult(True, await self._restart([node_id]))
        removed = await fault_commands.remove_fault(self.doors(), fault_id)
        if not removed:
            return CommandResult(False, f"{fault_id} is not active any more")
        return CommandResult(True, f"lifted {self._texts.get(fault_id, fault_id)}")

    @answered
    async def heal_all(self) -> CommandResult:
        # A fault that is still being made must not outlive the healing that was asked for after it.
        await self._breaking.settled()
        done: list[str] = []
        down: list[str] = []
        supervisor = self._supervisor
        if supervisor is not None:
            views = supervisor.views()
            paused = [view.node.id for view in views if view.state is ProcessState.PAUSED]
            down = [view.node.id for view in views if self._is_missed(view)]
            if paused:
                done.append(await supervisor.resume(paused))
        problem = None
        try:
            lifted = sum((await fault_commands.heal(self.doors())).values())
            if lifted:
                done.append(f"lifted {lifted} fault{'' if lifted == 1 else 's'}")
        except ConsoleError as error:
            # A node that does not answer yet must not keep the others down.
            problem = error.text
        if down:
            done += [await self._restart(down), MEMORY_HINT]
        if problem is not None:
            return CommandResult(False, "; ".join([*done, problem]))
        return CommandResult(True, "; ".join(done) if done else "nothing to heal")

    def _is_missed(self, view: ProcessView) -> bool:
        """Whether a node is down that a fault stopped, or that the cluster still counts on."""
        if view.state is not ProcessState.EXITED:
            return False
        topology = self.assembler().topology
        members = () if topology is None else topology.members
        return bool(view.node.fault) or any(m.node_id == view.node.id for m in members)

    async def renew_leases(self) -> None:
        """Keep the faults of this console alive; nodes drop them when it stops."""
        owned = {
            feed.node_id: feed.address
            for feed in self.feeds()
            if feed.statistics is not None
            and any(fault.owner == self._owner for fault in feed.statistics.faults)
        }
        doors = self.doors()
        await call_each(
            {name: address for name, address in owned.items() if name in doors},
            "fault.renew",
            {"owner": self._owner},
            timeout_s=2.0,
        )

    # -- membership -----------------------------------------------------------------------------

    async def preview_add(self, count: int) -> AddPreview:
        """What adding nodes would move.

        Raises:
            ConsoleError: no document is known, or the cluster can't take one now.
        """
        topology = self._topology()
        taken = frozenset(str(member.node_id) for member in topology.all_members)
        if self._supervisor is not None:
            first = self._supervisor.record.next_node_id(taken)
        else:
            first = f"n{len(taken) + 1}"
        label = first if count == 1 else f"{count} nodes"
        wanted = {"kind": "join", "count": count, "node_id": first if count == 1 else ""}
        draft = functools.partial(preview_join, topology, self._statistics(), first, count)
        return await preview_change(self.doors().values(), label, wanted, draft)

    async def preview_remove(self, node_id: str) -> AddPreview:
        """What removing a node would move.

        Raises:
            ConsoleError: it is no member, or the cluster can't let it go now.
        """
        kind = "leave" if node_id in self.doors() else "remove"
        wanted: dict[str, object] = {"kind": kind, "node_id": node_id}
        draft = functools.partial(preview_leave, self._topology(), self._statistics(), node_id)
        return await preview_change(self.doors().values(), node_id, wanted, draft)

    @answered
    async def add_nodes(self, count: int) -> CommandResult:
        supervisor = self._local()
        started: list[str] = []
        nodes = []
        for _ in range(count):
            taken = [str(member.node_id) for member in self._topology().all_members]
            node = await supervisor.add(taken)
            nodes.append(node)
            started.append(node.id)
        await self._survive(nodes)
        names = ", ".join(started)
        verb = "is" if count == 1 else "are"
        return CommandResult(True, f"{names} {verb} joining", undo=f"remove {names}")

    async def _survive(self, nodes: Sequence[NodeRecord]) -> None:
        """Watch new nodes begin; those that end at once are forgotten.

        Raises:
            StartFailed: one has ended, with the reason.
        """
        supervisor = self._local()
        with trio.move_on_after(START_WAIT_S):
            for node in nodes:
                try:
                    await supervisor.wait_ready(node, START_WAIT_S)
                except StartFailed:
                    if supervisor.view(node.id).state is ProcessState.EXITED:
                        supervisor.forget(node.id)
                        raise

    @answered
    async def remove_node(self, node_id: str) -> CommandResult:
        doors = self.doors()
        if node_id in doors:
            await call_first([doors[node_id]], "change.leave", {"node_id": node_id})
            return CommandResult(True, f"{node_id} is leaving", undo="cancel the change")
        others = [address for name, address in doors.items() if name != node_id]
        await call_first(others, "change.remove", {"node_id": node_id})
        if self._supervisor is not None:
            self._supervisor.forgive([node_id])
        return CommandResult(True, f"{node_id} is being removed")

    # -- load, keys, logs -----------------------------------------------------------------------

    @answered
    async def set_load(
        self,
        *,
        running: bool,
        rate: float | None = None,
        zipf: float | None = None,
        reads: float | None = None,
    ) -> CommandResult:
        chosen = {"rate": rate, "zipf": zipf, "reads": reads}
        given: dict[str, object] = {
            name: value for name, value in chosen.items() if value is not None
        }
        given["running"] = running
        if self._load is not None:
            settings = await self._load.change(given)
        else:
            settings = changed(LoadSettings(), given)
            if running:
                self.start_load(settings)
        if not running:
            return CommandResult(True, "load stopped", undo="start load")
        return CommandResult(
            True,
            f"load {settings.rate:g}/s, {settings.reads:.0%} reads, zipf {settings.zipf:g}",
            undo="stop load",
        )

    async def locate(self, key: bytes) -> tuple[int, tuple[str, ...]]:
        """Slot and owners of a key; no owners while no document is known."""
        slot = slot_of(key)
        slot_map = self.assembler().slot_map
        return slot, tuple(slot_map.owners[slot]) if slot_map is not None else ()

    async def log_tail(self, node_id: str, lines: int) -> list[str]:
        """The end of a local node's log; empty for a foreign one."""
        return self.log_lines(node_id, lines)

    async def history(self) -> list[PastDocument]:
        """The topology's documents, as remembered by the first node that answers."""
        return history_of(await call_first(list(self.doors().values()), "cluster.history"))

    # -- what is known --------------------------------------------------------------------------

    def doors(self) -> dict[str, str]:
        """Native addresses of the nodes that can be expected to answer."""
        silent: set[str] = set()
        if self._supervisor is not None:
            for view in self._supervisor.views():
                if view.state is not ProcessState.RUNNING:
                    silent.add(view.node.id)
        found = {}
        for feed in self.feeds():
            node_id = feed.statistics.node_id if feed.statistics is not None else feed.node_id
            if node_id and node_id not in silent and (self._supervisor or feed.link is not None):
                found[node_id] = feed.address
        return found

    def _node_ids(self) -> list[str]:
        topology = self.assembler().topology
        members = [str(member.node_id) for member in topology.all_members] if topology else []
        return members + [name for name in self.doors() if name not in members]

    def _topology(self) -> Topology:
        topology = self.assembler().topology
        if topology is None:
            raise ClusterUnreachable("no node has answered yet")
        return topology

    def _statistics(self) -> dict[NodeId, tuple[int, int]]:
        """Keys and bytes by node, as last reported."""
        return {
            NodeId(feed.statistics.node_id): (feed.statistics.keys, feed.statistics.memory_bytes)
            for feed in self.feeds()
            if feed.statistics is not None
        }
