"""``ringdeck scenario`` and ``ringdeck demo``: a demo is a scenario that comes with the product."""

from __future__ import annotations

import time
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from console.cli_cluster import Json, Name, SecretFile
from console.cli_output import print_json, print_table, result, tell
from console.errors import UsageError
from console.scenario import Scenario, timeline
from console.scenario_parsing import parse_scenario
from console.scenario_report import EXIT_CODES, Outcome, Report, shown

app = typer.Typer(no_args_is_help=True, help="Scripted faults with claims that are checked.")
demo_app = typer.Typer(no_args_is_help=True, help="Scenarios that come with the product.")

File = Annotated[
    str, typer.Argument(metavar="FILE", help="A scenario file, or the name of a built-in one.")
]
Headless = Annotated[
    bool, typer.Option("--headless", help="Without a screen; progress on standard error.")
]


def built_in() -> dict[str, str]:
    """Texts of the scenarios that come with the product, by name."""
    folder = resources.files("console.scenarios")
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }


def load(name: str) -> Scenario:
    """A scenario by path, or by the name of a built-in one.

    Raises:
        UsageError: it can't be read, or has mistakes (all are named).
    """
    path = Path(name)
    if not path.is_file():
        texts = built_in()
        if name in texts:
            return parse_scenario(texts[name], f"{name}.toml")
        raise UsageError(
            f"{name}: no such file, nor a built-in scenario ({', '.join(texts) or 'none'})"
        )
    try:
        return parse_scenario(path.read_text(encoding="utf-8"), name)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{name}: not UTF-8") from None


def _run(scenario: Scenario, name: str, json_: bool, headless: bool) -> None:
    from importlib.metadata import PackageNotFoundError, version

    from console.runtime.open_console import has_terminal, open_scenario
    from console.runtime.run import run_command
    from console.runtime.scenario_runner import ScenarioRunner

    try:
        number = version("ringdeck")
    except PackageNotFoundError:
        number = ""
    report = Report(scenario, number, int(time.time() * 1000))
    # A cluster of the scenario's own must not meet one that runs under the default name.
    cluster = f"{scenario.name}-{int(time.time() * 1000) % 1_000_000}" if scenario.cluster else name
    runner = ScenarioRunner(scenario, report, cluster, tell)
    code = 0
    if headless or json_ or not has_terminal():
        tell(f"{scenario.title}")
        tell(f"claim: {scenario.hypothesis}")
        progress = runner.progress
        runner.tell = lambda text: tell(f"{progress.elapsed_s:6.1f} s  {text}")
        try:
            run_command(runner.run)
        except KeyboardInterrupt:
            report.interrupt()
    else:
        code = open_scenario(runner, cluster)
    if json_:
        print_json(report.to_plain())
    else:
        _print_report(report)
    # A console that was left before the end, or lost its cluster, is no verdict of the scenario.
    raise typer.Exit(code or EXIT_CODES[report.outcome or Outcome.INTERRUPTED])


def _print_report(report: Report) -> None:
    print_table(
        ("claim", "measured", "bounds", "when", ""),
        [
            (
                probe.text or probe.name,
                shown(probe.value),
                probe.bounds,
                probe.phase,
                "ok" if probe.ok else "FAIL",
            )
            for probe in report.probes
        ],
    )
    reason = f" ({report.reason})" if report.reason else ""
    result(f"{report.scenario.name}: {report.outcome}{reason}, {report.seconds:g} s")


@app.command()
def run(
    file: File,
    name: Name = "default",
    headless: Headless = False,
    _secret_file: SecretFile = "",
    json_: Json = False,
) -> None:
    """Carry a scenario out, in the console where there is a terminal.

    Exit status 0 only when every claim held.
    """
    _run(load(file), name, json_, headless)


@app.command()
def validate(file: File) -> None:
    """Check a scenario file; names every mistake."""
    scenario = load(file)
    tell(f"{scenario.name}: {len(scenario.steps)} steps, {len(scenario.probes)} probes, no mistake")


@app.command()
def plan(file: File, json_: Json = False) -> None:
    """Print what a scenario would do, without doing it."""
    lines = timeline(load(file))
    if json_:
        print_json([{"when": when, "what": what} for when, what in lines])
    else:
        print_table(("when", "what"), lines)


@app.command("list")
def list_(json_: Json = False) -> None:
    """Built-in scenarios."""
    found = [parse_scenario(text, name) for name, text in built_in().items()]
    if json_:
        print_json([{"name": entry.name, "title": entry.title} for entry in found])
    else:
        print_table(("name", "title"), [(entry.name, entry.title) for entry in found])


@demo_app.command("list")
def demo_list(json_: Json = False) -> None:
    """Demonstrations that come with the product."""
    list_(json_)


@demo_app.command("run")
def demo_run(
    demo: Annotated[str, typer.Argument(metavar="NAME")],
    headless: Headless = False,
    json_: Json = False,
) -> None:
    """Run a demonstration on real processes under real load, in the console."""
    texts = built_in()
    if demo not in texts:
        raise UsageError(f"{demo}: no such demonstration ({', '.join(texts)})")
    _run(parse_scenario(texts[demo], f"{demo}.toml"), "default", json_, headless)
