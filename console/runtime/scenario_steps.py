"""What each step of a scenario does to the cluster: faults, processes, membership.

Works through the same source and commands as a keystroke does. When a step comes and what is claimed
is the runner's affair; the targets' words (``$victim``, ``hot``, ``owner:KEY``) are resolved here, at
the moment of the step.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

import trio

from console.errors import ClusterUnreachable, ConsoleError, UsageError
from console.fault_targets import ANY, ARROW, CLIENT
from console.runtime.admin_client import call_first
from console.runtime.cluster_commands import CHANGE_TIMEOUT_S
from console.runtime.live_source import LiveSource
from console.scenario import Step, Verb
from console.scenario_metrics import Measurements
from console.source import ClusterSnapshot, CommandResult
from nodecore.placement.hashing import slot_of
from nodecore.placement.slot_map import SlotMap

SETTLE_S: Final = 60.0
"""For a change of membership to end."""
POLL_S: Final = 0.1


@final
class ScenarioSteps:
    """Carries out steps on one source; remembers the targets that steps saved."""

    def __init__(
        self,
        source: LiveSource,
        measurements: Measurements,
        sleep: Callable[[float], Awaitable[None]],
        note_moves: Callable[[SlotMap], str],
    ) -> None:
        """``sleep`` lets time pass while the run's probes are watched; ``note_moves`` takes the owners
        before a change of the members when it is over, and puts into words what moved.
        """
        self._source = source
        self._measurements = measurements
        self._sleep = sleep
        self._note_moves = note_moves
        self._saved: dict[str, str] = {}

    async def carry_out(self, step: Step) -> tuple[str, bool]:
        """Do what a step says; returns what came of it, in words, and whether it worked.

        Raises:
            ConsoleError: it could not be begun.
        """
        match step.verb:
            case Verb.HEAL:
                return _told(await self._source.heal_all())
            case Verb.NODE_ADD:
                return await self._add(step.count)
            case Verb.NODE_REMOVE:
                return await self._remove(self._resolve(step.target))
            case Verb.TOXIC | Verb.CUT:
                return await self._fault(step)
            case _:
                return await self._process(step)

    async def _process(self, step: Step) -> tuple[str, bool]:
        node_id = self._resolve(step.target)
        if step.save:
            self._saved[step.save] = node_id
        verbs = {
            Verb.KILL: self._source.kill,
            Verb.PAUSE: self._source.pause,
            Verb.RESUME: self._source.resume,
            Verb.RESTART: self._source.restart,
        }
        if step.verb in (Verb.KILL, Verb.PAUSE):
            self._measurements.note_fault(_wall_ms())
        text, ok = _told(await verbs[step.verb]([node_id]))
        if ok and step.verb is Verb.PAUSE and step.for_s is not None:
            await self._sleep(step.for_s)
            return _told(await self._source.resume([node_id]))
        return text, ok

    async def _fault(self, step: Step) -> tuple[str, bool]:
        link = ARROW.join(self._resolve(part.strip()) for part in step.target.split(ARROW))
        if step.save:
            self._saved[step.save] = link
        self._measurements.note_fault(_wall_ms())
        result = await self._source.add_fault(
            step.kind,
            link,
            step.attributes,
            stream=step.stream,
            toxicity=step.toxicity,
            for_s=step.for_s,
            control=step.control,
        )
        return _told(result)

    async def _add(self, count: int) -> tuple[str, bool]:
        before = self._slot_map()
        members = len(self._members())
        result = await self._source.add_nodes(count)
        if not result.ok:
            return _told(result)
        await self._settle(lambda ids: len(ids) == members + count)
        return f"{result.text}: {self._note_moves(before)}", True

    async def _remove(self, node_id: str) -> tuple[str, bool]:
        before = self._slot_map()
        result = await self._source.remove_node(node_id)
        if not result.ok:
            return _told(result)
        await self._settle(lambda ids: node_id not in ids)
        return f"{result.text}: {self._note_moves(before)}", True

    async def rebalance(self, step: Step) -> tuple[str, bool]:
        """Assign the slots anew, wait until all have moved.

        Raises:
            ConsoleError: the cluster won't, or it took too long.
        """
        before = self._slot_map()
        arguments: dict[str, object] = {"weights": dict(step.weights), "zones": {}}
        if step.placement:
            arguments["placement"] = step.placement
        doors = list(self._source.doors().values())
        begun = await call_first(doors, "change.rebalance", arguments, timeout_s=CHANGE_TIMEOUT_S)
        epoch = begun.get("epoch") if isinstance(begun, dict) else None
        if not isinstance(epoch, int):
            raise ConsoleError(f"change.rebalance was answered with {begun!r}")
        await self._settle(lambda _: self._epoch() > epoch)
        return f"rebalanced: {self._note_moves(before)}", True

    async def _settle(self, done: Callable[[Sequence[str]], bool]) -> None:
        """Wait until the change is over."""
        end = trio.current_time() + SETTLE_S
        while not (self._snapshot().state == "stable" and done(self._members())):
            if trio.current_time() > end:
                raise ConsoleError(f"the change was not over within {SETTLE_S:g} s")
            await self._sleep(POLL_S)

    def _epoch(self) -> int:
        topology = self._source.assembler().topology
        return int(topology.epoch) if topology else 0

    def _slot_map(self) -> SlotMap:
        slot_map = self._source.assembler().slot_map
        if slot_map is None:
            raise ClusterUnreachable("owners are not known yet")
        return slot_map

    def _members(self) -> list[str]:
        topology = self._source.assembler().topology
        return [str(member.node_id) for member in topology.members] if topology else []

    def _snapshot(self) -> ClusterSnapshot:
        snapshot = self._measurements.snapshot
        if snapshot is None:
            raise ClusterUnreachable("no node has answered yet")
        return snapshot

    def _resolve(self, word: str) -> str:
        """A node's id for a target's word.

        Raises:
            UsageError: it names no node now.
        """
        if word in (ANY, CLIENT):
            return word
        if word.startswith("$"):
            return self._saved[word[1:]]
        snapshot = self._snapshot()
        if word == "hot":
            if snapshot.hot_keys:
                return snapshot.hot_keys[0][1]
            raise UsageError("hot: no key is hot yet")
        if word.startswith("owner:"):
            return str(self._slot_map().owners[slot_of(word[6:].encode())][0])
        if word not in [row.node_id for row in snapshot.members]:
            raise UsageError(f"{word}: no such node")
        return word


def _told(result: CommandResult) -> tuple[str, bool]:
    return result.text, result.ok


def _wall_ms() -> int:
    return int(time.time() * 1000)
