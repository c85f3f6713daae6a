"""``ringdeck cluster rebalance``, ``replace`` and ``history``: who owns what, and how it came to be so."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli_change_output import print_history, print_preview, reasons
from console.cli_cluster import Json, Name
from console.cli_output import print_json, result, tell

app = typer.Typer()
"""Its commands stand among those of ``ringdeck cluster``."""

Preview = Annotated[bool, typer.Option("--preview", help="Only say what would move.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for it.", min=1.0)]


@app.command()
def rebalance(
    name: Name = "default",
    weight: Annotated[
        list[str] | None, typer.Option(help="Share of a node, e.g. n3=2.", metavar="NODE=NUMBER")
    ] = None,
    zone: Annotated[
        list[str] | None, typer.Option(help="Where a node stands, e.g. n1=a.", metavar="NODE=ZONE")
    ] = None,
    placement: Annotated[str, typer.Option(help="ring or even.", metavar="KIND")] = "",
    vnodes: Annotated[int, typer.Option(help="Tokens of a node of weight 1.", max=4096)] = 0,
    preview: Preview = False,
    timeout: Timeout = 120.0,
    json_: Json = False,
) -> None:
    """Assign the slots anew: weights, zones, ring settings; replicas on distinct zones first."""
    from console.errors import UsageError
    from console.runtime import change_commands
    from console.runtime.run import run_command

    if placement not in ("", "ring", "even"):
        raise UsageError(f"--placement must be ring or even, not {placement!r}")
    options = change_commands.parse_options(weight or [], zone or [], placement, vnodes)
    with reasons(json_):
        if preview:
            arguments = {"kind": "rebalance", **options.arguments()}
            print_preview(run_command(lambda: change_commands.preview(name, arguments)), json_)
            return
        done = run_command(lambda: change_commands.rebalance(name, options, timeout, tell))
    if json_:
        print_json(done)
    elif done["state"] == "stable":
        result(f"rebalanced (epoch {done['epoch']})")


@app.command()
def replace(
    node: Annotated[str, typer.Argument(help="Which node goes.", metavar="NODE")],
    name: Name = "default",
    preview: Preview = False,
    timeout: Timeout = 120.0,
    json_: Json = False,
) -> None:
    """Let a new node take a member's place in one change: only what that one holds moves."""
    from console.runtime import change_commands
    from console.runtime.run import run_command

    with reasons(json_):
        if preview:
            arguments = {"kind": "replace", "replaces": node, "node_id": "new"}
            print_preview(run_command(lambda: change_commands.preview(name, arguments)), json_)
            return
        done = run_command(lambda: change_commands.replace(name, node, timeout, tell))
    if json_:
        print_json(done)
    elif done["state"] == "stable":
        result(f"{done['by']} has replaced {node}")


@app.command()
def history(
    name: Name = "default",
    count: Annotated[int, typer.Option(help="How many documents.", min=1, max=128)] = 20,
    json_: Json = False,
) -> None:
    """The documents of the cluster: what each changed, when, and who had it decided."""
    from console.runtime.change_commands import run_verb
    from console.runtime.run import run_command

    found = run_command(lambda: run_verb(name, "cluster.history", {"count": count}))
    if json_:
        print_json(found)
    else:
        lines = found["history"]
        assert isinstance(lines, list)
        print_history(lines)
