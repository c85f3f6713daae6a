"""``ringdeck cluster recover``: asks who is left, says what would be lost, founds a new generation.

What may be done and what it costs is ``nodecore.placement.recovery``'s to say. Here the nodes are
asked, the operator's choice is checked against their answers, and the survivors are given the
document. One that has taken it up is enough: it tells the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from console.errors import ClusterUnreachable, ConsoleError, NodeRefused, UsageError
from console.runtime.admin_client import call_each, open_admin
from console.runtime.cluster_commands import ASK_TIMEOUT_S, POLL_S, Tell, local_supervisor
from console.runtime.processes import RunState, state_of
from nodecore.errors import Code, InvalidTopology
from nodecore.ids import SLOTS_COUNT, NodeId
from nodecore.placement.recovery import Losses, losses, propose_recovery, recovery_refusal
from nodecore.placement.topology import Topology
from nodecore.status import newest

AGREE_TIMEOUT_S: Final = 15.0
"""Survivors may need some seconds to find the others gone; then the document spreads at once."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Who answered, and the newest document among the answers."""

    topology: Topology
    doors: Mapping[str, str]
    """Native addresses of the nodes that answered."""
    paused: tuple[str, ...]
    """Nodes of this machine that are stopped, not dead: nothing of theirs is lost."""
    strong_lost: int = 0
    """Slots of strong keys that stay closed, because most of their owners run and have lost their state."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """How a recovery ended."""

    generation: int
    epoch: int
    members: tuple[str, ...]
    losses: Losses


async def survey(name: str) -> Survey:
    """Ask every node of this machine, and every member that these name, for its newest document.

    Raises:
        ClusterUnreachable: no cluster of this name is known, or nobody answers.
    """
    record = local_supervisor(name).record
    answers: dict[str, Topology] = {}
    doors = {node.id: node.native for node in record.nodes}
    await _ask(doors, answers)
    found = newest(answers.values())
    if found is not None:
        members = {str(m.node_id): m.addresses.native for m in found.all_members}
        elsewhere = {node: address for node, address in members.items() if node not in doors}
        await _ask(elsewhere, answers)
        doors |= elsewhere
    topology = newest(answers.values())
    if topology is None:
        raise ClusterUnreachable(
            f"no node of cluster {name!r} answers: at least one survivor must run",
            hint=f"ringdeck chaos restart NODE --name {name}",
        )
    paused = tuple(
        node.id for node in record.nodes if state_of(node.pid, node.born) is RunState.STOPPED
    )
    answering = {node: doors[node] for node in answers}
    return Survey(topology, answering, paused, await _strong_lost(answering))


async def _strong_lost(doors: Mapping[str, str]) -> int:
    """The most that any node finds closed."""
    answers = await call_each(doors, "keyspace.progress", timeout_s=ASK_TIMEOUT_S)
    found = [answer.get("strong_lost") for answer in answers.values() if isinstance(answer, dict)]
    return max((count for count in found if isinstance(count, int)), default=0)


async def _ask(doors: Mapping[str, str], answers: dict[str, Topology]) -> None:
    async def one(node_id: str, address: str) -> None:
        with contextlib.suppress(ConsoleError, InvalidTopology), trio.move_on_after(ASK_TIMEOUT_S):
            async with open_admin(address) as admin:
                plain = await admin.call("topology", timeout_s=ASK_TIMEOUT_S)
                answers[node_id] = Topology.from_plain(plain)

    async with trio.open_nursery() as nursery:
        for node_id, address in doors.items():
            nursery.start_soon(one, node_id, address)


def plan(found: Survey, keep: Sequence[str], name: str) -> Losses:
    """What a recovery on these survivors (all that answered, when none are named) would give up.

    Raises:
        ConsoleError: a majority can be reached, or could be by resuming paused nodes, and has lost
            nothing.
        UsageError: a node to be kept does not answer or is no member.
    """
    topology = found.topology
    refusal = recovery_refusal(topology, [NodeId(node) for node in found.doors])
    if refusal is not None and not found.strong_lost:
        raise ConsoleError(refusal, hint=f"ringdeck cluster status --name {name}")
    asleep = [NodeId(node) for node in (*found.doors, *found.paused)]
    if refusal is None and recovery_refusal(topology, asleep) is not None:
        raise ConsoleError(
            f"with {', '.join(found.paused)} resumed a majority of the voters would be reachable",
            hint=f"ringdeck chaos resume {' '.join(found.paused)} --name {name}",
        )
    members = [str(member.node_id) for member in topology.members]
    answering = [node for node in members if node in found.doors]
    wrong = [node for node in keep if node not in answering]
    if wrong:
        raise UsageError(
            f"--keep {', '.join(wrong)}: not a member that answers "
            f"(these do: {', '.join(answering) or 'none'})"
        )
    if not answering:
        raise ConsoleError("nobody that answers is a member: there is nothing to go on from")
    return losses(topology, [NodeId(node) for node in keep or answering])


def explanation(found: Survey, price: Losses) -> list[str]:
    """The price of a recovery, in sentences for a person."""
    topology = found.topology
    survivors = ", ".join(price.survivors)
    lines = [f"newest document: generation {topology.generation}, epoch {topology.epoch}"]
    if found.strong_lost:
        lines.append(
            f"{found.strong_lost:,} of {SLOTS_COUNT:,} slots of strong keys stay closed: most of their "
            "owners have lost their state; what is left of them would count"
        )
    if not price.members_lost:
        return lines
    lines += [
        f"voters lost: {', '.join(price.voters_lost) or 'none'} of {', '.join(price.voters)}",
        f"members that would be given up: {', '.join(price.members_lost)}; kept: {survivors}",
    ]
    lines += [
        f"keys of {keyspace.pattern!r}: gone in {keyspace.slots_lost:,} of {SLOTS_COUNT:,} slots "
        f"(no owner is left); in {keyspace.slots_doubtful:,} further slots the newest writes may "
        "be gone"
        for keyspace in price.keyspaces
    ]
    lines.append("how many keys that is can't be known: nobody is left who holds them")
    return lines


async def recover(name: str, found: Survey, price: Losses, tell: Tell) -> Recovered:
    """Found the new generation on the survivors; returns when all of them are in it.

    Raises:
        NodeRefused: no survivor takes the document up.
        OutcomeUnknown: nobody has answered; it may have begun.
        ConsoleError: it has begun, but not all survivors are in it in time.
    """
    document = propose_recovery(found.topology, price.survivors)
    doors = {str(node): found.doors[node] for node in price.survivors}
    arguments = {"document": document.to_plain(), "accept_loss": True}
    await _begin(doors, arguments)
    tell(f"generation {document.generation} has begun at epoch {document.epoch}")
    with trio.move_on_after(AGREE_TIMEOUT_S):
        while True:
            answers: dict[str, Topology] = {}
            await _ask(doors, answers)
            if all(node in answers and answers[node].age >= document.age for node in doors):
                members = tuple(str(member.node_id) for member in document.members)
                return Recovered(document.generation, int(document.epoch), members, price)
            await trio.sleep(POLL_S)
    raise ConsoleError(
        f"it has begun, but not every survivor is in it after {AGREE_TIMEOUT_S:g} s",
        hint=f"ringdeck cluster status --name {name}",
    )


async def _begin(doors: Mapping[str, str], arguments: Mapping[str, object]) -> None:
    """Hand out the document until one survivor has taken it up."""
    deadline = trio.current_time() + AGREE_TIMEOUT_S
    while True:
        results = await call_each(doors, "change.recover", arguments)
        errors = [result for result in results.values() if isinstance(result, ConsoleError)]
        if len(errors) < len(results):
            return
        waits = [e for e in errors if isinstance(e, NodeRefused) and e.code == Code.NOT_READY]
        if not waits or trio.current_time() >= deadline:
            raise errors[0]
        await trio.sleep(POLL_S)
