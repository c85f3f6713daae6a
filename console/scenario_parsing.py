"""From the text of a scenario file to a :class:`Scenario`, or every mistake in it with its place.

Strict: unknown keys, verbs, metrics and probes are mistakes, because a misspelt check that is
silently skipped would make a demonstration lie. Places are the line of the step or probe.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from console.errors import UsageError
from console.fault_targets import ARROW
from console.load.settings import LoadSettings, changed
from console.load.settings import problems_of as load_problems
from console.scenario import Comparison, Metric, Probe, Scenario, ScenarioCluster, Step, Verb
from console.scenario_data import data_problems
from nodecore.config_parsing import parse, unknown_key
from nodecore.errors import InvalidConfig
from transport.faults import KINDS, InvalidFault, parse_fault

SCHEMA: Final = 1
STEPS_MAX: Final = 500
NODES_MAX: Final = 32
SCENARIO_NAME: Final = re.compile(r"^[a-z0-9][a-z0-9-]{0,63}$")

_TOP: Final = (
    "schema", "name", "title", "hypothesis", "seed", "deadline", "final",
    "cluster", "load", "probe", "step",
)  # fmt: skip
_PROBE: Final = (
    "name", "metric", "window", "grace", "min", "max", "halt_above", "steady", "text",
)  # fmt: skip
_COMMON: Final = ("do", "at", "after", "when", "timeout", "note")
_FIELDS: Final[Mapping[Verb, tuple[str, ...]]] = {
    Verb.KILL: ("target", "save"),
    Verb.PAUSE: ("target", "save", "for"),
    Verb.RESUME: ("target",),
    Verb.RESTART: ("target",),
    Verb.TOXIC: ("type", "link", "target", "stream", "toxicity", "control", "attributes", "for", "save"),
    Verb.CUT: ("link", "target", "control", "for", "save"),
    Verb.HEAL: (),
    Verb.NODE_ADD: ("count",),
    Verb.NODE_REMOVE: ("target",),
    Verb.REBALANCE: ("weights", "placement"),
    Verb.DISTRIBUTION: (),
    Verb.KEYSPACE: ("pattern", "settings"),
    Verb.WRITE: ("pattern", "count", "level", "target", "concurrent"),
    Verb.READ: ("pattern", "count", "level", "target"),
    Verb.EXPECT: ("probe", "within"),
    Verb.WAIT: ("for",),
    Verb.NOTE: (),
}  # fmt: skip
_NEEDS_TARGET: Final = frozenset(
    [
        Verb.KILL, Verb.PAUSE, Verb.RESUME, Verb.RESTART, Verb.NODE_REMOVE, Verb.TOXIC, Verb.CUT,
        Verb.WRITE, Verb.READ,
    ]
)  # fmt: skip
_DURATION: Final = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s|m)$")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}
_COMPARISON: Final = re.compile(r"^\s*([a-z_.0-9]+)\s*(>=|<=|==|>|<)\s*(-?\d+(?:\.\d+)?)\s*$")
_TARGET: Final = re.compile(r"^(\$?[a-z0-9][a-z0-9._-]*|hot|owner:.+|client|\*)$")


class _Reader:
    """One table of the file, with its place in words and the list of mistakes."""

    def __init__(self, table: Mapping[str, Any], place: str, problems: list[str]) -> None:
        self.table = table
        self.place = place
        self.problems = problems

    def wrong(self, text: str) -> None:
        self.problems.append(f"{self.place}: {text}")

    def known(self, names: tuple[str, ...]) -> None:
        for key in self.table:
            if key not in names:
                self.wrong(unknown_key(key, list(names)))

    def text(self, name: str, default: str = "") -> str:
        value = self.table.get(name, default)
        if not isinstance(value, str):
            self.wrong(f"{name}: expected text, got {value!r}")
            return default
        return value

    def number(self, name: str, low: float, high: float, default: float | None) -> float | None:
        value = self.table.get(name, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wrong(f"{name}: expected a number, got {value!r}")
            return default
        if not low <= value <= high:
            self.wrong(f"{name}: {value:g} is outside {low:g}..{high:g}")
            return default
        return float(value)

    def whole(self, name: str, low: int, high: int, default: int) -> int:
        value = self.table.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong(f"{name}: expected a whole number, got {value!r}")
            return default
        if not low <= value <= high:
            self.wrong(f"{name}: {value} is outside {low}..{high}")
            return default
        return value

    def weights(self, name: str) -> dict[str, float]:
        value = self.table.get(name, {})
        if not isinstance(value, dict):
            self.wrong(f"{name}: expected a table such as {{ n3 = 2 }}, got {value!r}")
            return {}
        found = {}
        for node, weight in value.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or weight <= 0:
                self.wrong(f"{name}: {node}: expected a number above 0, got {weight!r}")
            else:
                found[node] = float(weight)
        return found

    def switch(self, name: str) -> bool:
        value = self.table.get(name, False)
        if not isinstance(value, bool):
            self.wrong(f"{name}: expected true or false, got {value!r}")
            return False
        return value

    def duration(self, name: str, default: float | None = None) -> float | None:
        if name not in self.table:
            return default
        value = self.table[name]
        match = _DURATION.match(value) if isinstance(value, str) else None
        if match is None or float(match[1]) * _UNITS[match[2]] > 86_400:
            self.wrong(f'{name}: expected a duration such as "5s" or "200ms", got {value!r}')
            return default
        return float(match[1]) * _UNITS[match[2]]


def parse_scenario(text: str, place: str) -> Scenario:
    """The scenario that a file holds.

    Raises:
        UsageError: every mistake, one a line, each with ``place`` and the line.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{place}: {error}") from None
    problems: list[str] = []
    reader = _Reader(table, place, problems)
    reader.known(_TOP)
    if table.get("schema") != SCHEMA:
        reader.wrong(f"schema: expected {SCHEMA}, got {table.get('schema')!r}")
    name = reader.text("name")
    if not SCENARIO_NAME.match(name):
        reader.wrong(f"name: {name!r} must be 1 to 64 of a-z 0-9 -")
    final = reader.text("final", "heal")
    if final not in ("heal", "leave"):
        reader.wrong(f"final: {final!r} is neither heal nor leave")
    seed = reader.whole("seed", 0, 2**31, 1)
    probes = _probes(reader, _lines_of(text, "probe"))
    scenario = Scenario(
        name=name,
        title=reader.text("title", name),
        hypothesis=reader.text("hypothesis"),
        seed=seed,
        cluster=_cluster(reader),
        load=_load(reader, seed),
        probes=probes,
        steps=_steps(reader, _lines_of(text, "step"), probes),
        deadline_s=reader.duration("deadline", 180.0) or 180.0,
        heal_at_end=final == "heal",
    )
    if problems:
        raise UsageError("\n".join(problems))
    return scenario


