"""``ringdeck chaos``: faults of processes, links, disks and clocks on a running cluster.

All but those of processes end by themselves (60 s unless told otherwise); ``--for forever`` must be
typed. Their commands are made from the catalogue of faults. A node's name as the target of a link
fault means everything that reaches it; ``CALLER->CALLEE`` means one link. Disks and clocks are named
by their node, ``n3`` or ``n3:disk``; ``chaos disk`` and ``chaos clock`` list the faults of each.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from inspect import Parameter, Signature
from typing import Annotated, Any, Final

import typer

from console.cli_cluster import Json, Name
from console.cli_output import print_json, print_table, result
from console.formatting import duration
from transport.faults import BOTH, DOWN, KINDS, Attribute

app = typer.Typer(no_args_is_help=True, help="Break a running cluster on purpose, and heal it.")

Nodes = Annotated[list[str], typer.Argument(help="Which nodes.", metavar="NODE...")]
Target = Annotated[
    str, typer.Argument(help="A node, or CALLER->CALLEE (client and * allowed).", metavar="TARGET")
]
Part = Annotated[
    str, typer.Argument(help="Whose: a node, or NODE:disk, NODE:clock.", metavar="NODE")
]
_TARGETS: Final = {"link": Target, "disk": Part, "clock": Part}
_UNITS: Final = {
    "ms": "Milliseconds.",
    "us": "Microseconds.",
    "KB/s": "KB/s.",
    "bytes": "Bytes.",
    "share": "Share, 0 to 1.",
}
PRESETS: Final[Mapping[tuple[str, str], float]] = {
    ("latency", "latency"): 200.0,
    ("bandwidth", "rate"): 100.0,
    ("slow_close", "delay"): 1000.0,
    ("slicer", "average_size"): 64.0,
    ("slicer", "size_variation"): 32.0,
    ("slicer", "delay"): 1000.0,
    ("limit_data", "bytes"): 65536.0,
    ("packet_loss", "loss_rate"): 0.1,
    ("corrupt", "rate"): 0.01,
    ("bitflip", "rate"): 0.001,
    ("slow_fsync", "delay"): 500.0,
    ("skew", "offset"): 400.0,
    ("jump", "offset"): 1000.0,
}
"""Values of attributes that were not typed: something to see, on a command line. Without one it is
the catalogue's own default.
"""
For = Annotated[str, typer.Option("--for", help="How long: 60s, 2m, 500ms, forever.")]
Control = Annotated[
    bool, typer.Option("--control", help="Also on the links that carry probes and topology.")
]
Stream = Annotated[str, typer.Option(help="Requests (up), replies (down) or both.")]
Toxicity = Annotated[float, typer.Option(help="Share of connections, 0 to 1.")]


def _process(name: str, verb: str, nodes: list[str], json_: bool) -> None:
    from console.runtime import cluster_commands
    from console.runtime.launcher import READY_DEADLINE_S
    from console.runtime.run import run_command

    async def run() -> str:
        supervisor = cluster_commands.local_supervisor(name)
        with supervisor.state.locked():
            supervisor.refresh()
            verbs: dict[str, Callable[[], Awaitable[str]]] = {
                "kill": lambda: supervisor.kill(nodes),
                "terminate": lambda: supervisor.terminate(nodes),
                "pause": lambda: supervisor.pause(nodes),
                "resume": lambda: supervisor.resume(nodes),
                "restart": lambda: supervisor.restart(nodes, wait_s=READY_DEADLINE_S),
            }
            return await verbs[verb]()

    text = run_command(run)
    if json_:
        print_json({"done": verb, "nodes": nodes})
    else:
        result(text)


@app.command()
def kill(nodes: Nodes, name: Name = "default", json_: Json = False) -> None:
    """End node processes at once (SIGKILL)."""
    _process(name, "kill", nodes, json_)


@app.command()
def terminate(nodes: Nodes, name: Name = "default", json_: Json = False) -> None:
    """Stop node processes tidily (SIGTERM); they stay members."""
    _process(name, "terminate", nodes, json_)


@app.command()
def pause(nodes: Nodes, name: Name = "default", json_: Json = False) -> None:
    """Suspend node processes (SIGSTOP): connected, and silent."""
    _process(name, "pause", nodes, json_)


@app.command()
def resume(nodes: Nodes, name: Name = "default", json_: Json = False) -> None:
    """Let paused node processes go on (SIGCONT)."""
    _process(name, "resume", nodes, json_)


@app.command()
def restart(nodes: Nodes, name: Name = "default", json_: Json = False) -> None:
    """Begin node processes again, with the same id, addresses and data."""
    _process(name, "restart", nodes, json_)


def _inject(kind: str, given: Mapping[str, Any]) -> None:
    """Put a fault of a link, a disk or a clock on the running cluster."""
    from console.runtime import cluster_commands
    from console.runtime.fault_commands import FaultRequest, add_fault, parse_duration
    from console.runtime.run import run_command

    request = FaultRequest(
        kind,
        given["target"],
        {attribute.name: given[_parameter(attribute)] for attribute in KINDS[kind].attributes},
        stream=given.get("stream", BOTH if kind == "cut" else DOWN),
        toxicity=given.get("toxicity", 1.0),
        for_s=parse_duration(given["for_"]),
        control=given.get("control", kind == "cut"),
    )
    record = cluster_commands.running_cluster(given["name"]).record
    doors = cluster_commands.reachable(record)
    nodes = [node.id for node in record.nodes]
    fault_id = run_command(lambda: add_fault(doors, nodes, request))
    if given["json_"]:
        # ``for_s`` null: until it is healed.
        shown = {"id": fault_id, "kind": kind, "target": request.target, "for_s": request.for_s}
        print_json({**shown, "attributes": dict(request.attributes)})
    else:
        result(fault_id)


def _parameter(attribute: Attribute) -> str:
    """Its name among a command's parameters: not that of a builtin."""
    return "bytes_" if attribute.name == "bytes" else attribute.name


