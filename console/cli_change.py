"""``ringdeck cluster change``: the change of the owners that is under way, or waits for approval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from console.cli_change_output import print_preview, reasons
from console.cli_cluster import Json, Name
from console.cli_output import print_json, result

app = typer.Typer(
    no_args_is_help=True,
    help="See, pause, slow down, cancel or approve the change of the cluster's members.",
)


@app.command()
def status(name: Name = "default", json_: Json = False) -> None:
    """What is under way or waits, how far it is, and what holds it up."""
    found = _run(name, "change.status")
    if json_:
        print_json(found)
        return
    what = f"{found['kind']} of {found['node_id']}" if found["kind"] else "no change"
    if found["replaces"]:
        what = f"{found['node_id']} replaces {found['replaces']}"
    result(f"epoch {found['epoch']}, {found['state']}: {what}")
    if found["coordinator"]:
        result(
            f"{found['slots_done']:,} of {found['slots_total']:,} slot copies, "
            f"{found['keys_moved']:,} keys, {found['bytes_moved']:,} bytes; "
            f"coordinated by {found['coordinator']}"
        )
    code = f"[{found['reason_code']}] " if found["reason_code"] else ""
    result(f"{code}{found['reason']}")
    rate = found["bytes_per_s"]
    limit = f"{rate:,} bytes/s for each node" if rate else "as each node is configured"
    result(f"approval {found['approval']}; limit {limit}")


@app.command()
def pause(name: Name = "default", json_: Json = False) -> None:
    """Let it stand still, whoever coordinates it, until it is resumed."""
    _steer(name, "change.pause", "paused", json_)


@app.command()
def resume(name: Name = "default", json_: Json = False) -> None:
    """Let a paused change go on."""
    _steer(name, "change.resume", "resumed", json_)


@app.command()
def cancel(name: Name = "default", json_: Json = False) -> None:
    """Take it back: the old owners stay, what was copied is dropped."""
    _steer(name, "change.cancel", "cancelled", json_)


@app.command()
def approve(name: Name = "default", json_: Json = False) -> None:
    """Let the change begin that waits for approval."""
    _steer(name, "change.approve", "approved", json_)


@app.command()
def reject(name: Name = "default", json_: Json = False) -> None:
    """Turn the change down that waits for approval; it is not taken again for ten minutes."""
    _steer(name, "change.reject", "rejected", json_)


@app.command()
def limit(
    rate: Annotated[
        str, typer.Argument(help="Bytes a second for each node, e.g. 2MiB; off.", metavar="RATE")
    ],
    name: Name = "default",
    json_: Json = False,
) -> None:
    """How much each node may stream for a change; at once, and for later ones."""
    from console.runtime.change_commands import parse_rate

    _policy(name, {"bytes_per_s": parse_rate(rate)}, json_)


@app.command()
def approval(
    mode: Annotated[str, typer.Argument(help="auto or manual.", metavar="MODE")],
    name: Name = "default",
    json_: Json = False,
) -> None:
    """Whether joins, removals and rebalancing wait for approval, removals of failed nodes too."""
    from console.errors import UsageError

    if mode not in ("auto", "manual"):
        raise UsageError(f"MODE must be auto or manual, not {mode!r}")
    _policy(name, {"approval": mode}, json_)


@app.command()
def preview(name: Name = "default", json_: Json = False) -> None:
    """What the change that waits for approval would move."""
    with reasons(json_):
        print_preview(_run(name, "change.preview", {"kind": "proposal"}), json_)


def _run(name: str, verb: str, arguments: Mapping[str, object] | None = None) -> dict[str, Any]:
    from console.runtime.change_commands import run_verb
    from console.runtime.run import run_command

    return run_command(lambda: run_verb(name, verb, arguments))


def _steer(name: str, verb: str, done: str, json_: bool) -> None:
    with reasons(json_):
        found = _run(name, verb)
    if json_:
        print_json({"done": done, "epoch": found["epoch"]})
    else:
        result(f"{done} (epoch {found['epoch']})")


def _policy(name: str, arguments: Mapping[str, object], json_: bool) -> None:
    with reasons(json_):
        found = _run(name, "change.policy", arguments)
    if json_:
        print_json({"done": "set", "epoch": found["epoch"], **arguments})
    else:
        result(f"set (epoch {found['epoch']})")