def _lines_of(text: str, name: str) -> list[int]:
    """Lines on which the tables ``[[name]]`` begin."""
    heading = re.compile(rf"^\s*\[\[\s*{name}\s*\]\]")
    return [number for number, line in enumerate(text.splitlines(), 1) if heading.match(line)]


def _tables(reader: _Reader, name: str, lines: list[int]) -> list[_Reader]:
    tables = reader.table.get(name, [])
    if not isinstance(tables, list) or any(not isinstance(entry, dict) for entry in tables):
        reader.wrong(f"{name}: expected [[{name}]] tables")
        return []
    if len(tables) > STEPS_MAX:
        reader.wrong(f"{name}: {len(tables)}, at most {STEPS_MAX}")
        return []
    found = []
    for index, table in enumerate(tables):
        line = f":{lines[index]}" if index < len(lines) else ""
        place = f"{reader.place}{line}: {name} {index + 1}"
        found.append(_Reader(table, place, reader.problems))
    return found


def _cluster(reader: _Reader) -> ScenarioCluster | None:
    table = reader.table.get("cluster")
    if table is None:
        return None
    if not isinstance(table, dict):
        reader.wrong("cluster: expected a table")
        return None
    inner = _Reader(table, f"{reader.place}: cluster", reader.problems)
    nodes = inner.whole("nodes", 1, NODES_MAX, 5)
    settings = {key: value for key, value in table.items() if key != "nodes"}
    try:
        parse({"node_id": "n1", **settings})
    except InvalidConfig as invalid:
        for problem in invalid.problems:
            inner.wrong(problem)
    return ScenarioCluster(nodes, settings)


def _load(reader: _Reader, seed: int) -> LoadSettings | None:
    table = reader.table.get("load")
    if table is None:
        return None
    if not isinstance(table, dict):
        reader.wrong("load: expected a table")
        return None
    problems = load_problems(table)
    reader.problems += [f"{reader.place}: load: {problem}" for problem in problems]
    return LoadSettings() if problems else changed(LoadSettings(seed=seed), table)


def _probes(reader: _Reader, lines: list[int]) -> tuple[Probe, ...]:
    probes: list[Probe] = []
    for inner in _tables(reader, "probe", lines):
        inner.known(_PROBE)
        name = inner.text("name")
        if not name or any(probe.name == name for probe in probes):
            inner.wrong(f"name: {name!r} is empty or used twice")
        metric = _metric(inner, inner.text("metric"))
        low = inner.number("min", -1e18, 1e18, None)
        high = inner.number("max", -1e18, 1e18, None)
        if low is None and high is None:
            inner.wrong("min or max: at least one is required")
        probes.append(
            Probe(
                name=name,
                metric=metric,
                window_s=inner.duration("window", 5.0) or 5.0,
                grace_s=inner.duration("grace", 1.0) or 0.0,
                min=low,
                max=high if high is not None or low is not None else 0.0,
                halt_above=inner.number("halt_above", -1e18, 1e18, None),
                steady=inner.switch("steady"),
                text=inner.text("text"),
            )
        )
    return tuple(probes)


