"""The strip of a running scenario: how far it is, what it tells, which claims held, the verdict."""

from __future__ import annotations

from typing import Final

from console.formatting import clip, duration, escape_text
from console.painters.spans import Row, Span, fit, row
from console.scenario_progress import Phase, ScenarioProgress
from console.scenario_report import Outcome, ProbeResult, shown
from console.view_models.scene import Glyphs, Scene

BAR_WIDTH_MAX: Final = 30
BAR_WIDTH_MIN: Final = 6


def paint_scenario(scene: Scene, width: int, height: int) -> list[Row]:
    """Head and caption first; the rest of the rows are claims, the newest first."""
    progress = scene.scenario
    if progress is None or height <= 0:
        return []
    rows = [_head(progress, width, scene.look.glyphs), _caption(progress, width)]
    if height > 3:
        rows.append(_doing(progress, width))
    claims = progress.claims
    rows.extend(_claim(result, width) for result in claims[: height - len(rows)])
    rows.extend([fit((), width)] * (height - len(rows)))
    return rows[:height]


def _head(progress: ScenarioProgress, width: int, glyphs: Glyphs) -> Row:
    """``SCENARIO first-look  step 3/14 [====>    ]  12 s  claims: 4 ok``."""
    held = sum(result.ok for result in progress.report.probes)
    false = len(progress.report.probes) - held
    name = clip(progress.scenario.name, max(width // 4, 8))
    where = f"step {progress.step}/{progress.steps} "
    time = f" {duration(progress.elapsed_s):>5} "
    claims = f" claims {held} ok"
    failures = f" {false} FALSE" if false else ""
    head = f" SCENARIO {name} "
    room = width - sum(map(len, (head, where, time, claims, failures))) - 3
    bar = _bar(progress.share, min(room, BAR_WIDTH_MAX), glyphs) if room >= BAR_WIDTH_MIN else ""
    return fit(
        (
            Span(head, "brand"),
            Span(" " + where),
            Span(bar, "trend"),
            Span(time, "muted"),
            Span(claims, "state-up" if held else "muted"),
            Span(failures, "state-down+bold"),
        ),
        width,
    )


def _bar(share: float, width: int, glyphs: Glyphs) -> str:
    cells = width - 2
    full = min(int(share * cells + 0.5), cells)
    signs = ("█", "░") if glyphs.half_blocks else ("=", " ")
    return "[" + signs[0] * full + signs[1] * (cells - full) + "]"


def _caption(progress: ScenarioProgress, width: int) -> Row:
    verdict = progress.verdict()
    if verdict:
        good = progress.report.outcome is Outcome.MET
        style = "state-up+bold" if good else "state-down+bold"
        return fit(row(Span(f" {escape_text(verdict, width)}", style), "   q leaves"), width)
    if progress.phase is Phase.STEPS:
        text = progress.caption or progress.doing
    else:
        text = str(progress.phase)
    return fit(row(Span(f" {escape_text(text, 300)}", "note")), width)


def _doing(progress: ScenarioProgress, width: int) -> Row:
    if progress.phase is not Phase.STEPS:
        return fit(row(Span(f" {escape_text(progress.scenario.hypothesis, 300)}", "muted")), width)
    return fit(row(Span(f" {escape_text(progress.doing, 300)}", "muted")), width)


def _claim(result: ProbeResult, width: int) -> Row:
    """``ok   at most 1 % of operations fail: error_rate 0.001 (<= 0.01)``."""
    words = escape_text(result.text or result.name, 120)
    return fit(
        (
            Span(
                " ok   " if result.ok else " FAIL ", "state-up" if result.ok else "state-down+bold"
            ),
            Span(f"{words}: "),
            Span(f"{result.metric} {shown(result.value)} ({result.bounds})", "muted"),
        ),
        width,
    )
