"""What a fault is: kinds, targets, attributes with their units, and everything wrong with a request.

Names, units and meaning of the first seven kinds are toxiproxy's, so that its users find what they
know. A link is ``caller->callee``; ``up`` are the bytes that the caller sends, ``down`` the replies.
``*`` stands for any node, ``client`` for any client (never matched by ``*``): latency on
``client->n3`` is felt by the clients of n3 and not by its peers. Disk and clock faults have the
target ``disk`` or ``clock`` and are applied by those who own them.

This module validates and describes; it applies nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from transport import limits
from transport.errors import TransportError
from transport.identity import node_id_problem
from transport.messages import Lane

ANY_NODE: Final = "*"
ANY_CLIENT: Final = "client"
UP: Final = "up"
DOWN: Final = "down"
BOTH: Final = "both"

_MS: Final = float(limits.FAULT_DELAY_MAX_MS)


class InvalidFault(TransportError):  # noqa: N818 - the name says what it is
    """A fault that can't be applied; ``problems`` lists every mistake, not the first."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Attribute(NamedTuple):
    """One number of a fault."""

    name: str
    unit: str
    low: float
    high: float
    default: float | None
    """None: must be given."""


class Kind(NamedTuple):
    """One kind of the catalogue."""

    place: str
    """``link``, ``disk`` or ``clock``."""
    attributes: tuple[Attribute, ...]
    text: str
    """What it does, in one line."""


KINDS: Final[Mapping[str, Kind]] = {
    "latency": Kind(
        "link",
        (Attribute("latency", "ms", 0, _MS, 0), Attribute("jitter", "ms", 0, _MS, 0)),
        "delays everything by latency, plus or minus an even share of jitter",
    ),
    "bandwidth": Kind(
        "link",
        (Attribute("rate", "KB/s", 0.001, 10_000_000, None),),
        "lets through at most rate thousand bytes a second",
    ),
    "slow_close": Kind(
        "link",
        (Attribute("delay", "ms", 0, _MS, None),),
        "delays the end of a connection, not its data",
    ),
    "timeout": Kind(
        "link",
        (Attribute("timeout", "ms", 0, _MS, 0),),
        "drops all data and closes after timeout; 0: a black hole until it is removed",
    ),
    "reset_peer": Kind(
        "link",
        (Attribute("timeout", "ms", 0, _MS, 0),),
        "resets the connection once data has come, after timeout",
    ),
    "slicer": Kind(
        "link",
        (
            Attribute("average_size", "bytes", 1, 1_000_000, None),
            Attribute("size_variation", "bytes", 0, 1_000_000, 0),
            Attribute("delay", "us", 0, _MS * 1000, 0),
        ),
        "cuts data into small pieces, with a delay after each",
    ),
    "limit_data": Kind(
        "link",
        (Attribute("bytes", "bytes", 0, 1e12, None),),
        "closes the connection after so many bytes",
    ),
    "packet_loss": Kind(
        "link",
        (
            Attribute("loss_rate", "share", 0, 1, None),
            Attribute("correlation", "share", 0, 1, 0),
        ),
        "delays what is lost by its retransmission: over a stream, loss looks like delay",
    ),
    "cut": Kind(
        "link",
        (),
        "a partition: drops everything, refuses new connections, reaches the probes too",
    ),
    "corrupt": Kind(
        "link",
        (Attribute("rate", "share", 0, 1, None),),
        "flips a bit in this share of the pieces; checksums must catch it",
    ),
    "bitflip": Kind(
        "disk", (Attribute("rate", "share", 0, 1, None),), "flips a bit in this share of the reads"
    ),
    "eio": Kind("disk", (Attribute("rate", "share", 0, 1, 1),), "this share of the writes fails"),
    "enospc": Kind("disk", (), "every write fails: the disk is full"),
    "slow_fsync": Kind(
        "disk",
        (Attribute("delay", "ms", 0, _MS, None),),
        "delays every fsync, and the node with it",
    ),
    "skew": Kind(
        "clock", (Attribute("offset", "ms", -_MS, _MS, None),), "the wall clock is off by offset"
    ),
    "jump": Kind(
        "clock",
        (Attribute("offset", "ms", -_MS, _MS, None),),
        "the wall clock jumps by offset, and back when the fault ends",
    ),
}


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """A valid fault, without its life: see :class:`transport.faulting.board.ActiveFault`."""

    kind: str
    link: str
    """``caller->callee``, or ``disk`` or ``clock``."""
    stream: str = DOWN
    """``up``, ``down`` or ``both``; of no meaning on disks and clocks."""
    toxicity: float = 1.0
    """Share of the connections that it hits, drawn once per connection and start of the fault."""
    attributes: Mapping[str, float] = field(default_factory=dict)
    """Every attribute of the kind, defaults filled in."""
    control: bool = False
    """Whether control links are hit too; a cut always hits them."""

    def __getitem__(self, name: str) -> float:
        return self.attributes[name]

    @property
    def caller(self) -> str:
        """Left side of the link."""
        return self.link.partition("->")[0]

    @property
    def callee(self) -> str:
        """Right side of the link."""
        return self.link.partition("->")[2]

    def hits(self, caller: str, callee: str, direction: str, lane: Lane) -> bool:
        """Whether it applies to one direction of a link."""
        if lane is Lane.CONTROL and not (self.control or self.kind == "cut"):
            return False
        if self.stream not in (BOTH, direction):
            return False
        return self.joins(caller, callee)

    def joins(self, caller: str, callee: str) -> bool:
        """Whether it is about this link, in any direction."""
        if KINDS[self.kind].place != "link":
            return False
        ours = self.caller == caller or (self.caller == ANY_NODE and caller != ANY_CLIENT)
        return ours and self.callee in (callee, ANY_NODE)

    def to_plain(self) -> dict[str, object]:
        """Plain data that :func:`parse_fault` reads."""
        return {
            "kind": self.kind,
            "link": self.link,
            "stream": self.stream,
            "toxicity": self.toxicity,
            "attributes": dict(self.attributes),
            "control": self.control,
        }

    def text(self) -> str:
        """For a person: ``latency 200±50 ms down``."""
        numbers = self.attributes
        if self.kind == "latency":
            jitter = f"±{numbers['jitter']:g}" if numbers["jitter"] else ""
            words = f"latency {numbers['latency']:g}{jitter} ms"
        else:
            shown = [
                f"{numbers[entry.name]:g}{'' if entry.unit == 'share' else ' ' + entry.unit}"
                for entry in KINDS[self.kind].attributes
            ]
            words = " ".join([self.kind, *shown])
        if KINDS[self.kind].place != "link":
            return words
        share = "" if self.toxicity == 1.0 else f" on {self.toxicity:.0%} of connections"
        return f"{words} {self.stream}{share}" + (" with control" if self.control else "")


