"""Link, disk and clock faults of a running cluster: installed where they act, listed, lifted.

One fault may be several installations (one per caller); they share its id. Installing is all or
nothing: when a node refuses, what the others took is taken back.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import trio

from console.errors import ClusterUnreachable, ConsoleError, NodeRefused, UsageError
from console.fault_targets import installations, links_of
from console.runtime.admin_client import call_each, open_admin
from nodecore.errors import Code
from transport.faults import InvalidFault, parse_fault

LEASE_S: Final = 5.0
"""A leased fault ends this long after its owner was last heard of."""
FOREVER: Final = "forever"
FOR_MAX_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class FaultRequest:
    """A fault of a link, disk or clock that somebody wants."""

    kind: str
    target: str
    """A node, ``caller->callee``, ``node:disk`` or ``node:clock``."""
    attributes: Mapping[str, float] = field(default_factory=dict)
    stream: str = "down"
    """``up``, ``down`` or ``both``; a cut is always both."""
    toxicity: float = 1.0
    """Share of the connections that it acts on; of no meaning on disks and clocks."""
    for_s: float | None = 60.0
    """None: until removed."""
    control: bool = False
    """Also on the links that carry probes and topology."""
    owner: str = "cli"
    leased: bool = False
    """Ends ``LEASE_S`` after its owner stops renewing."""

    def plain(self, link: str) -> dict[str, object]:
        """The fault on one link, as ``transport.faults.parse_fault`` reads it."""
        return {
            "kind": self.kind,
            "link": link,
            "stream": "both" if self.kind == "cut" else self.stream,
            "toxicity": self.toxicity,
            "attributes": dict(self.attributes),
            "control": self.control,
        }

    def arguments(self, fault_id: str, link: str) -> dict[str, object]:
        """Arguments of the ``fault.add`` verb; with neither lease nor end it stays until removed."""
        arguments = {**self.plain(link), "id": fault_id, "owner": self.owner}
        if self.leased:
            arguments["lease_s"] = LEASE_S
        elif self.for_s is not None:
            arguments["for_s"] = self.for_s
        return arguments


def check(request: FaultRequest) -> None:
    """Refuse what no node could take.

    Raises:
        UsageError: naming every mistake.
    """
    for link in links_of(request.target, request.kind):
        try:
            parse_fault(request.plain(link.rpartition(":")[2]))
        except InvalidFault as invalid:
            raise UsageError("; ".join(invalid.problems)) from None
    if request.for_s is not None and not 0.0 < request.for_s <= FOR_MAX_S:
        raise UsageError(f"for {request.for_s:g} s is outside 0..{FOR_MAX_S:g}")


async def add_fault(doors: Mapping[str, str], nodes: list[str], request: FaultRequest) -> str:
    """Install a fault; returns its id.

    Raises:
        UsageError: the request makes no sense, or the nodes were started without chaos.
        ConsoleError: a node refused; then no node has it.
    """
    check(request)
    places = [
        place
        for link in links_of(request.target, request.kind)
        for place in installations(link, nodes, list(doors))
    ]
    if not places:
        raise UsageError(f"{request.target}: no link to act on")
    fault_id = f"{request.kind}-{secrets.token_hex(3)}"
    done: list[str] = []
    try:
        for number, place in enumerate(places):
            # Ids are per node: a second installation on one node needs a name of its own.
            suffix = f".{number}" if place.on in done else ""
            async with open_admin(doors[place.on]) as admin:
                await admin.call("fault.add", request.arguments(fault_id + suffix, place.link))
            done.append(place.on)
    except ConsoleError as error:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + LEASE_S):
            await remove_fault({name: doors[name] for name in done}, fault_id)
        if isinstance(error, NodeRefused) and error.code == Code.CHAOS_DISABLED:
            raise UsageError(
                f"link, disk and clock faults are off: {error.text}",
                hint="start the nodes with --enable-chaos",
            ) from None
        raise
    return fault_id


async def remove_fault(doors: Mapping[str, str], fault_id: str) -> int:
    """Lift a fault everywhere (or several, their ids apart by spaces); returns in how many places.

    Raises:
        ClusterUnreachable: no node answers.
    """
    wanted = fault_id.split()
    results = await call_each(doors, "fault.list")
    removed = 0
    for node_id, answer in results.items():
        for known in _ids(answer):
            if known in wanted or known.rpartition(".")[0] in wanted:
                async with open_admin(doors[node_id]) as admin:
                    await admin.call("fault.remove", {"id": known})
                removed += 1
    if results and all(isinstance(answer, ClusterUnreachable) for answer in results.values()):
        raise ClusterUnreachable("no node answers")
    return removed


async def heal(doors: Mapping[str, str]) -> dict[str, int]:
    """Lift every fault on every node; per node how many there were.

    Raises:
        ConsoleError: a node could not be healed, named.
    """
    results = await call_each(doors, "fault.heal")
    failed = [
        f"{node_id}: {answer}"
        for node_id, answer in results.items()
        # A node that can't be reached has no faults to lift: they end with its process, and those
        # who can't reach it hold theirs themselves.
        if isinstance(answer, ConsoleError) and not isinstance(answer, ClusterUnreachable)
    ]
    if failed:
        raise ConsoleError(f"not healed: {'; '.join(failed)}")
    return {
        node_id: answer["removed"]
        for node_id, answer in results.items()
        if isinstance(answer, dict) and isinstance(answer.get("removed"), int)
    }


async def list_faults(doors: Mapping[str, str]) -> list[dict[str, object]]:
    """Every fault on every node that answers, with the node's name under ``node``."""
    results = await call_each(doors, "fault.list")
    return [
        {"node": node_id, **entry}
        for node_id, answer in sorted(results.items())
        for entry in _entries(answer)
    ]


def _entries(answer: object) -> list[dict[str, object]]:
    if isinstance(answer, dict):
        answer = answer.get("faults")
    if not isinstance(answer, list | tuple):
        return []
    return [entry for entry in answer if isinstance(entry, dict)]


def _ids(answer: object) -> list[str]:
    return [str(entry.get("fault_id", "")) for entry in _entries(answer)]


def parse_duration(text: str) -> float | None:
    """``60s``, ``2m``, ``500ms``, a bare number of seconds, or ``forever`` (None).

    Raises:
        UsageError: none of these.
    """
    if text == FOREVER:
        return None
    for suffix, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)):
        number = text.removesuffix(suffix) if suffix else text
        if text.endswith(suffix) and number.replace(".", "", 1).isascii():
            try:
                value = float(number)
            except ValueError:
                continue
            if 0 < value <= 86_400 / factor:
                return value * factor
    raise UsageError(f"duration {text!r}: expected 60s, 2m, 500ms or forever")
