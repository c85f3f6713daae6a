"""Reads and writes of a scenario's own, through a node of its choice, and what must come of them.

Remembers which values were acknowledged, so that the cluster can be asked whether it still holds
them, and compares what the owners hold byte for byte, and that nobody else holds it. A read is done when
it brings what it must: at a level that binds the newest value, else any that was written. Sets policies
of keyspaces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import trio

from console.errors import ClusterUnreachable, ConsoleError
from console.runtime import keyspace_commands
from console.runtime.admin_client import AdminLink, call_first, open_admin
from console.runtime.live_source import LiveSource
from console.scenario import Metric, Step, Verb
from console.scenario_data import LEVELS, key_names
from console.scenario_metrics import Measurements
from nodecore.placement.hashing import slot_of
from nodecore.placement.keyspace_edits import covering
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Topology
from nodecore.requests import Done, Level, Outcome, Read, Value, Write
from nodecore.table.interface import Kind

DATA_METRICS: Final = frozenset({Metric.LOST_WRITES, Metric.DIFFERING})
OPERATION_S: Final = 8.0
"""No node takes so long to answer or refuse."""
KEYSPACE_S: Final = 30.0


@final
class ScenarioData:
    """The keys of ``write`` steps on one source."""

    def __init__(self, source: LiveSource, measurements: Measurements) -> None:
        self._source = source
        self._measurements = measurements
        self._acknowledged: dict[bytes, list[bytes]] = {}
        """Per key the value acknowledged last, and those acknowledged concurrently with it."""
        self._written: dict[bytes, list[bytes]] = {}
        """Per key all values, acknowledged or not."""
        self._patterns: dict[bytes, str] = {}

    async def carry_out(self, step: Step) -> tuple[str, bool]:
        """Do a ``keyspace``, ``write`` or ``read`` step; returns what came of it, and whether it was done.

        Operations that were refused are no failure of the step: claims judge them.

        Raises:
            ConsoleError: it could not be begun.
        """
        if step.verb is Verb.KEYSPACE:
            return await self._set_keyspace(step)
        address = self._source.doors().get(step.target)
        if address is None:
            raise ClusterUnreachable(f"{step.target} does not run")
        tally = _Tally()
        async with open_admin(address) as link, trio.open_nursery() as nursery:
            for key in key_names(step):
                nursery.start_soon(self._one, link, step, key, tally)
        asked = self._measurements.asked
        asked[Metric.DONE_SHARE] = tally.done / step.count
        asked[Metric.SLOWEST] = tally.slowest_s
        reason = f"; {tally.reason}" if tally.reason else ""
        return (
            f"{step.verb} {step.pattern} at {step.level} via {step.target}: {tally.done} of "
            f"{step.count} done, the slowest answer after {tally.slowest_s:.2f} s{reason}",
            True,
        )

    async def _set_keyspace(self, step: Step) -> tuple[str, bool]:
        doors = list(self._source.doors().values())
        if not doors:
            raise ClusterUnreachable("no node can be asked")
        arguments = {"pattern": step.pattern, **step.settings}
        done, _ = await keyspace_commands.change(
            "", doors[0], "keyspace.set", arguments, KEYSPACE_S, lambda _: None
        )
        words = ", ".join(f"{name} {value}" for name, value in step.settings.items())
        return f"keyspace {step.pattern}: {words} (epoch {done['epoch']})", True

    async def _one(self, link: AdminLink, step: Step, key: bytes, tally: _Tally) -> None:
        value = b"%b written as step %d" % (key, step.number)
        level = LEVELS[step.level]
        request: Read | Write = Read((key,), level=level)
        if step.verb is Verb.WRITE:
            request = Write((key,), (value,), level=level)
            self._written.setdefault(key, []).append(value)
        began = trio.current_time()
        try:
            outcome: Outcome | str = await link.execute(request, timeout_s=OPERATION_S)
        except ConsoleError as error:
            outcome = error.text
        tally.slowest_s = max(tally.slowest_s, trio.current_time() - began)
        if not isinstance(outcome, Done):
            text = outcome if isinstance(outcome, str) else outcome.text
            tally.reason = tally.reason or text
            return
        if step.verb is Verb.READ and not self._is_right(key, step, outcome):
            tally.reason = tally.reason or f"{key.decode()} was read with another value"
            return
        tally.done += 1
        if step.verb is Verb.WRITE:
            before = self._acknowledged.get(key, []) if step.concurrent else []
            self._acknowledged[key] = [*before, value]
            self._patterns[key] = step.pattern

    def _is_right(self, key: bytes, step: Step, outcome: Done) -> bool:
        """Whether a read found what a read of its level must find."""
        topology = self._source.assembler().topology
        strong = (
            topology is not None and covering(topology.keyspaces, step.pattern).mode == "strong"
        )
        binding = strong or LEVELS[step.level] in (Level.QUORUM, Level.ALL)
        right = self._acknowledged if binding else self._written
        found = _value_in(outcome)
        return found in right[key] if key in right else found is None

    async def ask(self, metric: Metric) -> str:
        """Measure one of ``DATA_METRICS``; returns what there is to tell of it.

        Raises:
            ConsoleError: the nodes can't be asked.
        """
        asked = self._measurements.asked
        if metric is Metric.LOST_WRITES:
            lost = await self._count_lost()
            asked[metric] = float(lost)
            return f"{len(self._acknowledged)} keys read, {lost} not as acknowledged"
        copies, differing = await self._compare()
        asked[metric] = float(len(differing))
        held = ", ".join(f"{pattern} {count}" for pattern, count in copies.items())
        wrong = f"; {b', '.join(differing[:3]).decode()} differ" if differing else ""
        return f"copies compared: {held}{wrong}"

    async def _count_lost(self) -> int:
        doors = list(self._source.doors().values())
        if not doors:
            raise ClusterUnreachable("no node can be asked")
        lost = 0
        async with open_admin(doors[0]) as link:
            for key, values in self._acknowledged.items():
                outcome = await link.execute(
                    Read((key,), level=Level.DEFAULT), timeout_s=OPERATION_S
                )
                lost += not (isinstance(outcome, Done) and _value_in(outcome) in values)
        return lost

    async def _compare(self) -> tuple[dict[str, int], list[bytes]]:
        """Copies by pattern, and the keys that an owner lacks or holds otherwise, or a stranger holds."""
        assembler = self._source.assembler()
        topology, slot_map = assembler.topology, assembler.slot_map
        if topology is None or slot_map is None:
            raise ClusterUnreachable("owners are not known yet")
        owners = {
            key: owned
            for key, pattern in self._patterns.items()
            if (owned := _owners(topology, slot_map, key, pattern))
        }
        slots = sorted({slot_of(key) for key in owners})
        held = {
            node_id: await _entries(address, int(topology.epoch), slots)
            for node_id, address in self._source.doors().items()
        }
        copies: dict[str, int] = {}
        differing = []
        for key, nodes in owners.items():
            found = [held.get(node, {}).get(key) for node in nodes]
            pattern = self._patterns[key]
            copies[pattern] = copies.get(pattern, 0) + sum(copy is not None for copy in found)
            strangers = any(key in kept for node, kept in held.items() if node not in nodes)
            if strangers or found[0] is None or any(copy != found[0] for copy in found):
                differing.append(key)
        return copies, differing


def _value_in(outcome: Done) -> bytes | None:
    """The value that a read of one key found."""
    found = outcome.result
    value = found[0] if isinstance(found, list | tuple) and found else None
    return value.value if isinstance(value, Value) else None


class _Tally:
    """What the operations of a step came to."""

    def __init__(self) -> None:
        self.done = 0
        self.slowest_s = 0.0
        self.reason = ""


def _owners(topology: Topology, slot_map: SlotMap, key: bytes, pattern: str) -> list[str]:
    """Who should hold a key; nobody in particular when its keyspace is strong."""
    keyspace = covering(topology.keyspaces, pattern)
    if keyspace.mode != "eventual":
        return []
    return [str(node) for node in slot_map.owners_of(slot_of(key), keyspace.n)]


async def _entries(address: str, epoch: int, slots: Sequence[int]) -> dict[bytes, object]:
    """A node's own live entries in these slots."""
    held: dict[bytes, object] = {}
    left, after = list(slots), None
    while left:
        arguments: dict[str, object] = {"epoch": epoch, "slots": left}
        if after is not None:
            arguments["after"] = after
        page = await call_first([address], "backup.entries", arguments, timeout_s=OPERATION_S)
        if not isinstance(page, Mapping):
            raise ConsoleError(f"backup.entries was answered with {type(page).__name__}")
        entries: list[Any] = page["entries"]
        for key, kind, *content in entries:
            if kind != Kind.TOMBSTONE:
                held[bytes(key)] = (kind, *content)
        if not page["done"] and page["after"] == after:
            raise ConsoleError(f"{address} does not come to an end of its entries")
        left, after = left[page["done"] :], page["after"]
    return held