def _number(value: object) -> float | None:
    """A finite number, or None; a bool is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _read_attributes(
    kind: Kind, name: str, given: Mapping[object, object], problems: list[str]
) -> dict[str, float]:
    attributes: dict[str, float] = {}
    for entry in kind.attributes:
        value = given.get(entry.name, entry.default)
        if value is None:
            problems.append(f"{name} needs {entry.name} ({entry.unit})")
            continue
        number = _number(value)
        if number is None or not entry.low <= number <= entry.high:
            problems.append(
                f"{entry.name} must be {entry.low:g}..{entry.high:g} {entry.unit}, not {value!r:.40}"
            )
            continue
        attributes[entry.name] = number
    known = [entry.name for entry in kind.attributes]
    for key in given:
        if key not in known:
            has = ", ".join(known) if known else "none"
            problems.append(f"{name} has no attribute {str(key)[:40]!r} (it has {has})")
    return attributes


def _link_problem(link: str, place: str) -> str:
    if place != "link":
        return "" if link == place else f"target of a {place} fault is {place!r}, not {link[:80]!r}"
    caller, arrow, callee = link.partition("->")
    if not arrow:
        return f"a link is CALLER->CALLEE, not {link[:80]!r}"
    for name, wildcards in ((caller, (ANY_NODE, ANY_CLIENT)), (callee, (ANY_NODE,))):
        if name not in wildcards and (problem := node_id_problem(name)):
            return f"link {link[:80]!r}: {problem}"
    if caller == callee != ANY_NODE:
        return f"link {link[:80]!r} leads from a node to itself"
    return ""


def _combination_problems(name: str, numbers: Mapping[str, float]) -> list[str]:
    """Numbers that are each in range and make no sense together."""
    if name == "latency" and not numbers.get("latency") and not numbers.get("jitter"):
        return ["latency of 0 ms without jitter has no effect"]
    if name == "slicer" and numbers.get("size_variation", 0) >= numbers.get("average_size", 1e9):
        return ["size_variation must be below average_size"]
    return []


def parse_fault(plain: Mapping[str, object]) -> FaultSpec:
    """A fault from plain data, as it comes from a command line, a scenario or an admin message.

    Raises:
        InvalidFault: with every problem.
    """
    problems = [
        f"{str(key)[:40]!r} is no part of a fault"
        for key in plain
        if key not in ("kind", "link", "stream", "toxicity", "attributes", "control")
    ]
    name, link = plain.get("kind"), plain.get("link")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(name, str):
        problems.append(f"kind must be one of {', '.join(KINDS)}, not {name!r:.60}")
        raise InvalidFault(problems)
    if not isinstance(link, str):
        problems.append("link must be text")
    elif problem := _link_problem(link, kind.place):
        problems.append(problem)
    stream = plain.get("stream", BOTH if name == "cut" else DOWN)
    if stream not in (UP, DOWN, BOTH):
        problems.append(f"stream must be up, down or both, not {stream!r:.40}")
    toxicity = _number(plain.get("toxicity", 1.0))
    if toxicity is None or not 0 < toxicity <= 1:
        problems.append(f"toxicity must be above 0 and at most 1, not {plain['toxicity']!r:.40}")
    control = plain.get("control", False)
    if not isinstance(control, bool):
        problems.append(f"control must be true or false, not {control!r:.40}")
    given = plain.get("attributes", {})
    attributes: dict[str, float] = {}
    if isinstance(given, Mapping):
        attributes = _read_attributes(kind, name, given, problems)
        problems += _combination_problems(name, attributes) if not problems else []
    else:
        problems.append("attributes must be a table of names and numbers")
    if problems:
        raise InvalidFault(problems)
    assert isinstance(link, str)
    assert toxicity is not None
    return FaultSpec(name, link, str(stream), toxicity, attributes, bool(control))
