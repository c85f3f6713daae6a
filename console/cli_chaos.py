"""``ringdeck chaos``: faults of processes, links, disks and clocks on a running cluster.

All but those of processes end by themselves (60 s unless told otherwise); ``--for forever`` must be
typed. A node's name as the target of a link fault means everything that reaches it;
``CALLER->CALLEE`` means one link. Disks and clocks are named by their node, ``n3`` or ``n3:disk``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

import typer

from console.cli_cluster import Json, Name
from console.cli_output import print_json, print_table, result

app = typer.Typer(no_args_is_help=True, help="Break a running cluster on purpose, and heal it.")

Nodes = Annotated[list[str], typer.Argument(help="Which nodes.", metavar="NODE...")]
Target = Annotated[
    str, typer.Argument(help="A node, or CALLER->CALLEE (client and * allowed).", metavar="TARGET")
]
Part = Annotated[
    str, typer.Argument(help="Whose: a node, or NODE:disk, NODE:clock.", metavar="NODE")
]
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


def _link(
    name: str,
    kind: str,
    target: str,
    attributes: Mapping[str, float],
    common: tuple[str, bool, str, float],
) -> None:
    from console.runtime import cluster_commands
    from console.runtime.fault_commands import FaultRequest, add_fault, parse_duration
    from console.runtime.run import run_command

    for_, control, stream, toxicity = common
    request = FaultRequest(
        kind,
        target,
        attributes,
        stream=stream,
        toxicity=toxicity,
        for_s=parse_duration(for_),
        control=control,
    )
    record = cluster_commands.running_cluster(name).record
    doors = cluster_commands.reachable(record)
    nodes = [node.id for node in record.nodes]
    result(run_command(lambda: add_fault(doors, nodes, request)))


@app.command()
def latency(
    target: Target,
    latency: Annotated[float, typer.Option(help="Milliseconds.", min=0)] = 200.0,
    jitter: Annotated[float, typer.Option(help="Milliseconds, plus or minus.", min=0)] = 0.0,
    name: Name = "default",
    for_: For = "60s",
    control: Control = False,
    stream: Stream = "down",
    toxicity: Toxicity = 1.0,
) -> None:
    """Delay bytes."""
    attributes = {"latency": latency, "jitter": jitter}
    _link(name, "latency", target, attributes, (for_, control, stream, toxicity))


@app.command()
def bandwidth(
    target: Target,
    rate: Annotated[float, typer.Option(help="KB/s.", min=0.001)] = 100.0,
    name: Name = "default",
    for_: For = "60s",
    control: Control = False,
    stream: Stream = "down",
    toxicity: Toxicity = 1.0,
) -> None:
    """Let only so many bytes a second through."""
    _link(name, "bandwidth", target, {"rate": rate}, (for_, control, stream, toxicity))


@app.command("slow_close")
def slow_close(
    target: Target,
    delay: Annotated[float, typer.Option(help="Milliseconds.", min=0)] = 1000.0,
    name: Name = "default",
    for_: For = "60s",
    control: Control = False,
    stream: Stream = "down",
    toxicity: Toxicity = 1.0,
) -> None:
    """Delay the end of connections."""
    _link(name, "slow_close", target, {"delay": delay}, (for_, control, stream, toxicity))


@app.command()
def timeout(
    target: Target,
    timeout: Annotated[
        float, typer.Option(help="Milliseconds until the close; 0 = never.", min=0)
    ] = 0.0,
    name: Name = "default",
    for_: For = "60s",
    control: Control = False,
    stream: Stream = "down",
    toxicity: Toxicity = 1.0,
) -> None:
    """Swallow all bytes, then close."""
    attributes = {"timeout": timeout}
    _link(name, "timeout", target, attributes, (for_, control, stream, toxicity))


@app.command("reset_peer")
def reset_peer(
    target: Target,
    timeout: Annotated[float, typer.Option(help="Milliseconds until the reset.", min=0)] = 0.0,
    name: Name = "default",
    for_: For = "60s",
    control: Control = False,
    stream: Stream = "down",
    toxicity: Toxicity = 1.0,
) -> None:
    """Reset connections."""
    attributes = {"timeout": timeout}
    _link(name, "reset_peer", target, attributes, (for_, control, stream, toxicity))


@app.command()
def slicer(  # noqa: PLR0913 - one parameter an option
    target: Target,
    average_size: Annotated[float, typer.Option(help="Bytes of a slice.", min=1)] = 64.0,
    size_variation: Annotated[float, typer.Option(help="Bytes, plus or minus.", min=0)] = 32.0,
    delay: Annotated[float, typer.Option(help="Microseconds between slices.", min=0)] = 1000.0,
    name: Name = "default",
    for_: For = "60s",
    control: Control = False,
    stream: Stream = "down",
    toxicity: Toxicity = 1.0,
) -> None:
    """Cut the bytes into small pieces."""
    attributes = {
        "average_size": average_size,
        "size_variation": size_variation,
        "delay": delay,
    }
    _link(name, "slicer", target, attributes, (for_, control, stream, toxicity))


@app.command("limit_data")
def limit_data(
    target: Target,
    bytes_: Annotated[float, typer.Option("--bytes", help="Then close.", min=1)] = 65536.0,
    name: Name = "default",
    for_: For = "60s",
    control: Control = False,
    stream: Stream = "down",
    toxicity: Toxicity = 1.0,
) -> None:
    """Close connections after so many bytes."""
    _link(name, "limit_data", target, {"bytes": bytes_}, (for_, control, stream, toxicity))


@app.command("packet_loss")
def packet_loss(
    target: Target,
    loss_rate: Annotated[float, typer.Option(help="Share, 0 to 1.", min=0, max=1)] = 0.1,
    correlation: Annotated[float, typer.Option(help="0 to 1.", min=0, max=1)] = 0.0,
    name: Name = "default",
    for_: For = "60s",
    control: Control = False,
    stream: Stream = "down",
    toxicity: Toxicity = 1.0,
) -> None:
    """Delay chunks as a lost and repeated packet would."""
    attributes = {"loss_rate": loss_rate, "correlation": correlation}
    _link(name, "packet_loss", target, attributes, (for_, control, stream, toxicity))


@app.command()
def cut(target: Target, name: Name = "default", for_: For = "60s") -> None:
    """Part links: nothing passes, probes neither."""
    _link(name, "cut", target, {}, (for_, True, "both", 1.0))


@app.command()
def corrupt(
    target: Target,
    rate: Annotated[float, typer.Option(help="Share of chunks, 0 to 1.", min=0, max=1)] = 0.01,
    name: Name = "default",
    for_: For = "60s",
    control: Control = False,
    stream: Stream = "down",
    toxicity: Toxicity = 1.0,
) -> None:
    """Flip bytes in flight; checksums must catch it."""
    _link(name, "corrupt", target, {"rate": rate}, (for_, control, stream, toxicity))


def _part(name: str, kind: str, target: str, attributes: Mapping[str, float], for_: str) -> None:
    """A fault of a node's own disk or clock."""
    _link(name, kind, target, attributes, (for_, False, "down", 1.0))


