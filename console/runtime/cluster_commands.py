"""What the ``cluster`` and ``chaos`` commands do, apart from how they print it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import trio

from console.cluster_record import ClusterRecord
from console.errors import ClusterUnreachable, ConsoleError, NodeRefused, UsageError
from console.runtime import launcher
from console.runtime.admin_client import call_first, open_admin
from console.runtime.processes import RunState, state_of
from console.runtime.secret import HELD
from console.runtime.spawner import DetachedSpawner, spawner_for
from console.runtime.state_dir import StateDir, cluster_names, left_names, purge_home
from console.runtime.supervisor import Supervisor
from nodecore.errors import Code, InvalidTopology
from nodecore.ids import NodeId
from nodecore.placement.change_reasons import ChangeReason
from nodecore.placement.proposals import copies_missing
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Topology
from nodecore.statistics import NodeStatistics
from nodecore.status import ClusterStatus, merge_status, newest, slot_counts

ASK_TIMEOUT_S: Final = 3.0
POLL_S: Final = 0.2
CHANGE_TIMEOUT_S: Final = 12.0
"""A node decides a proposal, or gives it up, within ten seconds."""
APPROVE: Final = "ringdeck cluster change approve"
NOTICED_S: Final = 8.0
"""Others notice within this that a process does not answer any more."""
END_DEADLINE_S: Final = 5.0
"""A node that has left ends by itself within this."""
_NAMES_SHOWN_MAX: Final = 5

Tell = Callable[[str], None]


@dataclass(slots=True)
class Answers:
    """What the nodes said when they were asked."""

    topologies: dict[str, Topology]
    statistics: dict[str, NodeStatistics]


def local_supervisor(name: str) -> Supervisor:
    """The supervisor of a cluster that was started on this machine.

    Raises:
        ClusterUnreachable: no cluster of this name is known.
        UsageError: its record is damaged.
    """
    state = StateDir(name)
    record = state.load()
    if record is None:
        raise ClusterUnreachable(f"no cluster {name!r} on this machine", hint=_instead_of(name))
    HELD.use_recorded(record.settings)
    return Supervisor(state, record, spawner_for(record))


def _instead_of(name: str) -> str:
    """What to do when there is no cluster of this name."""
    others = cluster_names()
    if not others:
        return f"ringdeck cluster start --name {name}"
    shown = ", ".join(others[:_NAMES_SHOWN_MAX])
    more = ", ..." if len(others) > _NAMES_SHOWN_MAX else ""
    return f"--name chooses one of: {shown}{more}; or ringdeck cluster start --name {name}"


def running_cluster(name: str) -> Supervisor:
    """As :func:`local_supervisor`, with at least one process alive.

    Raises:
        ClusterUnreachable: no cluster of this name is known, or all its processes are gone.
    """
    supervisor = local_supervisor(name)
    if not launcher.running_nodes(supervisor.record):
        raise ClusterUnreachable(
            f"cluster {name!r} is not running", hint=f"ringdeck cluster start --name {name}"
        )
    return supervisor


def reachable(record: ClusterRecord) -> dict[str, str]:
    """Native addresses of the nodes whose processes run (paused ones can't answer)."""
    return {
        node.id: node.native
        for node in record.nodes
        if state_of(node.pid, node.born) is RunState.RUNNING
    }


async def start(name: str, options: launcher.StartOptions, tell: Tell) -> ClusterRecord:
    """Start a detached cluster; see :func:`launcher.start_cluster`."""
    state = StateDir(name)
    with state.locked():
        return await launcher.start_cluster(state, options, DetachedSpawner(), tell)


async def stop(name: str, *, purge: bool, tell: Tell) -> list[str]:
    """Stop every node of a cluster; returns the ids of those that ran.

    Raises:
        UsageError: no cluster of this name is known (not with ``purge``), or a console owns it.
    """
    state = StateDir(name)
    if not purge and state.load() is None:
        # Logs and data of a cluster that was stopped before stay where they are.
        raise UsageError(f"no cluster {name!r} on this machine")
    with state.locked():
        try:
            record = state.load()
        except UsageError:
            if not purge:
                raise
            record = None
        if record is None:
            if purge:
                state.purge()
            return []
        if record.owner_pid and state_of(record.owner_pid, record.owner_born) is not RunState.GONE:
            raise UsageError(
                f"cluster {name!r} belongs to the console with pid {record.owner_pid}",
                hint="quit that console",
            )
        running = launcher.running_nodes(record)
        stubborn = await launcher.stop_nodes(running, DetachedSpawner())
        for node_id in stubborn:
            tell(f"{node_id} did not stop in time and was killed")
        if purge:
            state.purge()
            if record.data_dir:
                tell(f"data stays in {record.data_dir}")
        else:
            (state.folder / "cluster.json").unlink(missing_ok=True)
    return [node.id for node in running]


async def stop_all(*, purge: bool, tell: Tell) -> dict[str, list[str]]:
    """Stop every cluster of this user; per name the ids of those that ran.

    Raises:
        UsageError: some could not be stopped, named; the others are.
    """
    stopped: dict[str, list[str]] = {}
    refused = []
    for name in left_names() if purge else cluster_names():
        try:
            stopped[name] = await stop(name, purge=purge, tell=tell)
        except UsageError as error:
            refused.append(error.text)
    if refused:
        raise UsageError("; ".join(refused))
    if purge:
        purge_home()
    return stopped


async def ask(addresses: Mapping[str, str]) -> Answers:
    """Topology and statistics of every node that answers."""
    answers = Answers({}, {})

    async def one(node_id: str, address: str) -> None:
        with contextlib.suppress(ConsoleError), trio.move_on_after(ASK_TIMEOUT_S):
            async with open_admin(address) as admin:
                topology = await admin.call("topology", timeout_s=ASK_TIMEOUT_S)
                with contextlib.suppress(InvalidTopology):
                    answers.topologies[node_id] = Topology.from_plain(topology)
                figures = await admin.call("figures", {"of": "status"}, ASK_TIMEOUT_S)
                with contextlib.suppress(msgspec.ValidationError):
                    answers.statistics[node_id] = NodeStatistics.from_plain(figures)

    async with trio.open_nursery() as nursery:
        for node_id, address in addresses.items():
            nursery.start_soon(one, node_id, address)
    return answers


async def status(name: str) -> ClusterStatus:
    """The merged status of a local cluster.

    Raises:
        ClusterUnreachable: no cluster of this name is known, or no node answers.
    """
    record = running_cluster(name).record
    answers = await ask(reachable(record))
    topology = newest(answers.topologies.values())
    if topology is None:
        raise ClusterUnreachable(f"no node of cluster {name!r} answers")
    pids = {
        node.id: node.pid if state_of(node.pid, node.born) is not RunState.GONE else None
        for node in record.nodes
    }
    slots = slot_counts(SlotMap.compile(topology))
    return merge_status(topology, slots, answers.statistics, pids)


async def newest_topology(record: ClusterRecord) -> Topology:
    """The newest document of a running cluster.

    Raises:
        ClusterUnreachable: no node answers.
    """
    found: list[Topology] = []

    async def one(address: str) -> None:
        with contextlib.suppress(ConsoleError, InvalidTopology):
            async with open_admin(address) as admin:
                plain = await admin.call("topology", timeout_s=ASK_TIMEOUT_S)
                found.append(Topology.from_plain(plain))

    async with trio.open_nursery() as nursery:
        for address in reachable(record).values():
            nursery.start_soon(one, address)
    topology = newest(found)
    if topology is None:
        raise ClusterUnreachable(f"no node of cluster {record.name!r} answers")
    return topology


async def wait_stable(record: ClusterRecord, *, present: str = "", absent: str = "") -> Topology:
    """Wait until no change is under way, and until a node is a member or no longer one."""
    while True:
        with contextlib.suppress(ClusterUnreachable):
            topology = await newest_topology(record)
            ids = [str(member.node_id) for member in topology.members]
            if not topology.joint and (not present or present in ids) and absent not in ids:
                return topology
        await trio.sleep(POLL_S)


@dataclass(slots=True)
class Added:
    """What ``add`` has come to."""

    added: list[str]
    waits: str = ""
    """A node whose join waits for approval; empty: none."""


async def add(name: str, count: int, timeout_s: float, tell: Tell) -> Added:
    """Add nodes one after another; returns their ids when the cluster is stable again.

    Where changes need approval, the first is started, and its join left waiting for it.

    Raises:
        ConsoleError: not stable within ``timeout_s``; the node stays, and goes on joining.
    """
    supervisor = running_cluster(name)
    done = Added([])
    with trio.move_on_after(timeout_s) as scope:
        for _ in range(count):
            topology = await wait_stable(supervisor.record)
            with supervisor.state.locked():
                taken = [str(member.node_id) for member in topology.all_members]
                node = await supervisor.add(taken)
            tell(f"{node.id} started (pid {node.pid}), joining")
            if await waits_for_approval(supervisor.record, node.id):
                tell(f"its join waits for approval: {APPROVE} --name {name}")
                done.waits = node.id
                return done
            await supervisor.wait_ready(node, timeout_s)
            await wait_stable(supervisor.record, present=node.id)
            done.added.append(node.id)
    if scope.cancelled_caught:
        raise ConsoleError(
            f"not finished within {timeout_s:g} s ({len(done.added)} of {count} added)",
            hint=f"ringdeck cluster change status --name {name}",
        )
    return done


async def waits_for_approval(record: ClusterRecord, node_id: str) -> bool:
    """Wait for what becomes of a node's wish to join: True, it waits for a person; False, it is
    under way.
    """
    while True:
        with contextlib.suppress(ClusterUnreachable):
            topology = await newest_topology(record)
            wish = topology.proposal
            if wish is not None and wish.node_id == node_id:
                return True
            if topology.change_policy.approval == "auto" or topology.member(NodeId(node_id)):
                return False
        await trio.sleep(POLL_S)


async def remove(name: str, node_id: str, timeout_s: float, tell: Tell, *, force: bool) -> str:
    """Take a node out: a live one hands its data over first, a dead one is removed by the others.

    ``force``: also when fewer members than copies would remain.

    Raises:
        UsageError: it is no member.
        NodeRefused: the cluster won't (the last member, no majority).
        ConsoleError: too few members would remain, or not finished within ``timeout_s``.
    """
    supervisor = running_cluster(name)
    topology = await newest_topology(supervisor.record)
    members = [str(member.node_id) for member in topology.members]
    if node_id not in [member.node_id for member in topology.all_members]:
        known = ", ".join(members)
        raise UsageError(f"{node_id} is no member of cluster {name!r} (members: {known})")
    missing = copies_missing(topology)
    if missing is not None and not force and len(members) > 1:
        raise NodeRefused(
            f"{node_id} stays: {missing}",
            Code.REFUSED,
            reason=ChangeReason.NOT_ENOUGH_MEMBERS,
            hint=f"add a node first, or make do with fewer copies: "
            f"ringdeck cluster remove {node_id} --force --name {name}",
        )
    doors = reachable(supervisor.record)
    wanted = {"node_id": node_id}
    with trio.move_on_after(timeout_s) as scope:
        if node_id in doors:
            begun = await _when_free("change.leave", [doors[node_id]], wanted, tell)
            how = "left"
        else:
            others = [address for name, address in doors.items() if name != node_id]
            begun = await _when_free("change.remove", others, wanted, tell, NOTICED_S)
            how = "removed"
        if isinstance(begun, dict) and begun.get("waits_for_approval"):
            tell(f"it waits for approval: {APPROVE} --name {name}")
            return "waits for approval"
        await wait_stable(supervisor.record, absent=node_id)
    if scope.cancelled_caught:
        raise ConsoleError(
            f"{node_id} is not out within {timeout_s:g} s; the change goes on",
            hint=f"ringdeck cluster status --name {name}",
        )
    await end_process(supervisor, node_id)
    with supervisor.state.locked():
        supervisor.forget(node_id)
    return how


async def end_process(supervisor: Supervisor, node_id: str) -> None:
    """A node that has left stops by itself; one that was removed while paused must be stopped."""
    node = supervisor.record.node(node_id)
    if node is not None:
        spawner = DetachedSpawner()
        await launcher.wait_gone([node], spawner, END_DEADLINE_S)
        await launcher.stop_nodes([node], spawner)


async def _when_free(
    verb: str,
    addresses: Sequence[str],
    arguments: Mapping[str, object],
    tell: Tell,
    patience_s: float = 0.0,
) -> object:
    """Run a verb of a change; ``patience_s``: how long a refusal may be for what is not known yet."""
    until = trio.current_time() + patience_s
    told = False
    while True:
        try:
            return await call_first(addresses, verb, arguments, timeout_s=CHANGE_TIMEOUT_S)
        except NodeRefused as refused:
            waits = refused.reason == ChangeReason.APPROVAL_NEEDED
            busy = refused.code == Code.CHANGE_RUNNING and not waits
            early = refused.code == Code.REFUSED and trio.current_time() < until
            if not busy and not early:
                raise
        if busy and not told:
            tell("waiting for the change that is under way")
            told = True
        await trio.sleep(POLL_S)


def log_path(name: str, node_id: str) -> Path:
    """Log of a node of a local cluster.

    Raises:
        UsageError: no such cluster or node.
    """
    supervisor = local_supervisor(name)
    supervisor.view(node_id)
    return supervisor.log_path(node_id)
