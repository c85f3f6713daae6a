"""``python -m nodecore.simulation``: run scenarios from a seed, and say how to repeat what fails.

Exit status: 0 nothing found, 1 a violation, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from nodecore.simulation.run import Report, run_scenario
from nodecore.simulation.scenarios import SCENARIOS


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m nodecore.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="first seed (default 0)")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds (default 1)")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), help="default: all")
    parser.add_argument("--trace", action="store_true", help="every event on standard error")
    parser.add_argument("--digest", action="store_true", help="print digests alone")
    arguments = parser.parse_args(argv)
    if arguments.seeds < 1:
        parser.error("--seeds must be at least 1")
    names = [arguments.scenario] if arguments.scenario else list(SCENARIOS)
    failed = 0
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
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


def _print_trace(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
