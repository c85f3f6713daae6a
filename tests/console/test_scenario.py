"""Scenario files: every mistake named with its place; what is measured; verdicts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from console.errors import UsageError
from console.exit_codes import ExitCode
from console.load.settings import LoadSettings
from console.load.tally import LoadReport
from console.scenario import Comparison, Metric, Probe, Scenario, timeline
from console.scenario_data import key_names
from console.scenario_metrics import Measurements
from console.scenario_parsing import parse_scenario
from console.scenario_report import EXIT_CODES, Outcome, Report, ReportTable, StepResult
from console.slot_moves import SlotMoves
from console.source import ClusterSnapshot, MemberRow, ProcessState
from nodecore.statistics import BreakerState, NodeStatistics

FOLDER = Path(__file__).parent.parent.parent / "console" / "scenarios"

GOOD = """
schema = 1
name = "good"
hypothesis = "It holds."
[cluster]
nodes = 3
replicas = 2
[load]
rate = 100
[[probe]]
name = "errors"
metric = "error_rate"
max = 0.01
steady = true
[[step]]
at = "5s"
do = "kill"
target = "owner:user:42"
save = "victim"
[[step]]
when = "breaker.open > 0 and members.failed >= 1"
timeout = "10s"
do = "toxic"
type = "latency"
link = "*->$victim"
stream = "downstream"
attributes = { latency = 200, jitter = 50 }
for = "15s"
[[step]]
after = "200ms"
do = "expect"
probe = "errors"
"""


def problems(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_scenario(text, "x.toml")
    return caught.value.text


def test_a_whole_file() -> None:
    scenario = parse_scenario(GOOD, "x.toml")
    assert scenario.cluster is not None
    assert (scenario.cluster.nodes, scenario.cluster.settings) == (3, {"replicas": 2})
    assert scenario.load == LoadSettings(rate=100)
    kill, toxic, expect = scenario.steps
    assert (kill.at_s, kill.save) == (5.0, "victim")
    assert toxic.when == (
        Comparison(Metric.BREAKER_OPEN, ">", 0.0),
        Comparison(Metric.MEMBERS_FAILED, ">=", 1.0),
    )
    assert (toxic.target, toxic.stream, toxic.for_s) == ("*->$victim", "down", 15.0)
    assert expect.after_s == 0.2
    assert [moment for moment, _ in timeline(scenario)] == [
        "at 5 s",
        "when breaker.open > 0 and members.failed >= 1 (within 10 s)",
        "0.2 s later",
        "at the end",
    ]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_built_in_scenarios_are_right(path: Path) -> None:
    scenario = parse_scenario(path.read_text(), path.name)
    assert scenario.name == path.stem
    assert scenario.hypothesis


def test_every_mistake_has_its_line() -> None:
    text = problems(
        """
