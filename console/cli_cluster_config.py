"""``ringdeck cluster config`` and ``ringdeck cluster policies``: eviction of running nodes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli_cluster import Json, Name, SecretFile
from console.cli_output import print_json, print_table, result, tell
from console.formatting import size
from console.policy_gains import advice, gains

if TYPE_CHECKING:
    from console.exit_codes import ExitCode
    from console.runtime.settings_commands import Answer

app = typer.Typer(no_args_is_help=True, help="Settings that running nodes can change.")

NodeOption = Annotated[str, typer.Option("--node", help="Only this node.", metavar="NODE")]
Setting = Annotated[str, typer.Argument(help="eviction or maxmemory.", metavar="SETTING")]


@app.command()
def get(
    setting: Annotated[
        str, typer.Argument(help="eviction or maxmemory; default: both.", metavar="[SETTING]")
    ] = "",
    name: Name = "default",
    node: NodeOption = "",
    _secret_file: SecretFile = "",
    json_: Json = False,
) -> None:
    """What the nodes have in force."""
    from console.runtime import settings_commands
    from console.runtime.run import run_command

    if setting:
        settings_commands.check_name(setting)
    answers, code = run_command(lambda: settings_commands.settings(name, node))
    _show(answers, setting, json_)
    _end(code)


@app.command("set")
def set_(
    setting: Setting,
    value: Annotated[
        str, typer.Argument(help="arc, 512MiB, ...; default: as configured.", metavar="VALUE")
    ],
    name: Name = "default",
    node: NodeOption = "",
    _secret_file: SecretFile = "",
    json_: Json = False,
) -> None:
    """Change a setting of every node, or of one; no key is dropped and it holds over restarts."""
    from console.runtime import settings_commands
    from console.runtime.run import run_command

    settings_commands.check_name(setting)
    changes = {setting: value}
    answers, code = run_command(lambda: settings_commands.settings(name, node, changes))
    _show(answers, setting, json_)
    _end(code)


def _end(code: ExitCode) -> None:
    if code:
        raise typer.Exit(code)


def _show(answers: list[Answer], setting: str, json_: bool) -> None:
    if json_:
        print_json([asdict(answer) for answer in answers])
        return
    rows = []
    for answer in answers:
        eviction = answer.eviction
        if answer.ruling != answer.eviction:
            eviction += f" ({answer.ruling} rules)"
        cells = {"eviction": eviction, "maxmemory": size(answer.maxmemory)}
        shown = [
            cells[one] if not answer.error else None for one in ([setting] if setting else cells)
        ]
        state = answer.error or ("handing entries over" if answer.changing else "in force")
        rows.append((answer.node, *shown, state, ", ".join(answer.overrides) or None))
    columns = [setting] if setting else ["eviction", "maxmemory"]
    print_table(("node", *columns, "state", "set by operators"), rows)


def policies(
    name: Name = "default",
    node: NodeOption = "",
    _secret_file: SecretFile = "",
    json_: Json = False,
) -> None:
    """How other eviction policies would do on the nodes' own requests, from sampled shadow caches."""
    from console.runtime import settings_commands
    from console.runtime.run import run_command

    nodes = run_command(lambda: settings_commands.statistics(name, node))
    found = gains(nodes)
    if json_:
        print_json([asdict(one) for one in found])
        return
    if not found:
        tell("no estimates yet: every node needs some thousand requests for keys of its own slots")
        return
    print_table(
        ("node", "policy", "hit ratio", "gain", "samples", ""),
        [
            (
                one.node,
                one.policy,
                f"{one.hit_ratio:.1%}",
                None if one.gain is None else f"{one.gain:+.1%}",
                one.samples,
                "rules" if one.rules else "",
            )
            for one in found
        ],
    )
    for figures in nodes:
        if text := advice(figures):
            result(f"{figures.node_id}: {text}")
