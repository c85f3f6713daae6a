"""A scenario: what is done to a cluster, when, and which claims must hold.

Plain records; reading them from a file is :mod:`console.scenario_parsing`, carrying them out is the
runner's. A *step* does one thing at its time. A *probe* is a measured number with bounds. Steady
probes are checked before the first step, watched while the scenario runs, and checked at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from console.load.settings import LoadSettings


class Verb(StrEnum):
    """What a step does."""

    KILL = "kill"
    PAUSE = "pause"
    RESUME = "resume"
    RESTART = "restart"
    TOXIC = "toxic"
    CUT = "cut"
    HEAL = "heal"
    NODE_ADD = "node.add"
    NODE_REMOVE = "node.remove"
    REBALANCE = "rebalance"
    DISTRIBUTION = "distribution"
    """Show who holds how much."""
    KEYSPACE = "keyspace"
    WRITE = "write"
    READ = "read"
    EXPECT = "expect"
    WAIT = "wait"
    NOTE = "note"


class Metric(StrEnum):
    """What a probe measures."""

    ERROR_RATE = "error_rate"
    """Failed and unknown operations over all, in the window."""
    LATE_FAILURES = "late_failures"
    """Operations that failed later than ``grace`` after the last fault."""
    P99 = "p99"
    """Milliseconds, the worst second of the window."""
    OPERATIONS = "operations"
    """Operations a second, mean over the window."""
    BREAKER_OPEN = "breaker.open"
    """Link breakers that are open now, over all nodes."""
    BREAKER_TRIPS = "breaker.trips"
    """Times that a link breaker opened since the scenario began."""
    LOST_KEYS = "lost_keys"
    """Keys with an acknowledged write that a read of all of them does not find."""
    WRONG_VALUES = "wrong_values"
    """Values read that nobody had written."""
    MOVED_SHARE = "moved_share"
    """Share of slots that changed their first owner with the last change of the members."""
    MOVED_RATIO = "moved_ratio"
    """``moved_share`` over the least share that had to move."""
    MOVED_KEYS_RATIO = "moved_keys_ratio"
    """Share of the load's keys that changed their first owner, over the same least share."""
    STRAYED = "strayed"
    """Copies of slots that the last change moved between nodes that it did not concern."""
    BALANCE = "balance"
    """Slots of the fullest node as first owner, over its fair share by weight."""
    MISROUTED = "misrouted"
    """Answers that are wrong when every node is asked for every key of the load and for the slots."""
    DONE_SHARE = "done_share"
    """Operations of the last ``write`` or ``read`` that were done, over all of them."""
    SLOWEST = "slowest"
    """Seconds that the slowest of them took to be answered, done or refused."""
    LOST_WRITES = "lost_writes"
    """Keys of ``write`` steps that do not hold the value acknowledged last, or one of those that were
    acknowledged concurrently."""
    DIFFERING = "differing"
    """Keys of ``write`` steps that an owner lacks or holds otherwise than the first, byte for byte;
    not of strong keyspaces."""
    CONFLICTS = "conflicts"
    """Concurrent versions that owners met since the scenario began, each owner's counted."""
    HINTS_QUEUED = "hints.queued"
    """Writes that are kept for owners out of reach now."""
    HINTS_SENT = "hints.sent"
    """Those delivered since the scenario began."""
    MEMBERS_ALIVE = "members.alive"
    MEMBERS_FAILED = "members.failed"
    """Members that are called suspect or failed, or whose process has ended."""
    JOINT = "joint"
    """1 while a change of membership is under way, else 0."""


