"""What ``cluster change``, ``rebalance``, ``replace``, ``history`` and the previews do.

Every verb goes to the first node that answers: the decision is the cluster's, not that node's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import trio

from console.cluster_record import ClusterRecord
from console.errors import ConsoleError, UsageError
from console.runtime.admin_client import call_first
from console.runtime.cluster_commands import (
    APPROVE,
    CHANGE_TIMEOUT_S,
    POLL_S,
    end_process,
    reachable,
    running_cluster,
    wait_stable,
    waits_for_approval,
)
from nodecore.config_parsing import parse_size
from nodecore.errors import InvalidConfig
from nodecore.placement.topology import Topology

Tell = Callable[[str], None]
Plain = dict[str, object]


@dataclass(frozen=True, slots=True)
class RebalanceOptions:
    """What is to be different."""

    weights: Mapping[str, float] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)
    placement: str = ""
    vnodes: int = 0

    def arguments(self) -> Plain:
        """Of the verbs."""
        found: Plain = {"weights": dict(self.weights), "zones": dict(self.zones)}
        if self.placement:
            found["placement"] = self.placement
        if self.vnodes:
            found["vnodes"] = self.vnodes
        return found


def parse_options(
    weights: list[str], zones: list[str], placement: str, vnodes: int
) -> RebalanceOptions:
    """``NODE=VALUE`` options, checked together.

    Raises:
        UsageError: names every mistake.
    """
    wrong: list[str] = []
    parsed: dict[str, float] = {}
    for node, text in _pairs(weights, "--weight", wrong).items():
        try:
            parsed[node] = float(text)
        except ValueError:
            wrong.append(f"--weight {node}={text}: not a number")
    found = RebalanceOptions(parsed, _pairs(zones, "--zone", wrong), placement, vnodes)
    if wrong:
        raise UsageError("; ".join(wrong))
    return found


def _pairs(texts: list[str], option: str, wrong: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        node, equals, value = text.partition("=")
        if not node or not equals:
            wrong.append(f"{option} {text}: NODE=VALUE is wanted")
        elif node in found:
            wrong.append(f"{option}: {node} is named twice")
        found[node] = value
    return found


def parse_rate(text: str) -> int:
    """Bytes per second such as ``2MiB`` or ``500k``; ``0`` or ``off``: as each node is configured.

    Raises:
        UsageError: it is neither.
    """
    if text.lower() == "off":
        return 0
    try:
        return parse_size("RATE", text.removesuffix("/s"))
    except InvalidConfig as invalid:
        raise UsageError("; ".join(invalid.problems)) from None


async def run_verb(name: str, verb: str, arguments: Mapping[str, object] | None = None) -> Plain:
    """Run a verb at the first node that answers.

    Raises:
        ClusterUnreachable: none does.
        NodeRefused: the cluster won't, with a reason.
    """
    doors = list(reachable(running_cluster(name).record).values())
    found = await call_first(doors, verb, arguments, timeout_s=CHANGE_TIMEOUT_S)
    if not isinstance(found, dict):
        raise ConsoleError(f"{verb} was answered with {type(found).__name__}")
    return found


async def preview(name: str, arguments: Mapping[str, object]) -> Plain:
    """What a change would move; see the verb ``change.preview``."""
    return await run_verb(name, "change.preview", arguments)


async def preview_remove(name: str, node_id: str) -> Plain:
    """The preview of what ``cluster remove`` would do: a leave, or the removal of a dead node."""
    supervisor = running_cluster(name)
    kind = "leave" if node_id in reachable(supervisor.record) else "remove"
    return await preview(name, {"kind": kind, "node_id": node_id})


async def rebalance(name: str, options: RebalanceOptions, timeout_s: float, tell: Tell) -> Plain:
    """Assign the slots anew; returns when the cluster is stable again, or the change waits.

    Raises:
        NodeRefused: the cluster won't, with a reason.
        ConsoleError: not stable within ``timeout_s``; the change goes on.
    """
    supervisor = running_cluster(name)
    begun = await run_verb(name, "change.rebalance", options.arguments())
    if begun.get("waits_for_approval"):
        tell(f"it waits for approval: {APPROVE} --name {name}")
        return {"epoch": begun["epoch"], "state": "proposal"}
    epoch = await stable_after(supervisor.record, int(str(begun["epoch"])), timeout_s)
    return {"epoch": epoch, "state": "stable"}


async def stable_after(record: ClusterRecord, epoch: int, timeout_s: float) -> int:
    """Wait until the change that began at ``epoch`` has ended; returns the epoch that ended it.

    Raises:
        ConsoleError: not within ``timeout_s``, or it was cancelled.
    """
    with trio.move_on_after(timeout_s):
        while True:
            topology = await wait_stable(record)
            if topology.epoch > epoch:
                if "cancelled" in topology.reason:
                    raise ConsoleError(f"nothing was changed: {topology.reason}")
                return topology.epoch
            await trio.sleep(POLL_S)
    raise ConsoleError(
        f"not finished within {timeout_s:g} s; the change goes on",
        hint=f"ringdeck cluster change status --name {record.name}",
    )


async def replace(name: str, old: str, timeout_s: float, tell: Tell) -> Plain:
    """Start a new node that takes the place of ``old``, in one change; ends the old one's process.

    Raises:
        UsageError: ``old`` is no member.
        ConsoleError: not finished within ``timeout_s``; the change goes on.
    """
    supervisor = running_cluster(name)
    topology = await wait_stable_within(supervisor.record, timeout_s)
    members = [str(member.node_id) for member in topology.members]
    if old not in members:
        raise UsageError(f"{old} is no member of cluster {name!r} (members: {', '.join(members)})")
    with supervisor.state.locked():
        node = await supervisor.add(members, {"replaces": old})
    tell(f"{node.id} started (pid {node.pid}), taking the place of {old}")
    with trio.move_on_after(timeout_s) as scope:
        if await waits_for_approval(supervisor.record, node.id):
            tell(f"it waits for approval: {APPROVE} --name {name}")
            return {"replaced": old, "by": node.id, "state": "proposal"}
        await wait_stable(supervisor.record, present=node.id, absent=old)
        await supervisor.wait_ready(node, timeout_s)
    if scope.cancelled_caught:
        raise ConsoleError(
            f"{old} is not replaced within {timeout_s:g} s; the change goes on",
            hint=f"ringdeck cluster change status --name {name}",
        )
    await end_process(supervisor, old)
    with supervisor.state.locked():
        supervisor.forget(old)
    return {"replaced": old, "by": node.id, "state": "stable"}


async def wait_stable_within(record: ClusterRecord, timeout_s: float) -> Topology:
    """As ``wait_stable``, with an end.

    Raises:
        ConsoleError: a change was still under way after ``timeout_s``.
    """
    with trio.move_on_after(timeout_s):
        return await wait_stable(record)
    raise ConsoleError(
        f"a change is still under way after {timeout_s:g} s",
        hint=f"ringdeck cluster change status --name {record.name}",
    )
