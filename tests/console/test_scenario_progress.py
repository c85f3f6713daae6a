"""What a screen shows of a running scenario: steps, captions, claims, verdict."""

from __future__ import annotations

import pytest

from console.painters.scenario import paint_scenario
from console.painters.spans import row_width, text_of
from console.scenario import Metric, Probe, Scenario, Step, Verb
from console.scenario_parsing import parse_scenario
from console.scenario_progress import Phase, ScenarioProgress
from console.scenario_report import Report
from console.view_models.cluster import ClusterModel
from console.view_models.scene import GLYPHS, Choices, Look, Scene

PROBE = Probe("errors", Metric.ERROR_RATE, max=0.01, text="few operations fail")


def make_scenario() -> Scenario:
    return Scenario(
        name="look",
        title="Look",
        hypothesis="It holds.",
        seed=1,
        cluster=None,
        load=None,
        probes=(PROBE,),
        steps=(
            Step(1, Verb.KILL, after_s=1.0, target="n1", note="A node dies."),
            Step(2, Verb.EXPECT, after_s=0.0, probe="errors"),
            parse_when(),
            Step(4, Verb.HEAL, after_s=0.0),
        ),
    )


def parse_when() -> Step:
    text = """
schema = 1
name = "x"
hypothesis = "x"
[[step]]
when = "joint == 0"
do = "wait"
for = "1s"
"""
    step = parse_scenario(text, "x").steps[0]
    return Step(3, step.verb, when=step.when, for_s=step.for_s)


def make_progress() -> ScenarioProgress:
    scenario = make_scenario()
    return ScenarioProgress(scenario, Report(scenario, "1", 0))


def lines(progress: ScenarioProgress, width: int, height: int, glyphs: str = "full") -> list[str]:
    scene = Scene(ClusterModel(), Choices(), Look(GLYPHS[glyphs], 0), scenario=progress)
    rows = paint_scenario(scene, width, height)
    assert len(rows) == height
    assert all(row_width(entry) == width for entry in rows)
    return [text_of(entry).rstrip() for entry in rows]


def test_a_note_stays_until_the_next_one() -> None:
    progress = make_progress()
    first, second = progress.scenario.steps[:2]
    progress.enter(Phase.STEPS)
    progress.wait_for(first)
    assert progress.caption == ""
    progress.begin(first)
    progress.wait_for(second)
    progress.begin(second)
    assert progress.caption == "A node dies."
    assert "few operations fail" in progress.doing
    assert progress.share == 0.25


def test_what_a_step_waits_for_is_said() -> None:
    progress = make_progress()
    progress.wait_for(progress.scenario.steps[2])
    assert progress.doing == "waits for joint == 0, then: wait 1 s"


@pytest.mark.parametrize("width", [60, 80, 120, 160])
@pytest.mark.parametrize("height", [2, 3, 5, 6])
@pytest.mark.parametrize("glyphs", ["full", "ascii"])
def test_the_strip_says_step_caption_and_claims(width: int, height: int, glyphs: str) -> None:
    progress = make_progress()
    progress.enter(Phase.STEPS)
    for step in progress.scenario.steps[:2]:
        progress.wait_for(step)
        progress.begin(step)
    progress.report.add_probe(1.0, "before", PROBE, 0.0)
    progress.report.add_probe(2.0, "step 2", PROBE, 0.5)
    shown = lines(progress, width, height, glyphs)
    assert "SCENARIO look" in shown[0]
    assert "step 2/4" in shown[0]
    assert "claims 1 ok 1 FALSE" in shown[0]
    assert shown[1] == " A node dies."
    if height > 2:
        # The newest claim is the first of those that have room.
        claims = [line for line in shown if line.startswith((" ok ", " FAIL "))]
        assert claims[0].startswith(" FAIL few operations fail: error_rate 0.5 (<= 0.01)")
    if glyphs == "ascii":
        assert "".join(shown).isascii()


def test_the_verdict_takes_the_place_of_the_caption() -> None:
    progress = make_progress()
    assert progress.verdict() == ""
    progress.report.add_probe(2.0, "step 2", PROBE, 0.5)
    progress.report.finish(3.0)
    progress.enter(Phase.ENDED)
    assert progress.verdict().startswith("DEVIATED: errors: error_rate is 0.5")
    assert "DEVIATED" in lines(progress, 80, 3)[1]
    held = make_progress()
    held.report.finish(3.0)
    held.enter(Phase.ENDED)
    assert held.share == 1.0
    assert "MET: every claim held   q leaves" in lines(held, 80, 3)[1]


def test_before_the_steps_the_phase_is_said() -> None:
    progress = make_progress()
    assert "starting the cluster and the load" in lines(progress, 80, 3)[1]
    assert "It holds." in lines(progress, 120, 5)[2]