def _options(kind: str) -> list[Parameter]:
    """Target, attributes with their bounds, and the common options, as one command takes them."""
    place = KINDS[kind].place
    options = [Parameter("target", Parameter.POSITIONAL_OR_KEYWORD, annotation=_TARGETS[place])]
    added: list[tuple[str, Any, Any]] = []
    for attribute in KINDS[kind].attributes:
        flag = f"--{attribute.name.replace('_', '-')}"
        option = typer.Option(
            flag, help=_UNITS[attribute.unit], min=attribute.low, max=attribute.high
        )
        default = PRESETS.get((kind, attribute.name), attribute.default)
        added.append((_parameter(attribute), Annotated[float, option], default))
    added += [("name", Name, "default"), ("for_", For, "60s"), ("json_", Json, False)]
    if place == "link" and kind != "cut":
        added += [
            ("control", Control, False),
            ("stream", Stream, DOWN),
            ("toxicity", Toxicity, 1.0),
        ]
    return options + [
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, annotation, default in added
    ]


def _command_of(kind: str) -> Callable[..., None]:
    def inject(**given: object) -> None:
        _inject(kind, given)

    text = KINDS[kind].text
    inject.__doc__ = text[0].upper() + text[1:] + "."
    # Typer reads a command's options from its signature.
    inject.__signature__ = Signature(_options(kind))  # type: ignore[attr-defined]
    return inject


_PARTS: Final = {
    "disk": typer.Typer(no_args_is_help=True, help="What the disk of a node does."),
    "clock": typer.Typer(no_args_is_help=True, help="What the wall clock of a node does."),
}
for _part, _group in _PARTS.items():
    app.add_typer(_group, name=_part)
for _kind in KINDS:
    app.command(_kind)(_command_of(_kind))
    if (_place := KINDS[_kind].place) in _PARTS:
        _PARTS[_place].command(_kind.replace("_", "-"))(_command_of(_kind))


@app.command()
def heal(name: Name = "default", json_: Json = False) -> None:
    """Lift every fault, resume what is paused, restart what a fault stopped."""
    from console.runtime import cluster_commands
    from console.runtime.fault_commands import heal as heal_links
    from console.runtime.launcher import READY_DEADLINE_S
    from console.runtime.run import run_command

    async def run() -> list[str]:
        supervisor = cluster_commands.local_supervisor(name)
        with supervisor.state.locked():
            supervisor.refresh()
            done = await supervisor.heal(wait_s=READY_DEADLINE_S)
        lifted = await heal_links(cluster_commands.reachable(supervisor.record))
        count = sum(lifted.values())
        return [*done, f"lifted {count} fault{'' if count == 1 else 's'}"]

    done = run_command(run)
    if json_:
        print_json({"done": done})
    else:
        for line in done:
            result(line)


@app.command("list")
def list_(name: Name = "default", json_: Json = False) -> None:
    """Active faults."""
    from console.runtime import cluster_commands
    from console.runtime.fault_commands import list_faults
    from console.runtime.run import run_command
    from console.source import ProcessState

    supervisor = cluster_commands.local_supervisor(name)
    doors = cluster_commands.reachable(supervisor.record)
    found = run_command(lambda: list_faults(doors))
    for view in supervisor.views():
        if view.state is ProcessState.PAUSED:
            found.append({"node": view.node.id, "kind": "pause", "target": view.node.id})
        elif view.state is ProcessState.EXITED and view.node.fault:
            found.append({"node": view.node.id, "kind": view.node.fault, "target": view.node.id})
    if json_:
        print_json(found)
        return
    now_ms = time.time() * 1000
    print_table(
        ("node", "target", "fault", "id", "owner", "ends in", "hits"),
        [
            (
                entry["node"],
                entry["target"],
                entry.get("text") or entry["kind"],
                entry.get("fault_id"),
                entry.get("owner"),
                _left(entry.get("ends_wall_ms"), now_ms),
                entry.get("hits"),
            )
            for entry in found
        ],
    )


def _left(ends_wall_ms: object, now_ms: float) -> str | None:
    """How long a fault still lasts; None: until it is lifted."""
    if not isinstance(ends_wall_ms, int | float) or not ends_wall_ms:
        return None
    return duration((ends_wall_ms - now_ms) / 1000)
