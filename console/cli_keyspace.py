"""``ringdeck keyspace``: list, set, delete."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from console.cli_cluster import Json, Name, SecretFile
from console.cli_output import print_json, print_table, result, tell
from console.keyspace_text import keyspace_row, plan_lines, ttl_ms_of

app = typer.Typer(
    no_args_is_help=True, help="Policies of keys by pattern: mode, copies, expiry, partitions."
)

Connect = Annotated[
    str, typer.Option("--connect", help="Native address of any member, instead of a local name.")
]
Pattern = Annotated[
    str, typer.Argument(metavar="PATTERN", help="A prefix and *, in quotes: 'session:*'.")
]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for it.", min=0.5, max=3600)]
Preview = Annotated[bool, typer.Option("--preview", help="Only say what would change.")]

COLUMNS: Final = (
    "pattern", "mode", "n", "w", "r", "ttl", "durability", "on partition", "write-through",
)  # fmt: skip


@app.command("list")
def list_(
    name: Name = "default",
    connect: Connect = "",
    _secret_file: SecretFile = "",
    json_: Json = False,
) -> None:
    """Every policy; the longest pattern that matches a key governs it."""
    from console.runtime import keyspace_commands
    from console.runtime.run import run_command

    found = run_command(lambda: keyspace_commands.list_keyspaces(name, connect))
    if json_:
        print_json(found)
        return
    keyspaces = found["keyspaces"]
    assert isinstance(keyspaces, list)
    print_table(COLUMNS, [keyspace_row(keyspace) for keyspace in keyspaces])


@app.command("set")
def set_(  # noqa: PLR0913 - one parameter an option
    pattern: Pattern,
    mode: Annotated[
        str | None, typer.Option("--mode", metavar="eventual|strong", help="Kept once it is set.")
    ] = None,
    n: Annotated[int | None, typer.Option("--n", help="Copies of each key.")] = None,
    w: Annotated[int | None, typer.Option("--w", help="Copies that acknowledge a write.")] = None,
    r: Annotated[int | None, typer.Option("--r", help="Owners that answer a read.")] = None,
    ttl: Annotated[
        str | None,
        typer.Option("--ttl", metavar="TIME", help="Of writes without one: 30s, 5m, 1h; 0 = none."),
    ] = None,
    durability: Annotated[
        str | None, typer.Option("--durability", metavar="memory|process|power")
    ] = None,
    on_partition: Annotated[
        str | None,
        typer.Option(
            "--on-partition",
            metavar="available|read-only|refuse",
            help="What a minority of the voters may do.",
        ),
    ] = None,
    write_through: Annotated[
        bool | None,
        typer.Option("--write-through/--no-write-through", help="Writes reach the disk tier."),
    ] = None,
    preview: Preview = False,
    timeout: Timeout = 30.0,
    name: Name = "default",
    connect: Connect = "",
    _secret_file: SecretFile = "",
    json_: Json = False,
) -> None:
    """Change settings of a pattern's policy; what is not named stays as it is."""
    settings: dict[str, object] = {
        "mode": mode,
        "n": n,
        "w": w,
        "r": r,
        "ttl_ms": None if ttl is None else ttl_ms_of(ttl),
        "durability": durability,
        "on_partition": on_partition,
        "write_through": write_through,
    }
    given = {key: value for key, value in settings.items() if value is not None}
    _run("keyspace.set", {"pattern": pattern, **given}, name, connect, timeout, preview, json_)


@app.command()
def delete(
    pattern: Pattern,
    preview: Preview = False,
    timeout: Timeout = 30.0,
    name: Name = "default",
    connect: Connect = "",
    _secret_file: SecretFile = "",
    json_: Json = False,
) -> None:
    """Forget a pattern's policy: its keys fall to the next shorter pattern."""
    _run("keyspace.delete", {"pattern": pattern}, name, connect, timeout, preview, json_)


def _run(
    verb: str,
    arguments: dict[str, object],
    name: str,
    connect: str,
    timeout_s: float,
    preview: bool,
    json_: bool,
) -> None:
    from console.runtime import keyspace_commands
    from console.runtime.run import run_command

    planned: dict[str, Any] = run_command(
        lambda: keyspace_commands.preview(name, connect, verb, arguments)
    )
    if not (json_ and preview):
        for line in plan_lines(planned):
            (result if preview else tell)(line)
    if preview or planned["before"] == planned["after"]:
        if json_:
            print_json(planned)
        return
    done, followed = run_command(
        lambda: keyspace_commands.change(name, connect, verb, arguments, timeout_s, tell)
    )
    if json_:
        print_json({**done, **asdict(followed)})
        return
    result(
        f"{arguments['pattern']}: epoch {done['epoch']}, in force on {len(followed.adopted)} nodes"
    )
    if followed.absent:
        tell(f"not there: {', '.join(followed.absent)}; they follow when they return")