ASKED: Final = frozenset(
    {
        Metric.LOST_KEYS,
        Metric.BALANCE,
        Metric.MISROUTED,
        Metric.LOST_WRITES,
        Metric.DIFFERING,
    }
)
"""Metrics that the cluster is asked for when a claim is judged."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``metric operator value``."""

    metric: Metric
    operator: str
    value: float

    def holds(self, measured: float | None) -> bool:
        """Whether it does; never for what could not be measured."""
        if measured is None:
            return False
        match self.operator:
            case ">":
                return measured > self.value
            case ">=":
                return measured >= self.value
            case "<":
                return measured < self.value
            case "<=":
                return measured <= self.value
            case _:
                return measured == self.value

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Probe:
    """A claim: a measured number within bounds."""

    name: str
    metric: Metric
    window_s: float = 5.0
    grace_s: float = 1.0
    min: float | None = None
    max: float | None = None
    halt_above: float | None = None
    """Stop and heal when it exceeds this."""
    steady: bool = False
    text: str = ""
    """The claim in words."""

    def holds(self, measured: float | None) -> bool:
        """Whether a measured value is within bounds; an unknown one never is."""
        if measured is None:
            return False
        return (self.min is None or measured >= self.min) and (
            self.max is None or measured <= self.max
        )

    def bounds(self) -> str:
        """``0.5..1``, ``<= 0.01`` or ``>= 1``."""
        if self.min is not None and self.max is not None:
            return f"{self.min:g}..{self.max:g}"
        return f"<= {self.max:g}" if self.max is not None else f">= {self.min:g}"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing at one time; exactly one of ``at_s``, ``after_s`` and ``when`` is given."""

    number: int
    """From 1, as in the file."""
    verb: Verb
    at_s: float | None = None
    """Since the load was ready."""
    after_s: float | None = None
    """Since the end of the step before."""
    when: tuple[Comparison, ...] = ()
    """All must hold."""
    timeout_s: float = 30.0
    """For ``when`` and ``within``."""
    target: str = ""
    save: str = ""
    """Name under which the resolved target is kept: ``$name`` in later steps."""
    note: str = ""
    kind: str = ""
    attributes: Mapping[str, float] = field(default_factory=dict)
    stream: str = "down"
    toxicity: float = 1.0
    control: bool = False
    for_s: float | None = None
    count: int = 1
    weights: Mapping[str, float] = field(default_factory=dict)
    """``rebalance``: nodes that get another weight."""
    placement: str = ""
    """``rebalance``: ``ring`` or ``even``; empty: as it is."""
    pattern: str = ""
    """``keyspace``: whose policy; ``write``, ``read``: the keys ``PREFIX0``, ``PREFIX1``... of ``PREFIX*``."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """``keyspace``: what to set."""
    level: str = "default"
    """``write``, ``read``: consistency asked for."""
    concurrent: bool = False
    """``write``: does not supersede what was acknowledged before: either may win."""
    probe: str = ""
    within_s: float = 0.0
    """``expect``: how long the claim may take to become true."""


@dataclass(frozen=True, slots=True)
class ScenarioCluster:
    """The cluster that a scenario starts for itself."""

    nodes: int = 5
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole file."""

    name: str
    title: str
    hypothesis: str
    seed: int
    cluster: ScenarioCluster | None
    """None: a running cluster is used."""
    load: LoadSettings | None
    probes: tuple[Probe, ...]
    steps: tuple[Step, ...]
    deadline_s: float = 180.0
    heal_at_end: bool = True

    def probe(self, name: str) -> Probe:
        """The probe of that name.

        Raises:
            KeyError: none has it; parsing has made sure that steps name known ones.
        """
        for probe in self.probes:
            if probe.name == name:
                return probe
        raise KeyError(name)


def timeline(scenario: Scenario) -> list[tuple[str, str]]:
    """(when, what) of each step, for a person who wants to know what would be done."""
    lines = []
    for step in scenario.steps:
        if step.at_s is not None:
            moment = f"at {step.at_s:g} s"
        elif step.when:
            moment = f"when {' and '.join(map(str, step.when))} (within {step.timeout_s:g} s)"
        else:
            moment = f"{step.after_s or 0:g} s later"
        lines.append((moment, describe(scenario, step)))
    if scenario.heal_at_end:
        lines.append(("at the end", "heal"))
    return lines


def describe(scenario: Scenario, step: Step) -> str:
    """What a step does, in a line."""
    match step.verb:
        case Verb.TOXIC:
            numbers = ", ".join(f"{name} {value:g}" for name, value in step.attributes.items())
            text = f"{step.kind} on {step.target}" + (f" ({numbers})" if numbers else "")
        case Verb.NODE_ADD:
            text = f"add {step.count} node{'' if step.count == 1 else 's'}"
        case Verb.REBALANCE:
            wanted = [f"{node} gets weight {weight:g}" for node, weight in step.weights.items()]
            wanted += [f"{step.placement} placement"] if step.placement else []
            text = f"rebalance: {', '.join(wanted)}"
        case Verb.KEYSPACE:
            wanted = [f"{name} {value}" for name, value in step.settings.items()]
            text = f"keyspace {step.pattern}: {', '.join(wanted)}"
        case Verb.WRITE | Verb.READ:
            text = f"{step.verb} {step.count} keys {step.pattern} at {step.level} via {step.target}"
        case Verb.DISTRIBUTION:
            text = "show who holds how much"
        case Verb.EXPECT:
            probe = scenario.probe(step.probe)
            text = f"expect {probe.text or probe.name}: {probe.metric} {probe.bounds()}"
        case Verb.WAIT:
            text = f"wait {step.for_s or 0:g} s"
        case Verb.NOTE:
            return step.note
        case Verb.HEAL:
            text = "heal"
        case _:
            text = f"{step.verb} {step.target}"
    if step.for_s is not None and step.verb is not Verb.WAIT:
        text += f" for {step.for_s:g} s"
    return text