schema = 2
name = "Bad Name"
colour = "red"
[cluster]
replicaz = 3
[load]
rate = -1
[[probe]]
name = "p"
metric = "error_rat"
[[step]]
do = "kil"
[[step]]
at = "5"
after = "1s"
do = "kill"
target = "$nobody"
[[step]]
do = "toxic"
type = "latency"
link = "n1->n2"
attributes = { delay = 3 }
[[step]]
do = "expect"
probe = "q"
"""
    )
    for part in (
        "schema: expected 1",
        "name: 'Bad Name'",
        "colour: unknown setting",
        "did you mean 'replicas'",
        "load: rate: -1",
        "x.toml:9: probe 1: metric error_rat: unknown setting, did you mean",
        "x.toml:9: probe 1: min or max",
        "x.toml:12: step 1: do kil: unknown setting, did you mean",
        "x.toml:14: step 2: at and after: only one",
        "x.toml:14: step 2: at: expected a duration",
        "$nobody was saved by no earlier step",
        "x.toml:19: step 3: latency has no attribute 'delay'",
        "x.toml:24: step 4: probe q",
    ):
        assert part in text, part


def test_not_toml_at_all() -> None:
    assert "x.toml: " in problems("= 3")


def report(at_ms: int, errors: float, rate: float = 100.0, **more: object) -> LoadReport:
    base = LoadReport(
        True, 100, 0.9, 1.1, 10, rate=rate, errors_per_s=errors, at_wall_ms=at_ms, window_s=1.0
    )
    return replace(base, **more)  # type: ignore[arg-type]


def test_error_rate_looks_at_its_window() -> None:
    measurements = Measurements()
    assert measurements.measure(Metric.ERROR_RATE, 0) is None
    for second in range(10):
        measurements.take_report(report(second * 1000, 50.0 if second < 5 else 1.0))
    assert measurements.measure(Metric.ERROR_RATE, 9000, window_s=4.5) == 0.01
    assert measurements.measure(Metric.ERROR_RATE, 9000, window_s=60) == 0.255


def test_late_failures_are_those_after_the_grace() -> None:
    measurements = Measurements()
    measurements.take_report(report(1000, 0.0))
    measurements.begin()
    assert measurements.measure(Metric.LATE_FAILURES, 0) is None
    measurements.note_fault(10_000)
    measurements.take_report(report(10_500, 2.0, failures=((10_400, "a"), (9_000, "b"))))
    # Nothing is known about the time after the grace yet.
    assert measurements.measure(Metric.LATE_FAILURES, 10_500) is None
    measurements.take_report(report(11_500, 1.0, failures=((11_200, "c"),)))
    assert measurements.measure(Metric.LATE_FAILURES, 12_000) == 1.0
    assert measurements.measure(Metric.LATE_FAILURES, 12_000, grace_s=1.3) == 0.0


def snapshot(owner: int, trips: int = 0, state: str = "closed") -> ClusterSnapshot:
    breaker = BreakerState("n2", state, trips, 0.0, 0.0, 1)
    statistics = NodeStatistics("n1", 0, 1.0, pid=7, breakers=(breaker,))
    rows = (
        MemberRow("n1", "A", "alive", statistics=statistics),
        MemberRow("n2", "B", "failed", process=ProcessState.EXITED),
    )
    owners = tuple((owner,) if slot < 100 else (0,) for slot in range(16_384))
    return ClusterSnapshot(1, 0, "c", epoch=1, state="stable", members=rows, owners=owners)


def test_numbers_of_snapshots() -> None:
    measurements = Measurements()
    measurements.take_snapshot(snapshot(0, trips=3))
    measurements.begin()
    measurements.take_snapshot(snapshot(0, trips=5, state="open"))
    assert measurements.measure(Metric.BREAKER_OPEN, 0) == 1.0
    assert measurements.measure(Metric.BREAKER_TRIPS, 0) == 2.0
    assert measurements.measure(Metric.MEMBERS_ALIVE, 0) == 1.0
    assert measurements.measure(Metric.MEMBERS_FAILED, 0) == 1.0
    assert measurements.measure(Metric.JOINT, 0) == 0.0


def test_numbers_of_a_change() -> None:
    measurements = Measurements()
    for metric in (Metric.MOVED_SHARE, Metric.MOVED_RATIO, Metric.STRAYED, Metric.BALANCE):
        assert measurements.measure(metric, 0) is None
    measurements.moves = SlotMoves(3000, 0.2, 15, 0.15, 2, 1 / 6)
    measurements.asked[Metric.BALANCE] = 1.1
    assert measurements.measure(Metric.MOVED_SHARE, 0) == 0.2
    assert measurements.measure(Metric.MOVED_RATIO, 0) == pytest.approx(1.2)
    assert measurements.measure(Metric.MOVED_KEYS_RATIO, 0) == pytest.approx(0.9)
    assert measurements.measure(Metric.STRAYED, 0) == 2.0
    assert measurements.measure(Metric.BALANCE, 0) == 1.1
    measurements.moves = SlotMoves(3000, 0.2, 15, 0.15, 2, 0.0)
    assert measurements.measure(Metric.MOVED_RATIO, 0) is None


REBALANCE = """
schema = 1
name = "rebalance"
[[step]]
do = "rebalance"
weights = { n1 = 2, n2 = 0.5 }
placement = "even"
[[step]]
do = "distribution"
"""


def test_rebalancing_is_planned_in_words() -> None:
    lines = timeline(parse_scenario(REBALANCE, "x.toml"))
    assert lines[0][1] == "rebalance: n1 gets weight 2, n2 gets weight 0.5, even placement"
    assert lines[1][1] == "show who holds how much"


def test_mistakes_in_rebalancing_are_named() -> None:
    text = problems(
        REBALANCE.replace("n1 = 2", "n1 = 0").replace('"even"', '"odd"')
        + '[[step]]\ndo = "rebalance"\n[[step]]\ndo = "rebalance"\nweights = 3\n'
    )
    assert "x.toml:4: step 1: weights: n1: expected a number above 0, got 0" in text
    assert "placement: 'odd' is neither ring nor even" in text
    assert "step 3: weights or placement: at least one is required" in text
    assert "step 4: weights: expected a table such as { n3 = 2 }, got 3" in text


DATA = """
schema = 1
name = "data"
[[step]]
do = "keyspace"
pattern = "two:*"
settings = { n = 2, w = 2 }
[[step]]
do = "write"
pattern = "two:*"
count = 3
level = "all"
target = "n1"
[[step]]
do = "cut"
link = "n3->*"
control = true
"""


def test_data_steps_are_planned_in_words() -> None:
    found = parse_scenario(DATA, "x.toml")
    assert [what for _, what in timeline(found)][:2] == [
        "keyspace two:*: n 2, w 2",
        "write 3 keys two:* at all via n1",
    ]
    assert key_names(found.steps[1]) == [b"two:0", b"two:1", b"two:2"]
    assert found.steps[2].control


def test_mistakes_in_data_steps_are_named() -> None:
    text = problems(
        DATA.replace("n = 2, w = 2", "n = 2, w = 9, m = 1")
        .replace('"all"', '"most"')
        .replace('target = "n1"', "")
        + '[[step]]\ndo = "read"\npattern = "*"\ntarget = "n1"\n'
        + '[[step]]\ndo = "keyspace"\npattern = "a:*"\nconcurrent = true\n'
    )
    assert "step 1: settings: no setting 'm'" in text
    assert "step 1: settings: keyspace 'two:*': w 9" in text
    assert "step 2: level: 'most' is none of default, one, quorum, all" in text
    assert "step 2: target: required" in text
    assert "step 4: pattern: '*' is no prefix such as 'cart:*'" in text
    assert "step 5: settings: at least one is required" in text
    assert "step 5: concurrent: unknown setting" in text


def test_counters_are_counted_from_the_beginning() -> None:
    def counted(conflicts: int, sent: int, queued: int) -> ClusterSnapshot:
        statistics = NodeStatistics(
            "n1", 0, 1.0, conflicts=conflicts, hints_sent=sent, hints_queued=queued
        )
        rows = (
            MemberRow("n1", "A", "alive", statistics=statistics),
            MemberRow("n2", "B", "failed"),
        )
        return ClusterSnapshot(1, 0, "c", epoch=1, state="stable", members=rows)

    measurements = Measurements()
    assert measurements.measure(Metric.CONFLICTS, 0) is None
    measurements.take_snapshot(counted(5, 2, 0))
    measurements.begin()
    measurements.take_snapshot(counted(7, 12, 3))
    assert measurements.measure(Metric.CONFLICTS, 0) == 2.0
    assert measurements.measure(Metric.HINTS_SENT, 0) == 10.0
    assert measurements.measure(Metric.HINTS_QUEUED, 0) == 3.0
    assert measurements.measure(Metric.DIFFERING, 0) is None
    measurements.asked[Metric.DIFFERING] = 4.0
    assert measurements.measure(Metric.DIFFERING, 0) == 4.0


def test_tables_are_aligned_text_and_plain_data() -> None:
    found = Report(scenario(), "1", 0)
    found.tables.append(ReportTable(1.0, 1, "t", ("node", "slots"), (("n1", "5"), ("n12", "70"))))
    assert found.tables[0].lines() == ["node  slots", "n1        5", "n12      70"]
    assert found.to_plain()["tables"][0]["rows"] == (("n1", "5"), ("n12", "70"))


def scenario() -> Scenario:
    return parse_scenario(GOOD, "x.toml")


def test_one_false_claim_is_a_deviation() -> None:
    found = Report(scenario(), "1", 0)
    probe = Probe("errors", Metric.ERROR_RATE, max=0.01)
    assert found.add_probe(1.0, "before", probe, 0.0).ok
    assert not found.add_probe(2.0, "after", probe, None).ok
    assert found.finish(3.0) is Outcome.DEVIATED
    assert "errors: error_rate is unknown" in found.reason
    assert EXIT_CODES[Outcome.DEVIATED] is ExitCode.FAILED
    assert found.to_plain()["probes"][1]["ok"] is False


def test_verdicts() -> None:
    found = Report(scenario(), "1", 0)
    found.add_step(StepResult(1.0, 1, "kill", "killed n1", True))
    assert found.finish(3.0) is Outcome.MET
    halted = Report(scenario(), "1", 0)
    halted.halt("too many errors")
    assert halted.finish(3.0) is Outcome.HALTED
    halted.interrupt()
    assert EXIT_CODES[halted.outcome or Outcome.MET] == 130


def test_unknown_values_fulfil_nothing() -> None:
    assert not Comparison(Metric.P99, "<", 5).holds(None)
    assert not Probe("p", Metric.P99, min=0).holds(None)
    assert Probe("p", Metric.P99, min=0, max=2).holds(1.0)
