"""Swarm runs: a few seeds always, the seeds of CI where there is time, and what a summary says."""

from __future__ import annotations

import json

import pytest

from nodecore.simulation import __main__ as command
from nodecore.simulation.runtime.pool import run_seeds
from nodecore.simulation.states import SOMETIMES
from nodecore.simulation.summary import SeedResult, result_of, summarise
from nodecore.simulation.swarm import SwarmRun, run_swarm
from nodecore.simulation.swarm_options import RATES, draw

CI_SEEDS = range(200)


@pytest.mark.parametrize("seed", [1])
def test_a_seed_finds_nothing(seed: int) -> None:
    report = run_swarm(seed)
    assert not report.violations, "\n".join([*report.violations, *report.options.lines()])


def test_options_depend_on_the_seed_alone_and_differ() -> None:
    drawn = [draw(seed) for seed in range(60)]
    assert drawn == [draw(seed) for seed in range(60)]
    assert {options.members for options in drawn} == {3, 4, 5}
    assert {options.placement for options in drawn} == {"ring", "even"}
    for fault in RATES:
        assert 0 < sum(fault in options.rates for options in drawn) < 60, fault


def test_a_run_that_breaks_off_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_run: SwarmRun) -> list[str]:
        raise RuntimeError("out of cheese")

    monkeypatch.setattr(SwarmRun, "run", fail)
    assert "out of cheese" in run_swarm(3).violations[0]


def result(seed: int, digest: str, violations: list[str] | None = None) -> SeedResult:
    return SeedResult(
        seed, digest, violations or [], [], "again", 1, 4, 90, 100, 10, 2.0, 0.5, {"joined": 3}
    )


def test_a_summary_does_not_depend_on_who_finished_first() -> None:
    results = [result(2, "b"), result(1, "a", ["bad"])]
    summary = summarise(results)
    assert summary == summarise(reversed(results))
    assert summary["seeds"] == 2
    assert summary["completed_ratio"] == 0.9
    assert summary["inconclusive"] == 2
    assert summary["inconclusive_ratio"] == 0.25
    violations = summary["violations"]
    assert isinstance(violations, list)
    assert violations[0]["seed"] == 1
    sometimes = summary["sometimes"]
    assert isinstance(sometimes, dict)
    assert sometimes["joined"] == 2
    never = summary["never"]
    assert isinstance(never, list)
    assert "joined" not in never
    assert summary["digest"] != summarise([result(1, "b"), result(2, "a")])["digest"]


def test_there_are_enough_states() -> None:
    assert len(SOMETIMES) == len(dict.fromkeys(SOMETIMES)) >= 25


def test_the_command_prints_one_object_and_its_status_tells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "run_seeds", lambda seeds, _jobs: map(result, seeds, "ab"))
    assert command.main(["--seeds", "5:7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seeds"] == 2
    bad = [result(5, "a", ["lost"])]
    monkeypatch.setattr(command, "run_seeds", lambda _seeds, _jobs: iter(bad))
    assert command.main(["--seeds", "5:6", "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["violations"][0]["found"] == ["lost"]
    assert "reproduce: again" in captured.err


@pytest.mark.parametrize("wrong", [["--seeds", "x"], ["--seeds", "5:5"], ["--scale", "a"]])
def test_wrong_arguments_are_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        command.main(wrong)
    assert refused.value.code == 2


def test_a_story_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--seed", "1", "--trace"]) == 0
    lines = capsys.readouterr().err.splitlines()
    for part in ("n1 starts, life 1", "client -> ", "PHASE liveness", "PeerWrite", "says: "):
        assert any(part in line for line in lines), part
    assert max(map(len, lines)) < 400


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_seeds_of_ci_find_nothing_and_get_everywhere() -> None:
    summary = summarise(run_seeds(CI_SEEDS))
    shown = json.dumps(summary, indent=1)
    assert summary["violations"] == [], shown
    assert summary["never"] == [], shown
    ratio, inconclusive = summary["completed_ratio"], summary["inconclusive_ratio"]
    assert isinstance(ratio, float)
    assert ratio >= 0.85, shown
    assert isinstance(inconclusive, float)
    assert inconclusive < 0.01, shown


@pytest.mark.slow
@pytest.mark.swarm
@pytest.mark.timeout(1800)
def test_more_seeds_find_nothing() -> None:
    summary = summarise(run_seeds(range(CI_SEEDS.stop, 3 * CI_SEEDS.stop)))
    assert summary["violations"] == [], json.dumps(summary, indent=1)


@pytest.mark.slow
def test_workers_find_what_one_process_finds() -> None:
    alone = [result_of(run_swarm(seed), 0.0).digest for seed in (4, 5)]
    assert [found.digest for found in run_seeds([4, 5], jobs=2)] == alone
