"""``python -m nodecore.simulation``: search for violations from seeds, and say how to repeat them.

Without ``--scenario`` each seed is a swarm run: a random cluster under random faults. ``--seeds 0:200
--json`` prints one summary; ``--seed 7 --trace`` tells the story of one run. ``--scenario NAME`` (or
``all``) runs named scenarios. ``--scale 10,50`` measures how gossip, detection and placement grow.

Exit status: 0 nothing found, 1 a violation, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from nodecore.simulation.run import Report, run_scenario
from nodecore.simulation.runtime.pool import run_seeds
from nodecore.simulation.scale import SIZES, measure, table
from nodecore.simulation.scenarios import SCENARIOS
from nodecore.simulation.summary import SeedResult, summarise
from nodecore.simulation.swarm import SwarmReport, run_swarm

SEEDS_MAX = 1_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; returns the exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.scale is not None:
        return _scale(parser, arguments)
    seeds = _seeds(parser, arguments)
    if arguments.scenario:
        names = list(SCENARIOS) if arguments.scenario == "all" else [arguments.scenario]
        return _scenarios(names, seeds, arguments)
    if arguments.trace or (len(seeds) == 1 and not arguments.json):
        return _one_by_one(seeds, arguments)
    return _swarm(seeds, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nodecore.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=0, help="first seed (default 0)")
    parser.add_argument("--seeds", default="1", help="how many seeds, or a range FROM:TO")
    parser.add_argument("--scenario", choices=["all", *sorted(SCENARIOS)], help="named scenarios")
    parser.add_argument("--trace", action="store_true", help="tell every event on standard error")
    parser.add_argument("--digest", action="store_true", help="print digests alone")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    parser.add_argument("--jobs", type=int, default=0, help="processes (default: one a core)")
    sizes = ",".join(map(str, SIZES))
    parser.add_argument("--scale", nargs="?", const=sizes, help=f"cluster sizes (default {sizes})")
    return parser


def _seeds(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> range:
    first, colon, last = str(arguments.seeds).partition(":")
    try:
        if colon:
            seeds = range(int(first), int(last))
        else:
            seeds = range(arguments.seed, arguments.seed + int(first))
    except ValueError:
        parser.error("--seeds must be a number or FROM:TO")
    if not 0 < len(seeds) <= SEEDS_MAX:
        parser.error(f"--seeds must name 1 to {SEEDS_MAX} seeds")
    return seeds


def _swarm(seeds: range, arguments: argparse.Namespace) -> int:
    results: list[SeedResult] = []
    for result in run_seeds(seeds, arguments.jobs):
        results.append(result)
        if arguments.digest:
            print(result.digest, flush=True)
        elif result.violations or not arguments.json:
            _say_result(result)
    summary = summarise(results)
    if arguments.json:
        print(json.dumps(summary))
    return 1 if summary["violations"] else 0


def _say_result(result: SeedResult) -> None:
    verdict = "FAILED" if result.violations else "ok"
    print(
        f"{verdict:6} seed {result.seed:<6} {result.virtual_s:6.1f} s {result.events:>7} events "
        f"{result.cpu_s:5.2f} s cpu  ok {result.ok} of {result.operations}  {result.digest[:12]}",
        file=sys.stderr,
        flush=True,
    )
    for line in (*result.violations, *result.options):
        print(f"  {line}", file=sys.stderr)
    if result.violations:
        print(f"  reproduce: {result.reproduce}", file=sys.stderr, flush=True)


def _one_by_one(seeds: range, arguments: argparse.Namespace) -> int:
    failed = 0
    for seed in seeds:
        report = run_swarm(seed, _print_trace if arguments.trace else None)
        failed += bool(report.violations)
        if arguments.digest:
            print(report.digest, flush=True)
        else:
            _say_report(report)
    return 1 if failed else 0


def _say_report(report: SwarmReport) -> None:
    for line in report.options.lines():
        print(f"  {line}")
    counts = " ".join(f"{name} {count}" for name, count in report.counts.items())
    states = " ".join(f"{name}={count}" for name, count in sorted(report.states.items()))
    verdict = "FAILED" if report.violations else "ok"
    print(
        f"{verdict} seed {report.seed}: {report.virtual_s:.1f} s, {report.events} events, {counts}"
    )
    print(f"  states: {states}")
    for violation in report.violations:
        print(f"  {violation}")
    if report.violations:
        print(f"  reproduce: {report.reproduce}", flush=True)


def _scenarios(names: list[str], seeds: range, arguments: argparse.Namespace) -> int:
    failed = 0
    for seed in seeds:
        for name in names:
            trace = _print_trace if arguments.trace else None
            report = run_scenario(name, SCENARIOS[name], seed, trace)
            failed += bool(report.violations)
            print(report.digest if arguments.digest else _line(report), flush=True)
            for violation in report.violations:
                print(f"  {violation}", flush=True)
            if report.violations:
                print(f"  reproduce: {report.reproduce}", flush=True)
    return 1 if failed else 0


def _line(report: Report) -> str:
    verdict = "FAILED" if report.violations else "ok"
    counts = report.counts
    states = " ".join(f"{name}={count}" for name, count in sorted(report.states.items()))
    return (
        f"{verdict:6} {report.name:20} seed {report.seed:<6} {report.virtual_s:7.1f} s "
        f"{report.events:>8} events  ok {counts.get('ok', 0)} fail {counts.get('fail', 0)} "
        f"info {counts.get('info', 0)}  {states}  {report.digest[:12]}"
    )


def _scale(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    try:
        sizes = [int(word) for word in arguments.scale.split(",")]
        rows = [measure(size, arguments.seed) for size in sizes]
    except ValueError as error:
        parser.error(f"--scale: {error}")
    print(json.dumps(rows) if arguments.json else table(rows))
    return 0


def _print_trace(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