def _metric(reader: _Reader, name: str) -> Metric:
    try:
        return Metric(name)
    except ValueError:
        reader.wrong(unknown_key(name, [str(metric) for metric in Metric], "metric "))
        return Metric.ERROR_RATE


def _steps(reader: _Reader, lines: list[int], probes: tuple[Probe, ...]) -> tuple[Step, ...]:
    saved: set[str] = set()
    steps = []
    for number, inner in enumerate(_tables(reader, "step", lines), 1):
        name = inner.text("do")
        try:
            verb = Verb(name)
        except ValueError:
            inner.wrong(unknown_key(name, [str(verb) for verb in Verb], "do "))
            continue
        inner.known(_COMMON + _FIELDS[verb])
        step = _step(inner, number, verb)
        _check_target(inner, step, saved)
        if verb is Verb.EXPECT and step.probe not in [probe.name for probe in probes]:
            inner.wrong(unknown_key(step.probe, [probe.name for probe in probes], "probe "))
        if step.save:
            saved.add(step.save)
        steps.append(step)
    if not steps:
        reader.wrong("step: at least one is required")
    return tuple(steps)


def _step(inner: _Reader, number: int, verb: Verb) -> Step:
    moments = [name for name in ("at", "after", "when") if name in inner.table]
    if len(moments) > 1:
        inner.wrong(f"{' and '.join(moments)}: only one of them")
    link = inner.text("link") if "link" in _FIELDS[verb] else ""
    target = inner.text("target")
    if link and target:
        inner.wrong("link and target: only one of them")
    if verb is Verb.WAIT and "for" not in inner.table:
        inner.wrong("for: required")
    if verb is Verb.NOTE and not inner.text("note"):
        inner.wrong("note: required")
    attributes = inner.table.get("attributes", {})
    settings = inner.table.get("settings", {})
    step = Step(
        number=number,
        verb=verb,
        at_s=inner.duration("at"),
        after_s=inner.duration("after"),
        when=_conditions(inner),
        timeout_s=inner.duration("timeout", 30.0) or 30.0,
        target=link or target,
        save=inner.text("save"),
        note=inner.text("note"),
        kind="cut" if verb is Verb.CUT else inner.text("type"),
        attributes=attributes if isinstance(attributes, dict) else {},
        stream={"upstream": "up", "downstream": "down"}.get(
            inner.text("stream", "down"), inner.text("stream", "down")
        ),
        toxicity=inner.number("toxicity", 0.0, 1.0, 1.0) or 0.0,
        control=inner.switch("control"),
        for_s=inner.duration("for"),
        count=inner.whole("count", 1, NODES_MAX, 1),
        weights=inner.weights("weights"),
        placement=inner.text("placement"),
        pattern=inner.text("pattern"),
        settings=settings if isinstance(settings, dict) else {},
        level=inner.text("level", "default"),
        concurrent=inner.switch("concurrent"),
        probe=inner.text("probe"),
        within_s=inner.duration("within", 0.0) or 0.0,
    )
    if verb is Verb.TOXIC:
        _check_toxic(inner, step)
    for problem in data_problems(step):
        inner.wrong(problem)
    if verb is Verb.REBALANCE and not (step.weights or step.placement):
        inner.wrong("weights or placement: at least one is required")
    if step.placement not in ("", "ring", "even"):
        inner.wrong(f"placement: {step.placement!r} is neither ring nor even")
    return step


def _check_toxic(inner: _Reader, step: Step) -> None:
    if step.kind not in KINDS:
        inner.wrong(unknown_key(step.kind, list(KINDS), "type "))
        return
    plain = {
        "kind": step.kind,
        "link": f"*{ARROW}n1",
        "stream": step.stream,
        "toxicity": step.toxicity,
        "attributes": step.attributes,
        "control": step.control,
    }
    try:
        parse_fault(plain)
    except InvalidFault as invalid:
        for problem in invalid.problems:
            inner.wrong(problem)


def _check_target(inner: _Reader, step: Step, saved: set[str]) -> None:
    if step.verb not in _NEEDS_TARGET:
        return
    if not step.target:
        inner.wrong("target: required")
        return
    for part in (piece.strip() for piece in step.target.split(ARROW)):
        if not _TARGET.match(part):
            inner.wrong(f"target: {part!r} is no node, $name, hot, owner:KEY, client or *")
        elif part.startswith("$") and part[1:] not in saved:
            inner.wrong(f"target: {part} was saved by no earlier step")


def _conditions(inner: _Reader) -> tuple[Comparison, ...]:
    text = inner.text("when")
    if not text:
        return ()
    found = []
    for part in text.split(" and "):
        match = _COMPARISON.match(part)
        if match is None:
            inner.wrong(f'when: {part!r} is not "METRIC > NUMBER"')
            continue
        found.append(Comparison(_metric(inner, match[1]), match[2], float(match[3])))
    return tuple(found)
