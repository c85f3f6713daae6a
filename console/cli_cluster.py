"""``ringdeck cluster``: start, stop, status, add, remove, recover."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from console.cli_output import print_json, print_table, result, tell

app = typer.Typer(
    no_args_is_help=True, help="Clusters of nodes on this machine that run on their own."
)

Name = Annotated[
    str, typer.Option("--name", envvar="RINGDECK_NAME", help="Which cluster.", metavar="NAME")
]


def take_secret(path: str) -> str:
    """Read the secret of ``--secret-file`` when the command line is parsed."""
    if path:
        from console.runtime.secret import HELD

        HELD.use(path)
    return path


SecretFile = Annotated[
    str,
    typer.Option(
        "--secret-file",
        callback=take_secret,
        help="File with the cluster's secret; also $RINGDECK_SECRET_FILE.",
        metavar="FILE",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def parse_settings(assignments: list[str]) -> dict[str, str | int | float | bool]:
    """``KEY=VALUE`` options as node settings.

    Raises:
        UsageError: an entry has no ``=``.
    """
    from console.errors import UsageError
    from nodecore.config_parsing import from_assignments
    from nodecore.errors import InvalidConfig

    try:
        found = from_assignments(assignments)
    except InvalidConfig as invalid:
        raise UsageError("; ".join(invalid.problems)) from None
    return {key: value for key, value in found.items() if isinstance(value, str)}


@app.command()
def start(
    name: Name = "default",
    nodes: Annotated[int, typer.Option(help="How many nodes.", min=1, max=256)] = 3,
    enable_chaos: Annotated[
        bool, typer.Option("--enable-chaos", help="Let link, disk and clock faults be injected.")
    ] = False,
    data: Annotated[
        str, typer.Option("--data", help="Keep the nodes' state here; resumes what is there.")
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A setting of every node, e.g. replicas=2.", metavar="KEY=VALUE"
        ),
    ] = None,
    _secret_file: SecretFile = "",
    json_: Json = False,
) -> None:
    """Start nodes and wait until they serve."""
    from console.runtime import cluster_commands
    from console.runtime.launcher import StartOptions
    from console.runtime.run import run_command

    options = StartOptions(nodes, enable_chaos, data, parse_settings(settings or []))
    record = run_command(lambda: cluster_commands.start(name, options, tell))
    if json_:
        print_json(
            {
                "name": record.name,
                "cluster_id": record.cluster_id,
                "gateway": None,
                "nodes": [node.public() for node in record.nodes],
            }
        )
        return
    print_table(
        ("node", "pid", "redis", "http", "native"),
        [(node.id, str(node.pid), node.resp, node.http, node.native) for node in record.nodes],
    )
    port = record.nodes[0].resp.rpartition(":")[2]
    secret = record.settings.get("secret_file")
    # The secret is the password of the Redis door; it must not stand in a list of processes.
    password = f'REDISCLI_AUTH="$(cat {secret})" ' if secret else ""
    tell(f"try: {password}redis-cli -p {port} set hello world")
    tell(f"stop: ringdeck cluster stop --name {record.name}")


@app.command()
def stop(
    name: Name = "default",
    purge: Annotated[
        bool, typer.Option("--purge", help="Also remove logs, configuration and state.")
    ] = False,
    all_: Annotated[
        bool, typer.Option("--all", help="Every cluster of this user on this machine.")
    ] = False,
    json_: Json = False,
) -> None:
    """Stop every node of a cluster."""
    from console.runtime import cluster_commands
    from console.runtime.run import run_command

    if all_:
        ended = run_command(lambda: cluster_commands.stop_all(purge=purge, tell=tell))
        if json_:
            print_json([{"name": each, "stopped": nodes} for each, nodes in ended.items()])
        for each, nodes in ended.items():
            tell(f"{each}: {'stopped ' + ', '.join(nodes) if nodes else 'was not running'}")
        return
    stopped = run_command(lambda: cluster_commands.stop(name, purge=purge, tell=tell))
    if json_:
        print_json({"name": name, "stopped": stopped})
    else:
        tell(f"stopped {', '.join(stopped)}" if stopped else f"cluster {name!r} was not running")


@app.command()
def status(name: Name = "default", json_: Json = False) -> None:
    """What the nodes say about the cluster, merged."""
    from console.runtime import cluster_commands
    from console.runtime.run import run_command

    found = run_command(lambda: cluster_commands.status(name))
    if json_:
        print_json(asdict(found))
        return
    result(f"cluster {name}, epoch {found.epoch}, {found.state}")
    print_table(
        ("node", "pid", "status", "primary", "replica", "keys", "MiB", "ops/s", "redis", "http"),
        [
            (
                member.id,
                str(member.pid) if member.pid else None,
                member.status,
                member.slots_primary,
                member.slots_replica,
                member.keys,
                member.memory_bytes / 1048576 if member.memory_bytes is not None else None,
                member.ops_per_s,
                member.resp,
                member.http,
            )
            for member in found.members
        ],
    )


@app.command()
def add(
    name: Name = "default",
    count: Annotated[int, typer.Option(help="How many nodes.", min=1, max=64)] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for it.", min=1.0)] = 60.0,
    preview: Annotated[bool, typer.Option("--preview", help="Only say what would move.")] = False,
    json_: Json = False,
) -> None:
    """Add nodes; returns when the cluster is stable again, or the first waits for approval."""
    from console.cli_change_output import print_preview, reasons
    from console.runtime import change_commands, cluster_commands
    from console.runtime.run import run_command

    with reasons(json_):
        if preview:
            wanted = {"kind": "join", "count": count}
            print_preview(run_command(lambda: change_commands.preview(name, wanted)), json_)
            return
        done = run_command(lambda: cluster_commands.add(name, count, timeout, tell))
    if json_:
        print_json({"added": done.added, **({"waits": done.waits} if done.waits else {})})
    elif done.added:
        result(f"added {', '.join(done.added)}")


@app.command()
def remove(
    node: Annotated[str, typer.Argument(help="Which node.", metavar="NODE")],
    name: Name = "default",
    force: Annotated[
        bool, typer.Option("--force", help="Also when fewer members than copies would remain.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for it.", min=1.0)] = 60.0,
    preview: Annotated[bool, typer.Option("--preview", help="Only say what would move.")] = False,
    json_: Json = False,
) -> None:
    """Take a node out: a live one hands its data over first."""
    from console.cli_change_output import print_preview, reasons
    from console.runtime import change_commands, cluster_commands
    from console.runtime.run import run_command

    with reasons(json_):
        if preview:
            found = run_command(lambda: change_commands.preview_remove(name, node))
            print_preview(found, json_)
            return
        how = run_command(lambda: cluster_commands.remove(name, node, timeout, tell, force=force))
    if json_:
        print_json({"removed": node, "how": how})
    else:
        result(f"{node} {how}")


@app.command()
def recover(
    name: Name = "default",
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Do it; without this, only say what would go.")
    ] = False,
    keep: Annotated[
        str, typer.Option(help="Survivors, by commas; default: all that answer.", metavar="NODES")
    ] = "",
    json_: Json = False,
) -> None:
    """Go on with the survivors after most voters are lost for good; what they held is lost."""
    from console.errors import UsageError
    from console.runtime import recovery
    from console.runtime.run import run_command

    chosen = [node.strip() for node in keep.split(",") if node.strip()]
    found = run_command(lambda: recovery.survey(name))
    price = recovery.plan(found, chosen, name)
    for line in recovery.explanation(found, price):
        tell(line)
    if not accept_loss:
        if json_:
            print_json(asdict(price))
        raise UsageError("nothing was done", hint="repeat it with --accept-loss")
    done = run_command(lambda: recovery.recover(name, found, price, tell))
    if json_:
        print_json(asdict(done))
    else:
        result(f"recovered on {', '.join(done.members)} (generation {done.generation})")
        tell(f"add nodes for more copies: ringdeck cluster add --name {name}")


@app.command("list")
def list_(json_: Json = False) -> None:
    """Clusters of this user on this machine; null counts where a record is damaged."""
    from console.errors import UsageError
    from console.runtime.launcher import running_nodes
    from console.runtime.state_dir import StateDir, cluster_names

    rows: list[tuple[str, int | None, int | None]] = []
    for name in cluster_names():
        try:
            record = StateDir(name).load()
        except UsageError as error:
            tell(f"{name}: {error.text}")
            rows.append((name, None, None))
            continue
        if record is not None:
            rows.append((name, len(record.nodes), len(running_nodes(record))))
    if json_:
        print_json([{"name": row[0], "nodes": row[1], "running": row[2]} for row in rows])
    else:
        print_table(("cluster", "nodes", "running"), rows)
