"""How far a scenario is: what a screen shows of a run while it goes on.

The runner writes here, painters read. Claims and the verdict are the report's; this adds the step
under way, its words, and the time. Decides nothing about the run.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol, final

from console.scenario import Scenario, Step, Verb, describe
from console.scenario_report import Outcome, ProbeResult, Report
from console.source import ClusterSnapshot

VERDICTS = {
    Outcome.MET: "MET: every claim held",
    Outcome.DEVIATED: "DEVIATED",
    Outcome.HALTED: "HALTED",
    Outcome.INTERRUPTED: "INTERRUPTED",
}


class Phase(StrEnum):
    """Where a run is."""

    STARTING = "starting the cluster and the load"
    BEFORE = "checking that all is well before anything is broken"
    STEPS = "steps"
    AFTER = "checking the claims that must hold all the time"
    HEALING = "healing"
    ENDED = "ended"


@final
class ScenarioProgress:
    """A run as a screen sees it."""

    def __init__(self, scenario: Scenario, report: Report) -> None:
        self.scenario = scenario
        self.report = report
        self.phase = Phase.STARTING
        self.step = 0
        """Number of the step under way, 0 before the first."""
        self.caption = ""
        """The newest note: what the audience is told."""
        self.doing = ""
        """The step under way, or what it waits for."""
        self.elapsed_s = 0.0
        """Since the load was ready."""

    @property
    def steps(self) -> int:
        """How many there are."""
        return len(self.scenario.steps)

    @property
    def share(self) -> float:
        """Share of the steps that are over, 0..1."""
        if self.phase is Phase.ENDED and self.report.outcome is Outcome.MET:
            return 1.0
        over = self.step if self.phase in (Phase.AFTER, Phase.HEALING) else max(self.step - 1, 0)
        return over / self.steps if self.steps else 0.0

    @property
    def claims(self) -> list[ProbeResult]:
        """The judged ones, newest first."""
        return list(reversed(self.report.probes))

    def enter(self, phase: Phase) -> None:
        """The run goes on to its next part."""
        self.phase = phase
        if phase is not Phase.STEPS:
            self.doing = ""

    def wait_for(self, step: Step) -> None:
        """A step is next; it may have to wait for its condition."""
        self.step = step.number
        what = describe(self.scenario, step)
        wanted = " and ".join(map(str, step.when))
        self.doing = f"waits for {wanted}, then: {what}" if wanted else what

    def begin(self, step: Step) -> None:
        """A step's moment has come."""
        self.doing = "" if step.verb is Verb.NOTE else describe(self.scenario, step)
        if step.note:
            self.caption = step.note

    def verdict(self) -> str:
        """The end in words; empty while the run goes on."""
        outcome = self.report.outcome
        if self.phase is not Phase.ENDED or outcome is None:
            return ""
        reason = f": {self.report.reason}" if self.report.reason else ""
        return f"{VERDICTS[outcome]}{reason}"


class Script(Protocol):
    """Something that is carried out on a source while a screen watches."""

    progress: ScenarioProgress
    tell: Callable[[str], None]
    """Where remarks for the audience go."""

    async def perform(self, on_snapshot: Callable[[ClusterSnapshot], None]) -> None:
        """Watch the cluster, carry the script out, then go on watching until cancelled.

        Raises:
            ConsoleError: the cluster could not be started or found.
        """
