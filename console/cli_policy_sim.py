"""``ringdeck policy-sim``: which eviction policy suits a recorded workload."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from console.cli_output import print_json, print_table, result, tell
from console.errors import UsageError
from console.formatting import plural

Advance = Callable[[str, int, int], None]
"""(what is running, units done in all or since the last call, units in all; 0 = unknown)."""


def policy_sim(
    trace: Annotated[
        str,
        typer.Argument(
            metavar="TRACE",
            help="File of requests: a key a line, key,size lines, or u32le; .gz and .zst are "
            "unpacked; - reads standard input.",
        ),
    ],
    capacity: Annotated[
        str,
        typer.Option(
            "--capacity",
            "-c",
            metavar="N[,N...]",
            help="Objects, or bytes when the trace has sizes; 64k, 256MiB.",
        ),
    ],
    policy: Annotated[
        str, typer.Option("--policy", "-p", metavar="all|A,B", help="Which policies.")
    ] = "all",
    format_: Annotated[
        str, typer.Option("--format", metavar="auto|keys|csv|u32le", help="How to read the trace.")
    ] = "auto",
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Replay a trace through the policies of this cache and compare their misses.

    ``lfu`` never forgets here; ``lfu:aged`` is what nodes run as lfu.
    """
    from console.policy_comparison import (
        BOUNDS,
        COLUMNS,
        chart_lines,
        parse_capacities,
        parse_policies,
        ranked,
        table_rows,
    )
    from console.runtime.policy_replay import compare, work
    from console.runtime.trace_files import read_trace
    from nodecore.storage.policy_sim.decoding import DECODERS

    if format_ not in DECODERS:
        raise UsageError(f"--format: must be one of {', '.join(DECODERS)}, not {format_!r}")
    capacities, policies = parse_capacities(capacity), parse_policies(policy)
    with _bar("reading") as show:
        read = read_trace(trace, format_, lambda done, of: show("reading", done, of))
    with _bar("replaying") as show:
        total, done = work(read, capacities, policies), 0

        def advance(what: str, count: int) -> None:
            nonlocal done
            done += count
            show(what, done, total)

        findings = compare(read, capacities, policies, advance)
    if json_:
        print_json([asdict(finding) for finding in ranked(findings)])
        return
    in_bytes = read.sizes is not None
    keys = plural(len(read.keys), "key")
    result(f"{len(read):,} requests for {keys}" + (", sizes in bytes" if in_bytes else ""))
    print_table(COLUMNS, table_rows(findings, in_bytes))
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    for line in chart_lines(findings, in_bytes, unicode):
        result(line)
    for name in {finding.policy: None for finding in findings if finding.policy in BOUNDS}:
        tell(f"{name}: {BOUNDS[name]}")


@contextmanager
def _bar(title: str) -> Iterator[Advance]:
    """A progress bar on standard error, when that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _of: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda what, done, of: progress.update(
            task, description=what, completed=done, total=of or None
        )