@app.command()
def bitflip(
    target: Part,
    rate: Annotated[float, typer.Option(help="Share of reads, 0 to 1.", min=0, max=1)] = 0.001,
    name: Name = "default",
    for_: For = "60s",
) -> None:
    """Flip a bit in what is read from a disk; checksums must catch it."""
    _part(name, "bitflip", target, {"rate": rate}, for_)


@app.command()
def eio(
    target: Part,
    rate: Annotated[float, typer.Option(help="Share of writes, 0 to 1.", min=0, max=1)] = 1.0,
    name: Name = "default",
    for_: For = "60s",
) -> None:
    """Fail writes to a disk; a node that can't keep its records stops."""
    _part(name, "eio", target, {"rate": rate}, for_)


@app.command()
def enospc(target: Part, name: Name = "default", for_: For = "60s") -> None:
    """Fill a disk: every write fails; a node that can't keep its records stops."""
    _part(name, "enospc", target, {}, for_)


@app.command("slow_fsync")
def slow_fsync(
    target: Part,
    delay: Annotated[float, typer.Option(help="Milliseconds.", min=0)] = 500.0,
    name: Name = "default",
    for_: For = "60s",
) -> None:
    """Let a node wait for its disk at every record."""
    _part(name, "slow_fsync", target, {"delay": delay}, for_)


@app.command()
def skew(
    target: Part,
    offset: Annotated[float, typer.Option(help="Milliseconds, plus or minus.")] = 400.0,
    name: Name = "default",
    for_: For = "60s",
) -> None:
    """Let a node's wall clock be off."""
    _part(name, "skew", target, {"offset": offset}, for_)


@app.command()
def jump(
    target: Part,
    offset: Annotated[float, typer.Option(help="Milliseconds, plus or minus.")] = 1000.0,
    name: Name = "default",
    for_: For = "60s",
) -> None:
    """Let a node's wall clock jump; it jumps back when the fault ends."""
    _part(name, "jump", target, {"offset": offset}, for_)


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
    columns = ("node", "kind", "target", "text", "owner", "hits")
    print_table(columns, [tuple(entry.get(column, "") for column in columns) for entry in found])
