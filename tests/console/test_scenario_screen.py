"""A scenario carried out under the eyes of the screen, at four sizes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from console.app import ClusterConsole
from console.scenario_parsing import parse_scenario
from console.scenario_progress import Phase, ScenarioProgress
from console.scenario_report import Report
from console.settings import ScreenSettings
from console.source import ClusterSnapshot
from tests.console.fakes import FakeSource
from tests.console.test_screens import SIZES, tick, until

SCENARIO = """
schema = 1
name = "look"
hypothesis = "It holds."
[[step]]
do = "wait"
for = "1s"
note = "Now look."
"""


class FakeScript:
    """A scenario that has begun its first step and waits for the test."""

    def __init__(self, source: FakeSource) -> None:
        scenario = parse_scenario(SCENARIO, "x.toml")
        self.progress = ScenarioProgress(scenario, Report(scenario, "1", 0))
        self.tell: Callable[[str], None] = lambda _: None
        self._source = source

    async def perform(self, on_snapshot: Callable[[ClusterSnapshot], None]) -> None:
        self.progress.enter(Phase.STEPS)
        self.progress.begin(self.progress.scenario.steps[0])
        self.tell("FAIL the first claim")
        await self._source.run(on_snapshot)

    def finish(self) -> None:
        self.progress.report.finish(1.0)
        self.progress.enter(Phase.ENDED)


@pytest.mark.parametrize("size", SIZES)
def test_a_scenario_is_carried_out_on_the_screen(size: tuple[int, int]) -> None:
    source = FakeSource()
    script = FakeScript(source)
    app = ClusterConsole(source, ScreenSettings(title="demo"), script)

    async def scenario() -> None:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.model.snapshot.sequence >= 3)
            lines = app.overview.text_lines()
            assert "SCENARIO look" in lines[1]
            assert lines[2] == " Now look."
            assert max(map(len, lines)) <= size[0]
            assert "A n1" in "\n".join(lines)
            told = [line for line in app.model.log.lines if line.text == "FAIL the first claim"]
            assert [line.severity for line in told] == ["error"]
            script.finish()
            await tick(app, source, pilot)
            assert "MET" in app.overview.text_lines()[2]
            # The verdict stays, and the cluster can be played with.
            await pilot.press("z")
            assert "MET" in app.overview.text_lines()[2]

    asyncio.run(asyncio.wait_for(scenario(), 30))
