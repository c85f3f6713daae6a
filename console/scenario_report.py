"""What a scenario run reports: every step, every measured claim, one verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final, final

from console.exit_codes import ExitCode
from console.scenario import Probe, Scenario


class Outcome(StrEnum):
    """How a run ended."""

    MET = "met"
    DEVIATED = "deviated"
    """A claim did not hold, or a step failed."""
    HALTED = "halted"
    """A probe passed its ``halt_above``, the deadline passed, or the cluster was out of reach."""
    INTERRUPTED = "interrupted"


EXIT_CODES: Final = {
    Outcome.MET: ExitCode.OK,
    Outcome.DEVIATED: ExitCode.FAILED,
    Outcome.HALTED: ExitCode.UNREACHABLE,
    Outcome.INTERRUPTED: ExitCode.INTERRUPTED,
}


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step that was carried out, or failed."""

    at_s: float
    number: int
    do: str
    text: str
    ok: bool


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A claim that was measured."""

    at_s: float
    phase: str
    """``before``, ``step 4``, ``after``."""
    name: str
    metric: str
    text: str
    bounds: str
    value: float | None
    ok: bool


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table that a step showed."""

    at_s: float
    number: int
    """Of the step."""
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def lines(self) -> list[str]:
        """As text, columns aligned: the first to the left, the others to the right."""
        table = [self.columns, *self.rows]
        widths = [max(len(row[n]) for row in table) for n in range(len(self.columns))]
        return [
            "  ".join(
                cell.ljust(width) if n == 0 else cell.rjust(width)
                for n, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]


@final
@dataclass(slots=True)
class Report:
    """A run as it unfolds; ``outcome`` is final when the run has ended."""

    scenario: Scenario
    version: str
    started_wall_ms: int
    steps: list[StepResult] = field(default_factory=list)
    probes: list[ProbeResult] = field(default_factory=list)
    tables: list[ReportTable] = field(default_factory=list)
    outcome: Outcome | None = None
    reason: str = ""
    """Why it halted or deviated first."""
    seconds: float = 0.0

    def add_probe(self, at_s: float, phase: str, probe: Probe, value: float | None) -> ProbeResult:
        """Judge a measured claim."""
        result = ProbeResult(
            round(at_s, 2),
            phase,
            probe.name,
            str(probe.metric),
            probe.text,
            probe.bounds(),
            value,
            probe.holds(value),
        )
        self.probes.append(result)
        if not result.ok:
            self._blame(f"{probe.name}: {probe.metric} is {shown(value)}, not {probe.bounds()}")
        return result

    def add_step(self, result: StepResult) -> None:
        """Note a step."""
        self.steps.append(result)
        if not result.ok:
            self._blame(f"step {result.number}: {result.text}")

    def halt(self, reason: str) -> None:
        """The run ends early."""
        if self.outcome is None:
            self.outcome = Outcome.HALTED
            self.reason = reason

    def interrupt(self) -> None:
        """A person ended the run."""
        self.outcome = Outcome.INTERRUPTED
        self.reason = "interrupted"

    def finish(self, seconds: float) -> Outcome:
        """The verdict: met only if every step and every claim was."""
        self.seconds = round(seconds, 1)
        if self.outcome is None:
            good = all(step.ok for step in self.steps) and all(probe.ok for probe in self.probes)
            self.outcome = Outcome.MET if good else Outcome.DEVIATED
        return self.outcome

    def _blame(self, reason: str) -> None:
        if not self.reason:
            self.reason = reason

    def to_plain(self) -> dict[str, Any]:
        """For a script."""
        return {
            "scenario": self.scenario.name,
            "title": self.scenario.title,
            "hypothesis": self.scenario.hypothesis,
            "outcome": str(self.outcome) if self.outcome is not None else None,
            "reason": self.reason,
            "seed": self.scenario.seed,
            "version": self.version,
            "started_wall_ms": self.started_wall_ms,
            "seconds": self.seconds,
            "steps": [asdict(step) for step in self.steps],
            "probes": [asdict(probe) for probe in self.probes],
            "tables": [asdict(table) for table in self.tables],
        }


def shown(value: float | None) -> str:
    """A measured value for a person."""
    return "unknown" if value is None else f"{value:.4g}"
